"""Workers: one pass costs what it must, is reported once, and plans the next; with all parts of `core`."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
import structlog.testing

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import PermanentError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.core.snapshot import failing
from tests.builders import (
    HOUR,
    NAMESPACE,
    OHIO,
    host,
    permanent,
    raw_resource,
    relist,
    resource,
    transient,
)
from tests.core.world import World
from tests.fakes import settle
from tests.telemetry.reading import scrape

LIFE = timedelta(minutes=12)
REQUEST = "ecr.mobb.redhat.com/refresh-requested-at"
DENIED = PermanentError(Reason.KUBERNETES_FORBIDDEN, "You may not write that.")
DOWN = TransientError(Reason.KUBERNETES_UNAVAILABLE, "The API server did not do it.")


@pytest.fixture
async def idle() -> World:
    """An empty cluster without workers."""
    return World()


@pytest.fixture
async def world(idle: World) -> AsyncIterator[World]:
    """An empty cluster."""
    async with idle.working():
        yield idle


@pytest.fixture
async def brief(world: World) -> World:
    """An empty cluster with tokens that expire after 12 minutes, as virtual hours cost real time."""
    world.aws.life = LIFE
    return world


def statuses(world: World, of: Resource) -> list[Mapping[str, Any]]:
    return [status for key, status in world.resources.written if key == of.key]


def phases(world: World, of: Resource) -> list[str]:
    return [status["phase"] for status in statuses(world, of)]


def refreshes(world: World) -> dict[str, float]:
    """The metric of refreshes by reason, where there was any."""
    seen = scrape(world.metrics.registry)
    counted = {str(reason): seen.value("refreshes_total", kind="Secret", reason=reason) for reason in Reason}
    return {reason: number for reason, number in counted.items() if number}


def lateness(world: World) -> tuple[float, float]:
    """The metric of late refreshes: how many, and by how many seconds in all."""
    seen = scrape(world.metrics.registry)
    return seen.value("refresh_lateness_seconds_count"), seen.value("refresh_lateness_seconds_sum")


async def test_a_new_resource_costs_one_call_and_two_writes_and_no_event_and_a_second_pass_nothing(
    world: World,
) -> None:
    of = world.see()
    for _ in range(5):
        await settle()
        world.queue.schedule_now(of.key)
    assert (world.aws.asked, world.secrets.calls) == ([OHIO], ["apply team/web-pull"])
    assert world.resources.attempts == 1
    assert world.condition(of) == ("True", "Refreshed")
    assert (world.events.emitted, refreshes(world)) == ([], {"Refreshed": 1})


async def test_two_hundred_resources_of_one_source_cost_one_call(idle: World) -> None:
    async with idle.working(16):
        for number in range(200):
            idle.see(name=f"r{number}")
        for _ in range(20):
            await settle()
        assert (len(idle.aws.asked), len(idle.resources.written)) == (1, 200)


async def test_a_restart_with_everything_fresh_costs_nothing(idle: World) -> None:
    async with idle.working():
        of = await idle.apply()
    status, metadata = idle.status(of), idle.secrets.metadata["team", "web-pull"]
    idle.restart()
    idle.secrets.calls.clear()
    async with idle.working():
        relist(idle._watched_secrets, [{"metadata": metadata}])  # noqa: SLF001 - as the informer does
        idle.see(status=status)
        await idle.clock.advance(60)
    assert (len(idle.aws.asked), idle.secrets.calls, idle.resources.attempts) == (1, [], 1)


async def test_a_new_term_spends_nothing_on_what_another_leader_has_refreshed(idle: World) -> None:
    async with idle.working():
        of = await idle.apply()
    uid = idle.secrets.metadata["team", "web-pull"]["uid"]
    idle.secrets.calls.clear()
    # Past the deadline that is known of the earlier term.
    await idle.clock.advance(11 * 3600)
    idle.has_secret(of, version="500", uid=uid, applied_at=idle.clock.now())
    async with idle.working():
        await idle.clock.advance(600)
    assert (len(idle.aws.asked), idle.secrets.calls) == (1, [])


@pytest.mark.parametrize(("seconds", "frequency"), [(40, "10h"), (720, "24h")])
async def test_a_token_never_expires_and_each_refresh_costs_one_call_and_two_writes(
    world: World, seconds: int, frequency: str
) -> None:
    world.aws.life = timedelta(seconds=seconds)
    of = world.see(frequency=frequency)
    for _ in range(300):
        await world.clock.advance(seconds / 40)
        assert world.condition(of) == ("True", "Refreshed")
    assert 11 <= len(world.aws.asked) <= 13
    assert world.resources.attempts == len(world.secrets.calls) == len(world.aws.asked)
    assert world.events.emitted == []


async def test_a_frequency_of_a_second_calls_aws_every_five_minutes(world: World) -> None:
    world.see(frequency="1s")
    await world.clock.advance(3600)
    assert 11 <= len(world.aws.asked) <= 13


async def test_a_repair_is_reported_by_event_and_metric_but_not_by_status(world: World) -> None:
    of = await world.apply()
    world.delete()
    await settle()
    assert ("team", "web-pull") in world.secrets.metadata
    assert world.events.emitted == [(of.key, Reason.REPAIRED)]
    assert (world.resources.attempts, len(world.aws.asked)) == (1, 1)
    assert refreshes(world) == {"Refreshed": 1, "Repaired": 1}
    assert lateness(world) == (0, 0)


async def test_a_resource_that_is_being_deleted_gets_no_write(brief: World) -> None:
    of = await brief.apply()
    before = brief.status(of)
    writes, calls = brief.resources.attempts, list(brief.secrets.calls)
    brief.show(generation=2, deleting=True, status=before)
    brief.delete()
    await brief.clock.advance(13 * 60)
    assert (brief.resources.attempts, brief.secrets.calls) == (writes, calls)
    assert (brief.status(of), brief.events.emitted, len(brief.aws.asked)) == (before, [], 1)


async def test_a_pass_that_a_deletion_overtakes_is_not_reported(world: World) -> None:
    world.aws.hold()
    of = await world.apply()
    world.show(generation=2, deleting=True)
    world.aws.answer()
    await world.clock.advance(60)
    assert (world.status(of), world.secrets.calls) == ({}, [])


@pytest.mark.parametrize("change", ["delete", "release", "change"])
async def test_a_repair_reads_first_whether_the_resource_is_being_deleted(world: World, change: str) -> None:
    of = await world.apply()
    before, writes = world.status(of), world.resources.attempts
    world.resources.looked_for.clear()
    world.resources.deleting.add(of.key)
    getattr(world, change)()
    await settle()
    assert [call for call in world.secrets.calls if call.startswith("apply")] == ["apply team/web-pull"]
    assert (world.status(of), world.resources.attempts, world.events.emitted) == (before, writes, [])
    assert world.resources.looked_for == ["web"]


async def test_a_secret_without_its_owner_reference_is_repaired(world: World) -> None:
    of = await world.apply()
    world.release()
    await settle()
    assert world.secrets.metadata["team", "web-pull"]["ownerReferences"]
    assert world.events.emitted == [(of.key, Reason.REPAIRED)]


async def test_a_label_that_an_admission_overwrites_is_reported_once_and_the_token_renewed(
    brief: World,
) -> None:
    brief.secrets.labels = {"app.kubernetes.io/managed-by": "Helm"}
    brief.aws.life = 2 * LIFE
    of = brief.see()
    for _ in range(44):
        await brief.clock.advance(60)
        assert brief.condition(of) == ("True", "Refreshed")
        assert brief.condition(of, "Refreshed") == ("False", "FieldsContested")
        assert brief.status(of)["nextRefreshTime"]
    assert len(brief.aws.asked) == 3
    assert brief.resources.attempts == 3
    assert brief.events.emitted == [(of.key, Reason.FIELDS_CONTESTED)]
    # One read every 30 s, and a try whether the label stays every 10 minutes.
    calls = Counter(call.split()[0] for call in brief.secrets.calls)
    assert calls["look"] <= 2 * 44 + 10
    assert 3 < calls["apply"] <= 3 + 4
    brief.secrets.labels = {}
    await brief.clock.advance(660)
    assert brief.condition(of, "Refreshed") == ("True", "Refreshed")
    looks = Counter(call.split()[0] for call in brief.secrets.calls)["look"]
    await brief.clock.advance(300)
    assert Counter(call.split()[0] for call in brief.secrets.calls)["look"] == looks


async def test_a_deletion_that_no_watch_shows_is_repaired_in_half_a_minute(world: World) -> None:
    world.secrets.labels = {"app.kubernetes.io/managed-by": "Helm"}
    world.see()
    await world.clock.advance(60)
    del world.secrets.metadata["team", "web-pull"]
    await world.clock.advance(31)
    assert ("team", "web-pull") in world.secrets.metadata
    assert len(world.aws.asked) == 1


async def test_a_deletion_that_no_watch_shows_is_repaired_under_a_slip_too(world: World) -> None:
    world.secrets.labels = {"app.kubernetes.io/managed-by": "Helm"}
    of = world.see()
    await world.clock.advance(60)
    world.see(generation=2, status=world.status(of), frequency="10 hours")
    await world.clock.advance(60)
    assert world.condition(of, "Refreshed") == ("False", Reason.INVALID_SPEC)
    written = world.resources.attempts
    del world.secrets.metadata["team", "web-pull"]
    await world.clock.advance(31)
    assert ("team", "web-pull") in world.secrets.metadata
    assert (len(world.aws.asked), world.resources.attempts) == (1, written)


async def test_a_contested_label_does_not_delay_the_renewal(brief: World) -> None:
    of = await brief.apply()
    for _ in range(13):
        if ("team", "web-pull") in brief.secrets.metadata:
            brief.relabel()
        await brief.clock.advance(60)
        assert brief.condition(of)[0] == "True"
    assert brief.secrets.metadata["team", "web-pull"]
    assert len(brief.aws.asked) == 2
    assert brief.clock.now() < brief.expiry()


async def test_pending_is_reported_after_two_seconds(world: World) -> None:
    world.aws.hold()
    of = world.see()
    await world.clock.advance(1.9)
    assert world.resources.attempts == 0
    await world.clock.advance(0.2)
    assert (phases(world, of), world.condition(of, "Refreshed")) == (["Pending"], ("Unknown", "Pending"))
    await world.clock.advance(60)
    assert phases(world, of) == ["Pending"]
    world.aws.answer()
    await settle()
    assert phases(world, of) == ["Pending", "Updated"]


async def test_a_region_that_hangs_delays_no_other_region(idle: World) -> None:
    idle.aws.hold()
    async with idle.working(1):
        for number in range(50):
            idle.see(name=f"slow{number}")
        await idle.clock.advance(5)
        idle.aws.answer()
        quick = idle.see(name="quick", ecr_registry=host("eu-west-1"))
        for _ in range(5):
            await settle()
        assert idle.condition(quick) == ("True", "Refreshed")


async def test_a_failure_is_reported_once_however_often_it_is_retried(world: World) -> None:
    world.aws.failing["us-east-2"] = transient(Reason.THROTTLED)
    of = await world.apply()
    assert failing(world.cache) == {("Secret", Reason.THROTTLED): 1}
    await world.clock.advance(1800)
    assert len(world.aws.asked) > 20
    assert refreshes(world) == {"Throttled": len(world.aws.asked)}
    assert world.condition(of, "Refreshed") == ("False", "Throttled")
    assert (len(statuses(world, of)), world.events.emitted) == (1, [(of.key, Reason.THROTTLED)])


async def test_a_failure_after_the_expiry_of_the_token_is_reported_once(brief: World) -> None:
    of = await brief.apply()
    brief.aws.failing["us-east-2"] = transient()
    await brief.clock.advance(12 * 60 + 5)
    assert brief.condition(of) == ("False", "TokenExpired")
    before = brief.resources.attempts
    await brief.clock.advance(600)
    assert brief.resources.attempts == before


async def test_an_aws_that_fails_slowly_is_reported_once(world: World) -> None:
    """Each attempt takes 10 s: longer than it takes until Pending is reported."""
    world.aws.failing["us-east-2"] = transient(Reason.THROTTLED)
    of = world.see()
    for _ in range(10):
        world.aws.hold()
        await world.clock.advance(70)
        world.aws.answer()
        await settle()
    assert world.condition(of, "Refreshed")[1] in {"Throttled", "Pending"}
    assert len(world.events.emitted) == 1
    assert len(statuses(world, of)) <= 2


async def test_the_expiry_of_the_token_is_reported_in_that_second(brief: World) -> None:
    of = await brief.apply()
    brief.aws.failing["us-east-2"] = permanent()
    await brief.clock.advance(12 * 60 - 1)
    assert (brief.condition(of), brief.status(of)["phase"]) == (("True", "Refreshed"), "Updated")
    assert brief.condition(of, "Refreshed") == ("False", "AccessDenied")
    assert failing(brief.cache) == {("Secret", Reason.ACCESS_DENIED): 1}
    await brief.clock.advance(1)
    assert (brief.condition(of), brief.status(of)["phase"]) == (("False", "TokenExpired"), "Failed")
    assert brief.events.emitted == [(of.key, Reason.ACCESS_DENIED), (of.key, Reason.TOKEN_EXPIRED)]
    assert brief.secrets.calls == ["apply team/web-pull"], "the last good token stays"


async def test_a_recovery_is_reported_and_ends_stalled(world: World) -> None:
    world.aws.failing["us-east-2"] = permanent()
    of = world.see()
    await world.clock.advance(60)
    assert (world.condition(of)[0], world.condition(of, "Stalled")) == ("False", ("True", "AccessDenied"))
    assert world.secrets.calls == []
    del world.aws.failing["us-east-2"]
    await world.clock.advance(600)
    assert (world.condition(of), world.condition(of, "Stalled")) == (("True", "Refreshed"), ("", ""))
    assert world.events.emitted == [(of.key, Reason.ACCESS_DENIED), (of.key, Reason.REFRESHED)]
    assert refreshes(world).pop("Refreshed") == 1
    assert failing(world.cache) == {}


async def test_a_foreign_secret_is_read_every_half_minute_and_reported_once(world: World) -> None:
    world.has_foreign_secret()
    of = world.see()
    await world.clock.advance(299)
    assert world.condition(of) == ("False", "SecretConflict")
    assert world.secrets.calls.count("look team/web-pull") == 10
    assert (len(statuses(world, of)), len(world.aws.asked)) == (1, 1)
    assert world.secrets.metadata["team", "web-pull"]["resourceVersion"] == "7"
    assert world.secrets.manifests == {}
    world.secrets.metadata.clear()
    await world.clock.advance(30)
    assert world.condition(of) == ("True", "Refreshed")


async def test_a_failure_of_kubernetes_is_retried_with_backoff(world: World) -> None:
    world.secrets.failures = [DOWN] * 1000
    of = world.see()
    await world.clock.advance(600)
    assert 75 <= len(world.secrets.calls) <= 240
    assert (len(world.aws.asked), len(statuses(world, of))) == (1, 1)
    world.secrets.failures.clear()
    await world.clock.advance(30)
    assert world.condition(of) == ("True", "Refreshed")


async def test_a_refused_status_is_reported_once_by_event_and_log_and_retried_slowly(
    world: World,
) -> None:
    world.resources.refusing = DENIED
    with structlog.testing.capture_logs() as logs:
        of = world.see()
        await world.clock.advance(3600)
        assert len(world.events.emitted) == 1
        assert [each["event"] for each in logs].count("status can't be written") == 1
        assert world.resources.attempts <= 60
        world.resources.refusing = None
        await world.clock.advance(300)
        assert world.condition(of) == ("True", "Refreshed")


@pytest.mark.parametrize("refusing", [DENIED, DOWN], ids=["for ever", "for now"])
async def test_a_refused_status_changes_nothing_about_renewals(world: World, refusing: Any) -> None:
    world.aws.life = timedelta(seconds=120)
    world.resources.refusing = refusing
    world.see()
    for _ in range(120):
        await world.clock.advance(10)
        assert world.expiry() > world.clock.now()
    assert len(world.aws.asked) <= 17


async def test_under_the_crds_of_v0_6_0_a_status_is_written_once(world: World) -> None:
    world.resources.kept = frozenset({"phase", "lastUpdatedTime"})
    of = await world.apply()
    assert world.status(of) == {"phase": "Updated", "lastUpdatedTime": "2026-03-01T12:00:00Z"}
    await world.apply(generation=2, frequency="9h", status=world.status(of))
    assert world.resources.attempts == 1


async def test_under_the_crds_of_v0_6_0_only_the_first_log_line_of_a_resource_is_first(
    world: World,
) -> None:
    world.resources.kept = frozenset({"phase", "lastUpdatedTime"})
    with structlog.testing.capture_logs() as logs:
        of = await world.apply()
        await world.apply(generation=2, spec=[], status=world.status(of))
        world.see_deleted(of)
        await world.apply(uid="u2")
    assert [line.get("first", False) for line in logs if line.get("name") == "web"] == [True, False, True]


async def test_a_status_of_v0_6_0_without_its_secret_does_not_count(world: World) -> None:
    world.aws.failing["us-east-2"] = transient()
    of = world.see(status={"phase": "Updated", "lastUpdatedTime": "2026-03-01T10:00:00Z"})
    await world.clock.advance(1800)
    assert (world.status(of)["phase"], world.condition(of)) == ("Failed", ("False", "AWSUnavailable"))
    assert len(world.aws.asked) > 5
    assert world.resources.attempts <= 2


async def test_an_unexpected_error_is_retried_and_ends_no_worker(idle: World) -> None:
    idle.secrets.failures = [RuntimeError("AWS:hunter2")] * 5
    with structlog.testing.capture_logs() as logs:
        async with idle.working(1):
            of = await idle.apply()
            other = idle.see(name="shop", ecr_registry=host("eu-west-1"))
            await idle.clock.advance(60)
            assert idle.condition(of) == idle.condition(other) == ("True", "Refreshed")
    assert {"error": "RuntimeError", "event": "unexpected error"}.items() <= logs[0].items()
    assert "hunter2" not in str(logs)


async def test_an_invalid_spec_is_reported_once_and_costs_nothing_more(world: World) -> None:
    of = world.see(spec=[])
    await world.clock.advance(3600)
    assert (world.condition(of), len(statuses(world, of))) == (("False", "InvalidSpec"), 1)
    assert (world.aws.asked, world.secrets.calls) == ([], [])
    assert failing(world.cache) == {("Secret", Reason.INVALID_SPEC): 1}
    await world.apply(generation=2)
    assert world.condition(of) == ("True", "Refreshed")


async def test_a_spec_change_is_acted_on_at_once(world: World) -> None:
    of = await world.apply()
    await world.apply(generation=2, status=world.status(of), ecr_registry=host("eu-west-1"))
    assert len(world.aws.asked) == 2
    assert world.status(of)["observedGeneration"] == 2


async def test_a_deleted_resource_is_never_reconciled_again(brief: World) -> None:
    of = await brief.apply()
    brief.see_deleted(of)
    await brief.clock.advance(24 * 60)
    assert (len(brief.aws.asked), len(brief.queue), brief.resources.attempts) == (1, 0, 1)


async def test_a_resource_that_is_deleted_during_its_pass_leaves_nothing(world: World) -> None:
    world.aws.hold()
    of = await world.apply()
    world.see_deleted(of)
    world.aws.answer()
    await world.clock.advance(3600)
    assert (world.secrets.calls, world.resources.attempts, len(world.queue)) == ([], 0, 0)


async def test_a_recreated_resource_gets_its_own_secret(world: World) -> None:
    of = await world.apply()
    world.see_deleted(of)
    anew = await world.apply(uid="u2")
    owner = world.secrets.metadata["team", "web-pull"]["annotations"]["ecr.mobb.redhat.com/owner-uid"]
    assert (owner, world.condition(anew), len(world.aws.asked)) == ("u2", ("True", "Refreshed"), 1)


async def test_a_wall_clock_step_past_the_expiry_renews_in_seconds(world: World) -> None:
    of = await world.apply()
    world.clock.step_wall(13 * HOUR)
    await world.clock.advance(6)
    assert len(world.aws.asked) == 2
    assert world.condition(of) == ("True", "Refreshed")


async def test_an_event_does_not_shorten_retry_after(world: World) -> None:
    world.secrets.failures = [transient(Reason.KUBERNETES_UNAVAILABLE, retry_after=30)]
    of = await world.apply()
    attempts = len(world.secrets.calls)
    world.queue.schedule_now(of.key)
    await world.clock.advance(25)
    assert len(world.secrets.calls) == attempts
    await world.clock.advance(10)
    assert world.condition(of) == ("True", "Refreshed")


async def test_a_long_outage_does_not_lengthen_the_pause_after_a_refusal(world: World) -> None:
    outage = [transient(Reason.KUBERNETES_UNAVAILABLE) for _ in range(12)]
    world.secrets.failures = [*outage, permanent(Reason.KUBERNETES_FORBIDDEN)]
    of = await world.apply()
    while world.secrets.failures:
        await world.clock.advance(1)
    await world.clock.advance(2)
    assert world.condition(of) == ("True", "Refreshed")


async def test_the_long_parts_of_a_large_spec_are_read_for_each_pass_and_not_kept(
    world: World,
) -> None:
    fields: dict[str, Any] = {"secret_annotations": {f"note-{number}": "x" * 1000 for number in range(20)}}
    of = world.see(**fields)
    world.resources.stored[of.key] = raw_resource(**fields)
    kept = world.cache.resource(of.key)
    assert kept
    assert kept.left_out
    assert len(repr(kept)) < 2000
    await world.clock.advance(1)
    assert world.condition(of) == ("True", "Refreshed")
    written = world.secrets.metadata[NAMESPACE, "web-pull"]["annotations"]
    assert fields["secret_annotations"].items() <= written.items()
    world.see(**fields)
    await world.clock.advance(1)
    assert len(world.secrets.calls) == 1, "nothing has changed"


async def test_a_resource_beyond_the_bound_is_read_when_there_is_room() -> None:
    world = World(most=1)
    async with world.working():
        first = world.see()
        raw = world.show(name="shop")
        beyond = resource(name="shop")
        await world.clock.advance(1)
        assert world.cache.resource(beyond.key) is None
        world.resources.stored[beyond.key] = raw
        world.resources.uids[beyond.key] = beyond.uid
        world.see_deleted(first)
        await world.clock.advance(1)
        assert world.condition(beyond) == ("True", "Refreshed")


async def test_a_request_within_the_rate_bound_waits_and_reports_when_aws_is_called(world: World) -> None:
    of = await world.apply()
    planned = world.status(of)["nextRefreshTime"]
    await world.clock.advance(100)
    of = await world.apply(status=world.status(of), annotations={REQUEST: "now"})
    assert world.status(of)["nextRefreshTime"] == "2026-03-01T12:05:00Z"
    assert (world.condition(of), len(world.aws.asked)) == (("True", "Refreshed"), 1)
    await world.clock.advance(199)
    assert (len(world.aws.asked), len(statuses(world, of))) == (1, 2)
    await world.clock.advance(2)
    assert len(world.aws.asked) == 2
    assert world.status(of)["nextRefreshTime"][:13] == planned[:13]
    assert world.secrets.manifests["web-pull"]["metadata"]["annotations"][REQUEST] == "now"
    assert refreshes(world) == {"Refreshed": 2}
    assert lateness(world) == (0, 0), "it comes before its time"


@pytest.mark.parametrize("change", ["deleted", "suspended"])
async def test_a_failing_resource_fails_until_it_is_deleted_or_suspended(world: World, change: str) -> None:
    world.aws.failing["us-east-2"] = permanent()
    of = await world.apply()
    assert failing(world.cache)
    if change == "deleted":
        world.see_deleted(of)
    else:
        await world.apply(suspend=True, generation=2)
    assert not failing(world.cache)
    assert refreshes(world) == {"AccessDenied": 1}


@pytest.mark.parametrize(("outage", "least", "most"), [(0, 0, 1), (540, 60, 540)], ids=["in time", "late"])
async def test_a_renewal_is_as_late_as_it_was(brief: World, outage: int, least: int, most: int) -> None:
    await brief.apply()
    if outage:
        brief.aws.failing["us-east-2"] = transient()
        await brief.clock.advance(outage)
        brief.aws.failing.clear()
    await brief.clock.advance(9 * 60 - outage + 60)
    count, seconds = lateness(brief)
    assert (count, least <= seconds <= most) == (1, True)


async def test_a_token_overdue_at_the_start_is_renewed_late(world: World) -> None:
    of = world.see()
    world.has_secret(of, age=timedelta(hours=11))
    await world.clock.advance(300)
    count, seconds = lateness(world)
    assert (count, seconds >= 3600) == (1, True)


async def test_worker_an_unexpected_error_of_a_resource_known_by_name_only_is_retried() -> None:
    world = World(most=1)
    async with world.working():
        first = world.see()
        raw = world.show(name="shop")
        beyond = resource(name="shop")
        world.resources.stored[beyond.key] = {}
        world.resources.uids[beyond.key] = beyond.uid
        world.see_deleted(first)
        with structlog.testing.capture_logs() as logs:
            await world.clock.advance(1)
        assert [each["error"] for each in logs if each["event"] == "unexpected error"] == ["KeyError"]
        world.resources.stored[beyond.key] = raw
        await world.clock.advance(6)
        assert world.condition(beyond) == ("True", "Refreshed")
