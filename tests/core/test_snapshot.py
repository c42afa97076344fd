"""Snapshot: what a scrape shows of each resource, what it costs, and how late the event loop is."""

# ruff: noqa: S106 - names of Secrets

import asyncio
import time
from datetime import timedelta

import pytest

from ecr_operator.core.snapshot import measure_loop_lag, snapshot
from ecr_operator.telemetry.metrics import ResourceSample, Snapshot
from tests.builders import HOUR, NOW, TWELVE_HOURS
from tests.core.world import World
from tests.fakes import FakeClock, settle
from tests.telemetry.reading import EXPIRY

NUMBER = 1000
# The promise is 50 ms on a processor of its own; here others may use it too.
MOST_PROCESSOR_SECONDS = 0.25


@pytest.fixture
async def world() -> World:
    """An empty cluster."""
    return World()


def only(world: World, after: timedelta = timedelta(0)) -> ResourceSample:
    """The state of the only resource."""
    (state,) = snapshot(world.cache, NOW + after)
    return state


async def test_the_snapshot_of_an_empty_cluster_is_empty(world: World) -> None:
    assert snapshot(world.cache, NOW) == []


async def test_a_resource_has_the_expiry_of_its_secret_while_there_is_one(world: World) -> None:
    of = world.see(status={"phase": "Updated"})
    world.has_secret(of, age=HOUR)
    state = only(world)
    assert (state.key, state.ready, state.overdue) == (of.key, "true", 0)
    assert state.expires_at == (NOW - HOUR + TWELVE_HOURS).timestamp()
    world.delete()
    assert only(world).expires_at is None


async def test_a_secret_counts_for_its_owner_alone(world: World) -> None:
    of, other = world.see(name="web"), world.see(name="late", generated_secret_name="web-pull")
    world.has_secret(of)
    states = {state.key: state for state in snapshot(world.cache, NOW)}
    assert states[of.key].expires_at is not None
    assert states[other.key].expires_at is None


async def test_overdue_counts_from_the_deadline_of_the_token(world: World) -> None:
    of = world.see(frequency="1h")
    world.has_secret(of)
    assert only(world, timedelta(minutes=56)).overdue == 0
    assert 3600 <= only(world, timedelta(hours=2)).overdue <= 3600 + 180


async def test_a_suspended_resource_is_never_overdue(world: World) -> None:
    of = world.see(frequency="1h", suspend=True)
    world.has_secret(of)
    state = only(world, timedelta(hours=20))
    assert (state.overdue, state.expires_at) == (0, (NOW + TWELVE_HOURS).timestamp())


async def test_a_resource_with_an_invalid_spec_is_in_the_snapshot(world: World) -> None:
    world.see(spec={})
    assert only(world) == ResourceSample(key=only(world).key, ready="unknown")


async def test_a_scrape_of_a_thousand_resources_is_cheap_and_lets_other_tasks_run(world: World) -> None:
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


class LateClock(FakeClock):
    """Wakes sleepers `late` seconds too late."""

    late = 0.0

    async def sleep(self, seconds: float) -> None:
        """Wait longer than was requested."""
        await super().sleep(seconds + self.late)


async def test_watch_loop_reports_each_second_how_late_it_woke() -> None:
    clock, reported = LateClock(), list[float]()
    task = asyncio.create_task(measure_loop_lag(clock, reported.append))
    await settle()
    clock.late = 0.5
    await clock.advance(4)
    task.cancel()
    await settle()
    assert reported == [0, 0.5, 0.5]
