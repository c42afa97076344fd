"""The text of a scrape: the library's own, made in small pieces and not too often."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from ecr_operator.telemetry.collector import ResourceState, State, StateCollector
from ecr_operator.telemetry.exposition import Page, render
from tests.fakes import FakeClock
from tests.telemetry.reading import EXPIRY, everything, families, key


def many(number: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    resources = [ResourceState(key=key(f"r{n}"), ready="true", expires_at=1.8e9 + n) for n in range(number)]
    registry.register(StateCollector(lambda: State(resources=resources)))
    return registry


@pytest.mark.parametrize("number", [0, 1, 249, 250, 251, 1000])
async def test_the_pieces_make_the_very_text_that_the_library_makes_at_once(number: int) -> None:
    registry = many(number)
    assert await render(registry) == generate_latest(registry)


async def test_every_kind_of_metric_comes_through() -> None:
    registry = everything()
    text = await render(registry)
    assert text == generate_latest(registry)
    assert len(families(text.decode())) == len(list(registry.collect()))


async def test_others_have_their_turn_while_many_resources_are_told_of() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    text = await render(many(5000))
    task.cancel()
    assert text.count(EXPIRY.encode()) == 5000 + 2
    assert turns > 5000 / 250


async def test_a_page_is_made_once_a_second_at_most_and_is_not_older_than_that() -> None:
    clock = FakeClock()
    reads = 0

    def read() -> State:
        nonlocal reads
        reads += 1
        return State(queue_depth=reads)

    registry = CollectorRegistry()
    registry.register(StateCollector(read))
    page = Page(registry, clock.monotonic)
    texts = await asyncio.gather(*(page.text() for _ in range(50)))
    assert reads == 1
    assert len(set(texts)) == 1
    await clock.advance(0.9)
    await page.text()
    assert reads == 1
    await clock.advance(0.1)
    assert b"ecr_secret_operator_queue_depth 2.0" in await page.text()
