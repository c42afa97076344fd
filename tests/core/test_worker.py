"""Workers: one pass costs what it must, is reported once, and plans the next; with all parts of `core`."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import structlog.testing

from ecr_operator.api.errors import OperatorError, PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.parsing import REFRESH_REQUESTED
from ecr_operator.core.snapshot import failing
from tests.builders import (
    HOUR,
    NAMESPACE,
    OHIO,
    cases,
    host,
    permanent,
    raw_resource,
    relist,
    resource,
    transient,
)
from tests.core.world import LIFE, World
from tests.fakes import settle
from tests.telemetry.reading import scrape

GOOD = ("True", "Refreshed")
HELM = {"app.kubernetes.io/managed-by": "Helm"}
DENIED = PermanentError(Reason.KUBERNETES_FORBIDDEN, "You may not write that.")
DOWN = transient(Reason.KUBERNETES_UNAVAILABLE)
OLD_CRD = frozenset({"phase", "lastUpdatedTime"})
TWELVE = 12 * 60


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
    """An empty cluster with tokens that expire after 12 minutes."""
    world.aws.life = LIFE
    return world


def phases(world: World) -> list[str]:
    """The phase in every status that was written."""
    return [status["phase"] for _, status in world.resources.written]


def calls(world: World) -> Counter[str]:
    """How often each verb was used on Secrets."""
    return Counter(call.split()[0] for call in world.secrets.calls)


def refreshes(world: World) -> dict[str, float]:
    """The metric of refreshes by reason, where there was any."""
    seen = scrape(world.metrics.registry)
    counted = {str(reason): seen.value("refreshes_total", kind="Secret", reason=reason) for reason in Reason}
    return {reason: number for reason, number in counted.items() if number}


def lateness(world: World) -> tuple[float, float]:
    """The metric of late refreshes: how many, and by how many seconds in all."""
    seen = scrape(world.metrics.registry)
    return seen.value("refresh_lateness_seconds_count"), seen.value("refresh_lateness_seconds_sum")


async def test_a_new_resource_costs_one_call_and_two_writes(world: World) -> None:
    of = world.see()
    for _ in range(5):
        await settle()
        world.queue.schedule_now(of.key)
    assert (world.aws.asked, world.secrets.calls) == ([OHIO], ["apply team/web-pull"])
    assert (world.resources.attempts, world.condition(of)) == (1, GOOD)
    assert (world.events.emitted, refreshes(world)) == ([], {"Refreshed": 1})


async def test_a_restart_with_everything_fresh_costs_nothing(idle: World) -> None:
    async with idle.working():
        of = await idle.apply()
    status, metadata = idle.status(of), idle.secrets.metadata["team", "web-pull"]
    idle.restart()
    idle.secrets.calls.clear()
    async with idle.working():
        relist(idle.watched_secrets, [{"metadata": metadata}])
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
async def test_a_token_never_expires(world: World, seconds: int, frequency: str) -> None:
    world.aws.life = timedelta(seconds=seconds)
    of = world.see(frequency=frequency)
    for _ in range(150):
        await world.clock.advance(seconds / 20)
        assert world.condition(of) == GOOD
    assert 11 <= len(world.aws.asked) <= 13
    assert world.resources.attempts == len(world.secrets.calls) == len(world.aws.asked)
    assert world.events.emitted == []


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


@pytest.mark.parametrize("change", ["delete", "release", "change_secret"])
@pytest.mark.parametrize("deleting", [False, True])
async def test_a_repair_asks_first_for_the_resource(world: World, change: str, *, deleting: bool) -> None:
    of = await world.apply()
    before, writes = world.status(of), world.resources.attempts
    world.resources.looked_for.clear()
    world.resources.deleting |= {of.key} if deleting else set()
    getattr(world, change)()
    await settle()
    assert (world.status(of), world.resources.attempts, world.resources.looked_for) == (
        before,
        writes,
        ["web"],
    )
    assert calls(world)["apply"] == (1 if deleting else 2)
    assert world.events.emitted == ([] if deleting else [(of.key, Reason.REPAIRED)])
    assert (len(world.aws.asked), lateness(world)) == (1, (0, 0))
    if not deleting:
        assert refreshes(world) == {"Refreshed": 1, "Repaired": 1}
        assert world.secrets.metadata["team", "web-pull"]["ownerReferences"]


async def test_an_overwritten_label_is_reported_once_and_the_token_renewed(brief: World) -> None:
    brief.secrets.labels = HELM
    brief.aws.life = 2 * LIFE
    of = brief.see()
    for _ in range(44):
        await brief.clock.advance(60)
        assert brief.condition(of) == GOOD
        assert brief.condition(of, "Refreshed") == ("False", "FieldsContested")
        assert brief.status(of)["nextRefreshTime"]
    assert len(brief.aws.asked) == 3
    assert brief.resources.attempts == 3
    assert brief.events.emitted == [(of.key, Reason.FIELDS_CONTESTED)]
    # One read every 30 s, and a try whether the label stays every 10 minutes.
    assert calls(brief)["look"] <= 2 * 44 + 10
    assert 3 < calls(brief)["apply"] <= 3 + 4
    brief.secrets.labels = {}
    await brief.clock.advance(660)
    assert brief.condition(of, "Refreshed") == GOOD
    looks = calls(brief)["look"]
    await brief.clock.advance(300)
    assert calls(brief)["look"] == looks


@cases("said", {"a valid spec": {}, "a field that is not valid": {"frequency": "10 hours"}})
async def test_a_deletion_that_no_watch_shows_is_repaired(world: World, said: dict[str, Any]) -> None:
    world.secrets.labels = HELM
    of = await world.apply()
    await world.clock.advance(60)
    await world.change(of, **said)
    await world.clock.advance(60)
    assert world.condition(of, "Refreshed")[1] == (Reason.INVALID_SPEC if said else Reason.FIELDS_CONTESTED)
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
    assert (len(brief.aws.asked), brief.clock.now() < brief.expiry()) == (2, True)


async def test_pending_is_reported_after_two_seconds(world: World) -> None:
    world.aws.hold()
    of = world.see()
    await world.clock.advance(1.9)
    assert world.resources.attempts == 0
    await world.clock.advance(0.2)
    assert world.condition(of, "Refreshed") == ("Unknown", "Pending")
    assert len(world.queue) == 0, "it is enqueued when the call ends"
    await world.clock.advance(60)
    assert phases(world) == ["Pending"]
    world.aws.answer()
    await settle()
    assert phases(world) == ["Pending", "Updated"]


async def test_a_failure_is_reported_once_however_often_it_is_retried(world: World) -> None:
    world.aws.failing["us-east-2"] = transient(Reason.THROTTLED)
    of = await world.apply()
    assert failing(world.cache) == {("Secret", Reason.THROTTLED): 1}
    await world.clock.advance(900)
    assert len(world.aws.asked) > 20
    assert refreshes(world) == {"Throttled": len(world.aws.asked)}
    assert world.condition(of, "Refreshed") == ("False", "Throttled")
    assert (len(phases(world)), world.events.emitted) == (1, [(of.key, Reason.THROTTLED)])


async def test_an_aws_that_fails_slowly_is_reported_once(world: World) -> None:
    # Each attempt takes longer than it takes until Pending is reported.
    world.aws.failing["us-east-2"] = transient(Reason.THROTTLED)
    of = world.see()
    for _ in range(10):
        world.aws.hold()
        await world.clock.advance(70)
        world.aws.answer()
        await settle()
    assert world.condition(of, "Refreshed")[1] in {"Throttled", "Pending"}
    assert len(world.events.emitted) == 1
    assert len(phases(world)) <= 2


@cases("error", {"for ever": permanent(), "for now": transient()})
async def test_the_expiry_of_the_token_is_reported_once(brief: World, error: OperatorError) -> None:
    of = await brief.apply()
    brief.aws.failing["us-east-2"] = error
    await brief.clock.advance(TWELVE - 1)
    assert (brief.condition(of), brief.status(of)["phase"]) == (GOOD, "Updated")
    assert brief.condition(of, "Refreshed") == ("False", error.reason)
    assert failing(brief.cache) == {("Secret", error.reason): 1}
    await brief.clock.advance(1)
    assert (brief.condition(of), brief.status(of)["phase"]) == (("False", "TokenExpired"), "Failed")
    await brief.clock.advance(300)
    assert brief.events.emitted == [(of.key, error.reason), (of.key, Reason.TOKEN_EXPIRED)]
    assert brief.secrets.calls == ["apply team/web-pull"], "the last good token stays"
    assert brief.resources.attempts == 3


async def test_a_write_that_hangs_does_not_hide_that_the_token_expires(brief: World) -> None:
    of = await brief.apply()
    brief.secrets.delay = 60.0
    await brief.clock.advance(TWELVE - 1)
    assert brief.condition(of) == GOOD
    await brief.clock.advance(4)
    assert brief.condition(of) == ("False", "TokenExpired")


async def test_a_recovery_is_reported_and_ends_stalled(world: World) -> None:
    world.aws.failing["us-east-2"] = permanent()
    of = world.see()
    await world.clock.advance(60)
    assert (world.condition(of)[0], world.condition(of, "Stalled")) == ("False", ("True", "AccessDenied"))
    assert world.secrets.calls == []
    del world.aws.failing["us-east-2"]
    await world.clock.advance(600)
    assert (world.condition(of), world.condition(of, "Stalled")) == (GOOD, ("", ""))
    assert world.events.emitted == [(of.key, Reason.ACCESS_DENIED), (of.key, Reason.REFRESHED)]
    assert refreshes(world).pop("Refreshed") == 1
    assert failing(world.cache) == {}


async def test_a_foreign_secret_is_read_every_half_minute_and_reported_once(world: World) -> None:
    world.has_foreign_secret()
    of = world.see()
    await world.clock.advance(299)
    assert world.condition(of) == ("False", "SecretConflict")
    assert world.secrets.calls.count("look team/web-pull") == 10
    assert (len(phases(world)), len(world.aws.asked)) == (1, 1)
    assert world.secrets.manifests == {}
    world.secrets.metadata.clear()
    await world.clock.advance(30)
    assert world.condition(of) == GOOD


async def test_only_the_two_oldest_of_many_rivals_try_again(world: World) -> None:
    world.has_foreign_secret()
    for hours in (5, 4, 3, 2, 1):
        await world.apply(name=f"r{hours}", age=hours * HOUR, generated_secret_name="web-pull")  # noqa: S106
    assert len(world.queue) == 2


async def test_a_failure_of_kubernetes_is_retried_with_backoff(world: World) -> None:
    world.secrets.failures = [DOWN] * 1000
    of = world.see()
    await world.clock.advance(600)
    assert 75 <= len(world.secrets.calls) <= 240
    assert (len(world.aws.asked), len(phases(world))) == (1, 1)
    world.secrets.failures.clear()
    await world.clock.advance(30)
    assert world.condition(of) == GOOD


async def test_a_refused_status_is_reported_once_by_event_and_log_and_retried_slowly(world: World) -> None:
    world.resources.refusing = DENIED
    with structlog.testing.capture_logs() as logs:
        of = world.see()
        await world.clock.advance(1800)
        world.resources.refusing = None
        assert (len(world.events.emitted), world.resources.attempts <= 30) == (1, True)
        await world.clock.advance(300)
    assert world.condition(of) == GOOD
    assert [each["event"] for each in logs].count("status can't be written") == 1


@cases("refusing", {"for ever": DENIED, "for now": DOWN})
async def test_a_refused_status_changes_nothing_about_renewals(world: World, refusing: Any) -> None:
    world.aws.life = timedelta(seconds=120)
    world.resources.refusing = refusing
    world.see()
    for _ in range(60):
        await world.clock.advance(10)
        assert world.expiry() > world.clock.now()
    assert len(world.aws.asked) <= 9


async def test_under_the_crds_of_v0_6_0_a_status_is_written_once(world: World) -> None:
    world.resources.kept = OLD_CRD
    with structlog.testing.capture_logs() as logs:
        of = await world.apply()
        assert world.status(of) == {"phase": "Updated", "lastUpdatedTime": "2026-03-01T12:00:00Z"}
        await world.change(of, frequency="9h")
        assert world.resources.attempts == 1
        await world.change(of, spec=[])
        world.see_deleted(of)
        await world.apply(uid="u2")
    assert [line.get("first", False) for line in logs if line.get("name") == "web"] == [True, False, True]


@cases("change", {"all": None, "phase": {"phase": "Failed"}, "conditions": {"conditions": []}})
async def test_a_status_that_others_change_is_written_anew(world: World, change: Any) -> None:
    of = await world.apply()
    good = world.status(of)
    await world.apply(status=change and {**good, **change})
    await world.clock.advance(2)
    assert world.condition(of) == world.condition(of, "Refreshed") == GOOD
    assert {**world.status(of), "conditions": []} == {**good, "conditions": []}
    assert (world.resources.attempts, world.secrets.calls) == (2, ["apply team/web-pull"])
    assert (world.events.emitted, world.aws.asked) == ([], [OHIO])


@pytest.mark.parametrize("pause", [0.1, 2.0])
async def test_a_status_that_others_change_all_the_time_is_written_seldom(world: World, pause: float) -> None:
    of = await world.apply()
    for number in range(round(120 / pause)):
        await world.apply(status={**world.status(of), "phase": f"wrong {number}"})
        await world.clock.advance(pause)
    assert 2 <= world.resources.attempts <= 20
    await world.clock.advance(60)
    assert world.status(of)["phase"] == "Updated"


async def test_an_echo_of_the_status_that_comes_before_the_answer_causes_no_pass(world: World) -> None:
    world.resources.echo = lambda status: world.show(status=status)
    of = await world.apply()
    assert (world.resources.attempts, world.condition(of)) == (1, GOOD)
    world.state(of).reconciled = None  # each pass sets it
    await world.clock.advance(2)
    assert world.state(of).reconciled is None


async def test_an_unexpected_error_is_retried_and_ends_no_worker(idle: World) -> None:
    idle.secrets.failures = [RuntimeError("AWS:hunter2")] * 5
    with structlog.testing.capture_logs() as logs:
        async with idle.working(1):
            of = await idle.apply()
            other = idle.see(name="shop", ecr_registry=host("eu-west-1"))
            await idle.clock.advance(60)
            assert idle.condition(of) == idle.condition(other) == GOOD
    assert {"error": "RuntimeError", "event": "unexpected error"}.items() <= logs[0].items()
    assert "hunter2" not in str(logs)


@pytest.mark.parametrize("during", [False, True], ids=["later", "during its pass"])
async def test_a_deleted_resource_is_never_reconciled_again(brief: World, *, during: bool) -> None:
    if during:
        brief.aws.hold()
    of = await brief.apply()
    brief.see_deleted(of)
    brief.aws.answer()
    await brief.clock.advance(24 * 60)
    written = 0 if during else 1
    assert (len(brief.secrets.calls), len(brief.queue), brief.resources.attempts) == (written, 0, written)
    assert len(brief.aws.asked) == 1


async def test_an_event_does_not_shorten_retry_after(world: World) -> None:
    world.secrets.failures = [transient(Reason.KUBERNETES_UNAVAILABLE, retry_after=30)]
    of = await world.apply()
    attempts = len(world.secrets.calls)
    world.queue.schedule_now(of.key)
    await world.clock.advance(25)
    assert len(world.secrets.calls) == attempts
    await world.clock.advance(10)
    assert world.condition(of) == GOOD


async def test_a_long_outage_does_not_lengthen_the_pause_after_a_refusal(world: World) -> None:
    world.secrets.failures = [*[DOWN] * 12, permanent(Reason.KUBERNETES_FORBIDDEN)]
    of = await world.apply()
    while world.secrets.failures:
        await world.clock.advance(1)
    await world.clock.advance(2)
    assert world.condition(of) == GOOD


async def test_a_refusal_beside_an_outage_of_the_status_does_not_end_the_backoff(world: World) -> None:
    world.secrets.failures = [DENIED] * 1000
    world.resources.refusing = DOWN
    world.see()
    await world.clock.advance(60)
    assert world.resources.attempts < 30


async def test_of_two_pauses_that_the_server_asks_for_the_longer_counts(world: World) -> None:
    world.secrets.failures = [transient(Reason.KUBERNETES_UNAVAILABLE, retry_after=30)]
    world.resources.refusing = transient(Reason.KUBERNETES_UNAVAILABLE, retry_after=1)
    world.see()
    await world.clock.advance(29)
    assert world.secrets.calls == ["apply team/web-pull"]


async def test_a_repair_has_its_event_though_the_status_can_not_be_written(world: World) -> None:
    of, _ = await world.apply(), await world.apply(name="other")
    await world.clock.advance(HOUR.total_seconds())
    world.see(name="other", annotations={REFRESH_REQUESTED: "now"})
    await world.clock.advance(1)
    # The repair writes the other one's newer token, hence another status.
    world.resources.refusing = DOWN
    world.secrets.metadata.pop((NAMESPACE, "web-pull"))
    world.cache.remove_secret((NAMESPACE, "web-pull"))
    await world.clock.advance(1)
    world.resources.refusing = None
    await world.clock.advance(60)
    assert world.events.emitted == [(of.key, Reason.REPAIRED)]


async def test_a_corrected_spec_does_not_wait_for_what_a_refusal_asked(world: World) -> None:
    world.secrets.failures = [PermanentError(Reason.KUBERNETES_REFUSED, "No.", retry_after=30)]
    of = world.see()
    await world.clock.advance(1)
    assert not world.secrets.metadata
    world.see(annotations={REFRESH_REQUESTED: "now"})
    await world.clock.advance(1)
    assert not world.secrets.metadata, "an annotation is no correction"
    world.see(generation=2, frequency="5h")
    await world.clock.advance(1)
    assert world.condition(of) == GOOD


async def test_the_long_parts_of_a_large_spec_are_read_for_each_pass_and_not_kept(world: World) -> None:
    fields: dict[str, Any] = {"secret_annotations": {f"note-{number}": "x" * 1000 for number in range(20)}}
    of = world.see(**fields)
    world.resources.stored[of.key] = raw_resource(**fields)
    kept = world.cache.resource(of.key)
    assert kept
    assert kept.left_out
    assert len(repr(kept)) < 2000
    await world.clock.advance(1)
    assert world.condition(of) == GOOD
    written = world.secrets.metadata[NAMESPACE, "web-pull"]["annotations"]
    assert fields["secret_annotations"].items() <= written.items()
    world.see(**fields)
    await world.clock.advance(1)
    assert len(world.secrets.calls) == 1, "nothing has changed"


async def test_a_resource_beyond_the_bound_is_read_when_there_is_room_also_after_an_error() -> None:
    world = World(most=1)
    async with world.working():
        gone, beyond = world.see(), resource(name="shop")
        raw = world.show(name="shop")
        assert world.cache.resource(beyond.key) is None
        world.resources.uids[beyond.key], world.resources.stored[beyond.key] = beyond.uid, {}
        world.see_deleted(gone)
        with structlog.testing.capture_logs() as logs:
            await world.clock.advance(1)
        assert [each["error"] for each in logs if each["event"] == "unexpected error"] == ["KeyError"]
        world.resources.stored[beyond.key] = raw
        await world.clock.advance(6)
        assert world.condition(beyond) == GOOD


async def test_a_request_within_the_rate_bound_waits_and_reports_when_aws_is_called(world: World) -> None:
    of = await world.apply()
    planned = world.status(of)["nextRefreshTime"]
    await world.clock.advance(100)
    of = await world.apply(status=world.status(of), annotations={REFRESH_REQUESTED: "now"})
    assert world.status(of)["nextRefreshTime"] == "2026-03-01T12:05:00Z"
    assert (world.condition(of), len(world.aws.asked)) == (GOOD, 1)
    await world.clock.advance(199)
    assert (len(world.aws.asked), len(phases(world))) == (1, 2)
    await world.clock.advance(2)
    assert len(world.aws.asked) == 2
    assert world.status(of)["nextRefreshTime"][:13] == planned[:13]
    assert world.secrets.manifests["web-pull"]["metadata"]["annotations"][REFRESH_REQUESTED] == "now"
    assert refreshes(world) == {"Refreshed": 2}
    assert lateness(world) == (0, 0), "it comes before its time"


@pytest.mark.parametrize("change", ["deleted", "suspended"])
async def test_a_failing_resource_is_counted_until_it_is(world: World, change: str) -> None:
    world.aws.failing["us-east-2"] = permanent()
    of = await world.apply()
    assert failing(world.cache)
    if change == "deleted":
        world.see_deleted(of)
    else:
        await world.change(of, suspend=True)
    assert not failing(world.cache)
    assert refreshes(world) == {"AccessDenied": 1}


@cases("outage, least, most", {"in time": (0, 0, 1), "late": (540, 60, 540)})
async def test_a_renewal_is_counted_as_late_as_it_was(
    brief: World, outage: int, least: int, most: int
) -> None:
    await brief.apply()
    if outage:
        brief.aws.failing["us-east-2"] = transient()
        await brief.clock.advance(outage)
        brief.aws.failing.clear()
    await brief.clock.advance(600 - outage)
    count, seconds = lateness(brief)
    assert (count, least <= seconds <= most) == (1, True)
