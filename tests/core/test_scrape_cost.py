"""What a scrape of a thousand resources costs the loop that does the work."""

import asyncio
import time

from ecr_operator.core.snapshot import snapshot
from ecr_operator.telemetry.metrics import Snapshot
from tests.builders import NOW
from tests.core.world import World
from tests.telemetry.reading import EXPIRY

NUMBER = 1000
# 50 ms are promised of a processor of one's own; here others may want it too.
MOST_PROCESSOR_SECONDS = 0.25


async def test_a_scrape_of_a_thousand_resources_is_cheap_and_others_run_meanwhile() -> None:
    world = World()
    for number in range(NUMBER):
        world.has_secret(world.see(name=f"r{number}", status={"phase": "Updated"}))
    world.metrics.add_snapshots(lambda: Snapshot(resources=snapshot(world.cache, NOW)))
    turns, ended = 0, False

    async def others() -> None:
        nonlocal turns
        while not ended:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    on_the_loop, everywhere = time.thread_time(), time.process_time()
    text = await world.metrics.exposition()
    on_the_loop, everywhere = time.thread_time() - on_the_loop, time.process_time() - everywhere
    ended = True
    await task
    print(f"a scrape of {NUMBER}: {on_the_loop * 1000:.1f} ms on the loop, {everywhere * 1000:.1f} in all")
    assert text.count(EXPIRY.encode()) == NUMBER + 2
    assert everywhere < MOST_PROCESSOR_SECONDS
    assert turns >= 10
