"""How the inventory shows in the metrics."""

# ruff: noqa: S106 - names of Secrets

from datetime import timedelta

import pytest

from ecr_operator.core.snapshot import snapshot
from ecr_operator.telemetry.metrics import ResourceSample
from tests.builders import HOUR, NOW, TWELVE_HOURS
from tests.core.world import World


@pytest.fixture
async def world() -> World:
    """An empty cluster."""
    return World()


def only(world: World, after: timedelta = timedelta(0)) -> ResourceSample:
    (state,) = snapshot(world.cache, NOW + after)
    return state


async def test_an_empty_cluster_has_nothing_to_show(world: World) -> None:
    assert snapshot(world.cache, NOW) == []


async def test_a_resource_has_its_secrets_expiry_and_its_own_word_on_ready(world: World) -> None:
    of = world.see(status={"phase": "Updated"})
    world.has_secret(of, age=HOUR)
    state = only(world)
    assert (state.key, state.ready, state.overdue) == (of.key, "true", 0)
    assert state.expires_at == (NOW - HOUR + TWELVE_HOURS).timestamp()


async def test_a_deleted_secret_has_no_expiry(world: World) -> None:
    of = world.see()
    world.has_secret(of)
    world.delete()
    assert only(world).expires_at is None


async def test_a_rivals_secret_counts_for_the_rival_alone(world: World) -> None:
    of, other = world.see(name="web"), world.see(name="late", generated_secret_name="web-pull")
    world.has_secret(of)
    states = {state.key: state for state in snapshot(world.cache, NOW)}
    assert states[of.key].expires_at is not None
    assert states[other.key].expires_at is None


async def test_overdue_counts_from_the_tokens_own_time(world: World) -> None:
    of = world.see(frequency="1h")
    world.has_secret(of)
    assert only(world, timedelta(minutes=56)).overdue == 0
    assert 3600 <= only(world, timedelta(hours=2)).overdue <= 3600 + 180


async def test_who_is_suspended_is_never_overdue(world: World) -> None:
    of = world.see(frequency="1h", suspend=True)
    world.has_secret(of)
    state = only(world, timedelta(hours=20))
    assert (state.overdue, state.expires_at) == (0, (NOW + TWELVE_HOURS).timestamp())


async def test_a_spec_that_makes_no_sense_shows_all_the_same(world: World) -> None:
    world.see(spec={})
    assert only(world) == ResourceSample(key=only(world).key, ready="unknown")
