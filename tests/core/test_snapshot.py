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


def only(still: World, after: timedelta = timedelta(0)) -> ResourceSample:
    """The state of the only resource."""
    (state,) = snapshot(still.cache, NOW + after)
    return state


async def test_a_resource_has_the_expiry_of_its_secret_while_there_is_one(still: World) -> None:
    of = still.see(status={"phase": "Updated"})
    still.has_secret(of, age=HOUR)
    state = only(still)
    assert (state.key, state.ready, state.overdue) == (of.key, "true", 0)
    assert state.expires_at == (NOW - HOUR + TWELVE_HOURS).timestamp()
    still.delete()
    assert only(still).expires_at is None


async def test_a_secret_counts_for_its_owner_alone(still: World) -> None:
    still.has_secret(still.see(name="web"))
    still.see(name="late", generated_secret_name="web-pull")
    found = {sample.key.name: sample.expires_at is not None for sample in snapshot(still.cache, NOW)}
    assert found == {"web": True, "late": False}


async def test_overdue_counts_from_the_deadline_of_the_token_unless_suspended(still: World) -> None:
    still.has_secret(still.see(frequency="1h"))
    assert only(still, timedelta(minutes=56)).overdue == 0
    assert 3600 <= only(still, timedelta(hours=2)).overdue <= 3600 + 180
    still.see(frequency="1h", suspend=True, generation=2)
    suspended = only(still, timedelta(hours=20))
    assert (suspended.overdue, suspended.expires_at) == (0, (NOW + TWELVE_HOURS).timestamp())


async def test_a_resource_with_an_invalid_spec_is_in_the_snapshot(still: World) -> None:
    still.see(spec={})
    assert only(still) == ResourceSample(key=only(still).key, ready="unknown")


async def seen(still: World, **fields: Any) -> Resource:
    """Show a ClusterSecret, and have its parts placed; return it as the cache has it."""
    key = key_of(CLUSTER, still.show(CLUSTER, **fields))
    placing = asyncio.create_task(still.clusters.run())
    await settle()
    placing.cancel()
    found = still.cache.resource(key)
    assert found is not None
    return found


def part(still: World, of: Resource, namespace: str) -> Resource:
    """What a ClusterSecret asks for in one namespace."""
    found = still.cache.resource(replace(of.key, namespace=namespace))
    assert found is not None
    return found


async def test_a_cluster_secret_is_one_sample_with_the_first_expiry_of_its_secrets(still: World) -> None:
    still.clusters.set_namespaces({"a": {}, "b": {}, "c": {}})
    status = {"phase": "Failed", "namespaces": {"served": 3, "ready": 2}}
    of = await seen(still, frequency="1h", status=status)
    assert only(still) == ResourceSample(key=of.key, ready="false", namespaces=(2, 1))
    still.has_secret(part(still, of, "b"))
    still.has_secret(part(still, of, "c"), age=HOUR)
    state = only(still)
    assert state.expires_at == (NOW - HOUR + TWELVE_HOURS).timestamp()
    assert 0 <= state.overdue <= 180
    assert 3600 <= only(still, HOUR).overdue <= 3600 + 180


async def test_a_namespace_that_a_cluster_secret_no_longer_serves_does_not_count(still: World) -> None:
    still.clusters.set_namespaces({"a": {}, "b": {}})
    of = await seen(still, namespaces={"names": ["a", "b"]})
    still.has_secret(part(still, of, "a"))
    still.has_secret(part(still, of, "b"), age=HOUR)
    await seen(still, namespaces={"names": ["a"]}, generation=2)
    assert only(still).expires_at == (NOW + TWELVE_HOURS).timestamp()


async def test_a_cluster_secret_fails_once_however_many_namespaces_do(still: World) -> None:
    still.clusters.set_namespaces({"a": {}, "b": {}})
    of = await seen(still)
    for key in (of.key, replace(of.key, namespace="a"), replace(of.key, namespace="b")):
        state = still.cache.get(key)
        assert state is not None
        state.failing = Reason.SECRET_CONFLICT
    assert failing(still.cache) == {(CLUSTER, Reason.SECRET_CONFLICT): 1}


@pytest.mark.parametrize("numbers", ["2/3", {}, {"served": "3", "ready": 2}, {"served": 3}], ids=str)
async def test_namespaces_of_another_type_are_not_shown(still: World, numbers: object) -> None:
    still.clusters.set_namespaces({})
    await seen(still, status={"namespaces": numbers})
    assert only(still).namespaces is None


async def test_a_scrape_of_many_resources_lets_other_tasks_run(still: World) -> None:
    for number in range(300):
        still.has_secret(still.see(name=f"r{number}", status={"phase": "Updated"}))
    still.metrics.add_snapshots(lambda: Snapshot(resources=snapshot(still.cache, NOW)))
    scrape = asyncio.create_task(still.metrics.exposition())
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
