"""Snapshot: what a scrape shows of each resource, and how late the event loop is."""

# ruff: noqa: S106 - names of Secrets

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.outcome import Reason
from ecr_operator.core.cache import key_of
from ecr_operator.core.snapshot import failing, measure_loop_lag, snapshot
from ecr_operator.telemetry.metrics import ResourceSample, Snapshot
from tests.builders import HOUR, NOW, TWELVE_HOURS
from tests.core.world import World
from tests.fakes import FakeClock, settle
from tests.telemetry.reading import EXPIRY


@pytest.fixture
async def world() -> World:
    """An empty cluster."""
    return World()


def only(world: World, after: timedelta = timedelta(0)) -> ResourceSample:
    """The state of the only resource."""
    (state,) = snapshot(world.cache, NOW + after)
    return state


async def test_a_resource_has_the_expiry_of_its_secret_while_there_is_one(world: World) -> None:
    of = world.see(status={"phase": "Updated"})
    world.has_secret(of, age=HOUR)
    state = only(world)
    assert (state.key, state.ready, state.overdue) == (of.key, "true", 0)
    assert state.expires_at == (NOW - HOUR + TWELVE_HOURS).timestamp()
    world.delete()
    assert only(world).expires_at is None


async def test_a_secret_counts_for_its_owner_alone(world: World) -> None:
    world.has_secret(world.see(name="web"))
    world.see(name="late", generated_secret_name="web-pull")
    found = {sample.key.name: sample.expires_at is not None for sample in snapshot(world.cache, NOW)}
    assert found == {"web": True, "late": False}


async def test_overdue_counts_from_the_deadline_of_the_token_unless_suspended(world: World) -> None:
    world.has_secret(world.see(frequency="1h"))
    assert only(world, timedelta(minutes=56)).overdue == 0
    assert 3600 <= only(world, timedelta(hours=2)).overdue <= 3600 + 180
    world.see(frequency="1h", suspend=True, generation=2)
    suspended = only(world, timedelta(hours=20))
    assert (suspended.overdue, suspended.expires_at) == (0, (NOW + TWELVE_HOURS).timestamp())


async def test_a_resource_with_an_invalid_spec_is_in_the_snapshot(world: World) -> None:
    world.see(spec={})
    assert only(world) == ResourceSample(key=only(world).key, ready="unknown")


async def seen(world: World, **fields: Any) -> Resource:
    """Show a ClusterSecret, and have its parts placed; return it as the cache has it."""
    key = key_of(CLUSTER, world.show(CLUSTER, **fields))
    placing = asyncio.create_task(world.clusters.run())
    await settle()
    placing.cancel()
    found = world.cache.resource(key)
    assert found is not None
    return found


def part(world: World, of: Resource, namespace: str) -> Resource:
    """What a ClusterSecret asks for in one namespace."""
    found = world.cache.resource(replace(of.key, namespace=namespace))
    assert found is not None
    return found


async def test_a_cluster_secret_is_one_sample_with_the_first_expiry_of_its_secrets(world: World) -> None:
    world.clusters.set_namespaces({"a": {}, "b": {}, "c": {}})
    status = {"phase": "Failed", "namespaces": {"served": 3, "ready": 2}}
    of = await seen(world, frequency="1h", status=status)
    assert only(world) == ResourceSample(key=of.key, ready="false", namespaces=(2, 1))
    world.has_secret(part(world, of, "b"))
    world.has_secret(part(world, of, "c"), age=HOUR)
    state = only(world)
    assert state.expires_at == (NOW - HOUR + TWELVE_HOURS).timestamp()
    assert 0 <= state.overdue <= 180
    assert 3600 <= only(world, HOUR).overdue <= 3600 + 180


async def test_a_namespace_that_a_cluster_secret_no_longer_serves_does_not_count(world: World) -> None:
    world.clusters.set_namespaces({"a": {}, "b": {}})
    of = await seen(world, namespaces={"names": ["a", "b"]})
    world.has_secret(part(world, of, "a"))
    world.has_secret(part(world, of, "b"), age=HOUR)
    await seen(world, namespaces={"names": ["a"]}, generation=2)
    assert only(world).expires_at == (NOW + TWELVE_HOURS).timestamp()


async def test_a_cluster_secret_fails_once_however_many_namespaces_do(world: World) -> None:
    world.clusters.set_namespaces({"a": {}, "b": {}})
    of = await seen(world)
    for key in (of.key, replace(of.key, namespace="a"), replace(of.key, namespace="b")):
        state = world.cache.get(key)
        assert state is not None
        state.failing = Reason.SECRET_CONFLICT
    assert failing(world.cache) == {(CLUSTER, Reason.SECRET_CONFLICT): 1}


@pytest.mark.parametrize("numbers", ["2/3", {}, {"served": "3", "ready": 2}, {"served": 3}], ids=str)
async def test_namespaces_of_another_type_are_not_shown(world: World, numbers: object) -> None:
    world.clusters.set_namespaces({})
    await seen(world, status={"namespaces": numbers})
    assert only(world).namespaces is None


async def test_a_scrape_of_many_resources_lets_other_tasks_run(world: World) -> None:
    for number in range(300):
        world.has_secret(world.see(name=f"r{number}", status={"phase": "Updated"}))
    world.metrics.add_snapshots(lambda: Snapshot(resources=snapshot(world.cache, NOW)))
    scrape = asyncio.create_task(world.metrics.exposition())
    turns = 0
    while not scrape.done():
        turns += 1
        await asyncio.sleep(0)
    assert (await scrape).count(EXPIRY.encode()) == 300 + 2
    assert turns > 1, "it is rendered in a thread"


class LateClock(FakeClock):
    """Wakes sleepers `late` seconds too late."""

    late = 0.0

    async def sleep(self, seconds: float) -> None:
        """Wait longer than was requested."""
        await super().sleep(seconds + self.late)


async def test_the_lag_of_the_loop_reports_each_second_how_late_it_woke() -> None:
    clock, reported = LateClock(), list[float]()
    task = asyncio.create_task(measure_loop_lag(clock, reported.append))
    await settle()
    clock.late = 0.5
    await clock.advance(4)
    task.cancel()
    await settle()
    assert reported == [0, 0.5, 0.5]
