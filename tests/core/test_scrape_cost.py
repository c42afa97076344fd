"""What a scrape of a thousand resources costs the loop that does the work."""

import asyncio
import time

from ecr_operator.core.snapshot import snapshot
from ecr_operator.telemetry.collector import State, StateCollector
from ecr_operator.telemetry.exposition import render
from tests.builders import NOW
from tests.core.world import World
from tests.telemetry.reading import EXPIRY

NUMBER = 1000
# 50 ms are promised of a processor of one's own; here others may want it too.
MOST_PROCESSOR_SECONDS = 0.25


async def test_a_thousand_resources_are_told_of_within_bounds_and_in_turns() -> None:
    world = World()
    for number in range(NUMBER):
        world.has_secret(world.see(name=f"r{number}", status={"phase": "Updated"}))
    world.metrics.registry.register(StateCollector(lambda: State(resources=snapshot(world.cache, NOW))))
    await render(world.metrics.registry)
    turns, ended = 0, False

    async def others() -> None:
        nonlocal turns
        while not ended:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    began = time.process_time()
    text = await render(world.metrics.registry)
    took = time.process_time() - began
    ended = True
    await task
    print(f"a scrape of {NUMBER} resources: {took * 1000:.1f} ms of processor time, {len(text)} bytes")
    assert text.count(EXPIRY.encode()) == NUMBER + 2
    assert took < MOST_PROCESSOR_SECONDS
    assert turns >= 10
