"""What counts as a refresh, and who fails at present."""

from datetime import timedelta

import pytest

from ecr_operator.api.outcome import Reason
from ecr_operator.core.snapshot import failing
from tests.builders import HOUR, permanent, transient
from tests.core.world import World
from tests.fakes import settle
from tests.telemetry.reading import scrape


@pytest.fixture
async def world() -> World:
    """An empty cluster."""
    return World()


def refreshes(world: World) -> dict[str, float]:
    """Count the refreshes of Secrets by reason, where there was any."""
    seen = scrape(world.metrics.registry)
    counted = {str(reason): seen.value("refreshes_total", kind="Secret", reason=reason) for reason in Reason}
    return {reason: number for reason, number in counted.items() if number}


async def test_a_refresh_counts_once_and_having_nothing_to_do_not_at_all(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        for _ in range(10):
            world.queue.schedule_now(of.key)
            await settle()
        assert refreshes(world) == {"Refreshed": 1}


async def test_a_repair_counts_as_one(world: World) -> None:
    async with world.working():
        world.see()
        await settle()
        world.delete()
        await settle()
        assert refreshes(world) == {"Refreshed": 1, "Repaired": 1}


async def test_every_failed_attempt_counts_and_the_resource_fails_until_one_succeeds(world: World) -> None:
    world.aws.failing["us-east-2"] = transient(Reason.THROTTLED)
    async with world.working():
        of = world.see()
        await settle()
        assert failing(world.cache) == {("Secret", Reason.THROTTLED): 1}
        await world.clock.advance(600)
        counted = refreshes(world)
        assert counted.keys() == {"Throttled"}
        assert counted["Throttled"] == len(world.aws.asked) > 3
        world.aws.failing.clear()
        await world.clock.advance(120)
        assert refreshes(world) == counted | {"Refreshed": 1}
        assert failing(world.cache) == {}
        assert world.condition(of) == ("True", "Refreshed")


async def test_who_fails_shows_by_the_latest_reason_while_the_old_token_lives(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        world.aws.failing["us-east-2"] = permanent()
        await world.clock.advance(10 * 3600)
        assert world.condition(of) == ("True", "Refreshed")
        assert failing(world.cache) == {("Secret", Reason.ACCESS_DENIED): 1}


async def test_a_resource_that_is_gone_fails_no_more(world: World) -> None:
    world.aws.failing["us-east-2"] = permanent()
    async with world.working():
        of = world.see()
        await settle()
        assert failing(world.cache)
        world.see_deleted(of)
        await settle()
        assert not failing(world.cache)


async def test_suspending_a_failing_resource_ends_the_failure(world: World) -> None:
    world.aws.failing["us-east-2"] = permanent()
    async with world.working():
        world.see()
        await settle()
        world.see(suspend=True, generation=2)
        await settle()
        assert not failing(world.cache)
        assert refreshes(world) == {"AccessDenied": 1}


async def test_a_spec_that_makes_no_sense_counts_as_failing(world: World) -> None:
    async with world.working():
        world.see(ecr_registry="no host")
        await settle()
        assert sum(failing(world.cache).values()) == 1


async def test_a_renewal_in_time_is_not_late(world: World) -> None:
    async with world.working():
        world.see()
        await settle()
        for _ in range(24):
            await world.clock.advance(1800)
        assert refreshes(world) == {"Refreshed": 2}
        seen = scrape(world.metrics.registry)
        assert seen.values("refresh_lateness_seconds_count") == [1]
        assert seen.value("refresh_lateness_seconds_sum") < 1


async def test_a_renewal_after_an_outage_is_as_late_as_it_was(world: World) -> None:
    async with world.working():
        world.see()
        await settle()
        world.aws.failing["us-east-2"] = transient()
        await world.clock.advance(10.5 * 3600)
        world.aws.failing.clear()
        await world.clock.advance(300)
        seen = scrape(world.metrics.registry)
        assert seen.values("refresh_lateness_seconds_count") == [1]
        assert 1800 <= seen.value("refresh_lateness_seconds_sum") <= 1800 + 300 + 0.05 * 36000


async def test_a_refresh_that_somebody_asked_for_is_not_late(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        await world.clock.advance(HOUR.total_seconds())
        asked = {"ecr.mobb.redhat.com/refresh-requested-at": "now"}
        world.see(status=world.status(of), annotations=asked)
        await settle()
        assert refreshes(world) == {"Refreshed": 2}
        assert scrape(world.metrics.registry).values("refresh_lateness_seconds_count") == [0]


async def test_an_overdue_token_at_the_start_counts_as_late(world: World) -> None:
    async with world.working():
        of = world.see()
        world.has_secret(of, age=timedelta(hours=11))
        await world.clock.advance(300)
        seen = scrape(world.metrics.registry)
        assert seen.values("refresh_lateness_seconds_count") == [1]
        assert seen.value("refresh_lateness_seconds_sum") >= 3600
