"""What is told, when, and how often; and what comes next."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import structlog.testing

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import PermanentError, TransientError
from ecr_operator.api.outcome import Reason
from tests.builders import (
    HOUR,
    NAMESPACE,
    host,
    permanent,
    raw_resource,
    relist,
    resource,
    transient,
)
from tests.core.world import World
from tests.fakes import settle

REQUEST = "ecr.mobb.redhat.com/refresh-requested-at"
DENIED = PermanentError(Reason.KUBERNETES_FORBIDDEN, "You may not write that.")
DOWN = TransientError(Reason.KUBERNETES_UNAVAILABLE, "The API server did not do it.")


@pytest.fixture
async def world() -> World:
    """An empty cluster."""
    return World()


def statuses(world: World, of: Resource) -> list[Mapping[str, Any]]:
    return [status for key, status in world.resources.written if key == of.key]


def phases(world: World, of: Resource) -> list[str]:
    return [status["phase"] for status in statuses(world, of)]


async def test_a_new_resource_costs_one_call_and_two_writes_and_no_event(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        assert (len(world.aws.asked), len(world.secrets.calls), world.resources.attempts) == (1, 1, 1)
        assert world.told(of) == ("True", "Refreshed")
        assert world.events.emitted == []


async def test_a_thousand_of_one_region_cost_one_call(world: World) -> None:
    async with world.working(16):
        for number in range(200):
            world.see(name=f"r{number}")
        for _ in range(20):
            await settle()
        assert (len(world.aws.asked), len(world.resources.written)) == (1, 200)


async def test_a_restart_with_everything_fresh_costs_nothing(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
    status, metadata = world.status(of), world.secrets.metadata["team", "web-pull"]
    world.restart()
    world.secrets.calls.clear()
    async with world.working():
        relist(world._watched_secrets, [{"metadata": metadata}])  # noqa: SLF001 - as the informer does
        world.see(status=status)
        await world.clock.advance(60)
    assert (len(world.aws.asked), world.secrets.calls, world.resources.attempts) == (1, [], 1)


async def test_who_leads_again_spends_nothing_on_what_another_has_refreshed(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
    uid = world.secrets.metadata["team", "web-pull"]["uid"]
    world.secrets.calls.clear()
    # Past the deadline that is known of the earlier term.
    await world.clock.advance(11 * 3600)
    world.has_secret(of, version="500", uid=uid, applied_at=world.clock.now())
    async with world.working():
        await world.clock.advance(600)
    assert (len(world.aws.asked), world.secrets.calls) == (1, [])


async def test_a_day_of_refreshes_writes_twice_each_and_never_lets_the_token_die(world: World) -> None:
    async with world.working():
        of = world.see(frequency="24h")
        for _ in range(24 * 4):
            await world.clock.advance(900)
            assert world.told(of) == ("True", "Refreshed")
        assert len(world.aws.asked) == 3
        assert world.resources.attempts == len(world.secrets.calls) == 3
        assert world.events.emitted == []


async def test_a_frequency_of_a_second_asks_aws_every_five_minutes(world: World) -> None:
    async with world.working():
        world.see(frequency="1s")
        await world.clock.advance(3600)
    assert 11 <= len(world.aws.asked) <= 13


async def test_tokens_that_live_forty_seconds_never_die(world: World) -> None:
    world.aws.life = timedelta(seconds=40)
    async with world.working():
        of = world.see()
        for _ in range(300):
            await world.clock.advance(1)
            assert world.told(of) == ("True", "Refreshed")
    assert len(world.aws.asked) <= 13


async def test_a_repair_is_told_by_event_and_not_by_status(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        world.delete()
        await settle()
        assert ("team", "web-pull") in world.secrets.metadata
        assert world.events.emitted == [(of.key, Reason.REPAIRED)]
        assert (world.resources.attempts, len(world.aws.asked)) == (1, 1)


async def test_of_a_resource_that_is_being_deleted_nothing_is_written(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        before = world.status(of)
        writes, calls = world.resources.attempts, list(world.secrets.calls)
        world.show(generation=2, deleting=True, status=before)
        world.delete()
        await world.clock.advance(13 * 3600)
        assert (world.resources.attempts, world.secrets.calls) == (writes, calls)
        assert (world.status(of), world.events.emitted, len(world.aws.asked)) == (before, [], 1)


async def test_what_was_begun_before_the_deletion_is_not_reported(world: World) -> None:
    async with world.working():
        world.aws.hold()
        of = world.see()
        await settle()
        world.show(generation=2, deleting=True)
        world.aws.answer()
        await world.clock.advance(60)
        assert (world.status(of), world.secrets.calls) == ({}, [])


@pytest.mark.parametrize("change", ["deleted", "released", "edited"])
async def test_before_a_repair_the_api_server_is_asked_whether_the_resource_is_being_deleted(
    world: World, change: str
) -> None:
    async with world.working():
        of = world.see()
        await settle()
        before, writes = world.status(of), world.resources.attempts
        world.resources.looked_for.clear()
        world.resources.deleting.add(of.key)
        if change == "deleted":
            world.delete()
        elif change == "released":
            world.release()
        else:
            world.change()
        await settle()
        assert [call for call in world.secrets.calls if call.startswith("apply")] == ["apply team/web-pull"]
        assert (world.status(of), world.resources.attempts, world.events.emitted) == (before, writes, [])
        assert world.resources.looked_for == ["web"]


async def test_a_secret_that_was_released_under_other_circumstances_is_repaired(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        world.release()
        await settle()
        assert world.secrets.metadata["team", "web-pull"]["ownerReferences"]
        assert world.events.emitted == [(of.key, Reason.REPAIRED)]


async def test_a_label_that_an_admission_overwrites_is_reported_once_and_the_token_renewed(
    world: World,
) -> None:
    world.secrets.labels = {"app.kubernetes.io/managed-by": "Helm"}
    async with world.working():
        of = world.see()
        for _ in range(24 * 4):
            await world.clock.advance(900)
            assert world.told(of) == ("True", "Refreshed")
            assert world.told(of, "Refreshed") == ("False", "FieldsContested")
            assert world.status(of)["nextRefreshTime"]
        assert len(world.aws.asked) == 3
        assert world.resources.attempts == 3
        assert world.events.emitted == [(of.key, Reason.FIELDS_CONTESTED)]
        # One look every 30 s, and a try whether the label stays every 10 minutes.
        calls = Counter(call.split()[0] for call in world.secrets.calls)
        assert calls["look"] <= 24 * 120 + 10
        assert calls["apply"] <= 24 * 6 + 3
        world.secrets.labels = {}
        await world.clock.advance(660)
        assert world.told(of, "Refreshed") == ("True", "Refreshed")
        looks = len(world.secrets.calls)
        await world.clock.advance(3600)
        assert len(world.secrets.calls) == looks


async def test_a_deletion_that_no_watch_shows_is_noticed_in_half_a_minute(world: World) -> None:
    world.secrets.labels = {"app.kubernetes.io/managed-by": "Helm"}
    async with world.working():
        world.see()
        await world.clock.advance(60)
        del world.secrets.metadata["team", "web-pull"]
        await world.clock.advance(31)
        assert ("team", "web-pull") in world.secrets.metadata
        assert len(world.aws.asked) == 1


async def test_a_deletion_that_no_watch_shows_is_noticed_under_a_slip_too(world: World) -> None:
    world.secrets.labels = {"app.kubernetes.io/managed-by": "Helm"}
    async with world.working():
        of = world.see()
        await world.clock.advance(60)
        world.see(generation=2, status=world.status(of), frequency="10 hours")
        await world.clock.advance(60)
        assert world.told(of, "Refreshed") == ("False", Reason.INVALID_SPEC)
        written = world.resources.attempts
        del world.secrets.metadata["team", "web-pull"]
        await world.clock.advance(31)
        assert ("team", "web-pull") in world.secrets.metadata
        assert (len(world.aws.asked), world.resources.attempts) == (1, written)


async def test_while_others_fight_for_a_label_the_token_is_renewed_in_time(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        for _ in range(13 * 60):
            if ("team", "web-pull") in world.secrets.metadata:
                world.relabel()
            await world.clock.advance(60)
            assert world.told(of)[0] == "True"
        assert world.secrets.metadata["team", "web-pull"]
        assert len(world.aws.asked) == 2
        assert world.clock.now() < world.expiry()


async def test_waiting_for_aws_is_told_after_two_seconds(world: World) -> None:
    world.aws.hold()
    async with world.working():
        of = world.see()
        await world.clock.advance(1.9)
        assert world.resources.attempts == 0
        await world.clock.advance(0.2)
        assert (phases(world, of), world.told(of, "Refreshed")) == (["Pending"], ("Unknown", "Pending"))
        await world.clock.advance(60)
        assert phases(world, of) == ["Pending"]
        world.aws.answer()
        await settle()
        assert phases(world, of) == ["Pending", "Updated"]


async def test_a_region_that_hangs_delays_no_other(world: World) -> None:
    world.aws.hold()
    async with world.working(1):
        for number in range(50):
            world.see(name=f"slow{number}")
        await world.clock.advance(5)
        world.aws.answer()
        quick = world.see(name="quick", ecr_registry=host("eu-west-1"))
        for _ in range(5):
            await settle()
        assert world.told(quick) == ("True", "Refreshed")


async def test_a_failure_is_told_once_however_often_it_is_retried(world: World) -> None:
    world.aws.failing["us-east-2"] = transient()
    async with world.working():
        of = world.see()
        await world.clock.advance(1800)
        assert len(world.aws.asked) > 20
        assert world.told(of, "Refreshed") == ("False", "AWSUnavailable")
        assert (len(statuses(world, of)), world.events.emitted) == (1, [(of.key, Reason.AWS_UNAVAILABLE)])


async def test_a_failure_after_the_tokens_death_is_told_once_too(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        world.aws.failing["us-east-2"] = transient()
        await world.clock.advance(12 * 3600 + 5)
        assert world.told(of) == ("False", "TokenExpired")
        before = world.resources.attempts
        await world.clock.advance(1800)
        assert world.resources.attempts == before


async def test_an_aws_that_fails_slowly_is_told_once_too(world: World) -> None:
    """Each attempt takes 10 s: longer than Pending waits to be told."""
    world.aws.failing["us-east-2"] = transient(Reason.THROTTLED)
    async with world.working():
        of = world.see()
        for _ in range(10):
            world.aws.hold()
            await world.clock.advance(70)
            world.aws.answer()
            await settle()
        assert world.told(of, "Refreshed")[1] in {"Throttled", "Pending"}
        assert len(world.events.emitted) == 1
        assert len(statuses(world, of)) <= 2


async def test_the_death_of_the_token_is_told_at_that_very_second(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        world.aws.failing["us-east-2"] = permanent()
        await world.clock.advance(12 * 3600 - 1)
        assert (world.told(of), world.status(of)["phase"]) == (("True", "Refreshed"), "Updated")
        assert world.told(of, "Refreshed") == ("False", "AccessDenied")
        await world.clock.advance(1)
        assert (world.told(of), world.status(of)["phase"]) == (("False", "TokenExpired"), "Failed")
        assert world.events.emitted == [(of.key, Reason.ACCESS_DENIED), (of.key, Reason.TOKEN_EXPIRED)]


async def test_a_recovery_is_told_and_stalled_goes(world: World) -> None:
    world.aws.failing["us-east-2"] = permanent()
    async with world.working():
        of = world.see()
        await world.clock.advance(60)
        assert world.told(of, "Stalled") == ("True", "AccessDenied")
        del world.aws.failing["us-east-2"]
        await world.clock.advance(600)
        assert (world.told(of), world.told(of, "Stalled")) == (("True", "Refreshed"), ("", ""))
        assert world.events.emitted == [(of.key, Reason.ACCESS_DENIED), (of.key, Reason.REFRESHED)]


async def test_the_secret_of_others_is_looked_at_every_half_minute_and_told_once(world: World) -> None:
    world.has_foreign_secret()
    async with world.working():
        of = world.see()
        await world.clock.advance(299)
        assert world.told(of) == ("False", "SecretConflict")
        assert world.secrets.calls.count("look team/web-pull") == 10
        assert (len(statuses(world, of)), len(world.aws.asked)) == (1, 1)
        world.secrets.metadata.clear()
        await world.clock.advance(30)
        assert world.told(of) == ("True", "Refreshed")


async def test_kubernetes_failing_is_retried_with_backoff(world: World) -> None:
    world.secrets.failures = [DOWN] * 1000
    async with world.working():
        of = world.see()
        await world.clock.advance(600)
        assert 75 <= len(world.secrets.calls) <= 240
        assert (len(world.aws.asked), len(statuses(world, of))) == (1, 1)
        world.secrets.failures.clear()
        await world.clock.advance(30)
        assert world.told(of) == ("True", "Refreshed")


async def test_a_status_that_is_refused_is_told_once_by_event_and_log_and_retried_slowly(
    world: World,
) -> None:
    world.resources.refusing = DENIED
    with structlog.testing.capture_logs() as logs:
        async with world.working():
            of = world.see()
            await world.clock.advance(3600)
            assert len(world.events.emitted) == 1
            assert [each["event"] for each in logs].count("status can't be written") == 1
            assert world.resources.attempts <= 60
            world.resources.refusing = None
            await world.clock.advance(300)
            assert world.told(of) == ("True", "Refreshed")


@pytest.mark.parametrize("refusing", [DENIED, DOWN], ids=["for ever", "for now"])
async def test_while_the_status_is_refused_the_token_is_renewed_in_time_and_no_oftener(
    world: World, refusing: Any
) -> None:
    world.aws.life = timedelta(seconds=120)
    world.resources.refusing = refusing
    async with world.working():
        world.see()
        for _ in range(120):
            await world.clock.advance(10)
            view = world.cache.secret("team", "web-pull")
            assert view is not None
            assert view.times is not None
            assert view.times.expires_at > world.clock.now()
    assert len(world.aws.asked) <= 17


async def test_a_refused_status_does_not_hurry_aws(world: World) -> None:
    async with world.working():
        world.see()
        await settle()
        world.resources.refusing = DENIED
        await world.clock.advance(20 * 3600)
    assert len(world.aws.asked) <= 3


async def test_under_the_crds_of_v0_6_0_a_status_is_written_once(world: World) -> None:
    world.resources.kept = frozenset({"phase", "lastUpdatedTime"})
    async with world.working():
        of = world.see()
        await settle()
        assert world.status(of) == {"phase": "Updated", "lastUpdatedTime": "2026-03-01T12:00:00Z"}
        world.see(generation=2, frequency="9h", status=world.status(of))
        await settle()
        assert world.resources.attempts == 1


async def test_under_the_crds_of_v0_6_0_only_the_first_line_of_a_resource_counts_as_its_first(
    world: World,
) -> None:
    world.resources.kept = frozenset({"phase", "lastUpdatedTime"})
    with structlog.testing.capture_logs() as logs:
        async with world.working():
            of = world.see()
            await settle()
            world.see(generation=2, spec=[], status=world.status(of))
            await settle()
            world.see_gone(of)
            world.see(uid="u2")
            await settle()
    assert [line.get("first", False) for line in logs if line.get("name") == "web"] == [True, False, True]


async def test_without_the_secret_of_v0_6_0_its_status_is_no_evidence(world: World) -> None:
    world.aws.failing["us-east-2"] = transient()
    async with world.working():
        of = world.see(status={"phase": "Updated", "lastUpdatedTime": "2026-03-01T10:00:00Z"})
        await world.clock.advance(1800)
        assert (world.status(of)["phase"], world.told(of)) == ("Failed", ("False", "AWSUnavailable"))
        assert len(world.aws.asked) > 5
        assert world.resources.attempts <= 2


async def test_a_fault_in_one_key_ends_no_worker_and_is_tried_again(world: World) -> None:
    world.secrets.failures = [RuntimeError("AWS:hunter2")] * 5
    with structlog.testing.capture_logs() as logs:
        async with world.working(1):
            of = world.see()
            await settle()
            other = world.see(name="shop", ecr_registry=host("eu-west-1"))
            await world.clock.advance(60)
            assert world.told(of) == world.told(other) == ("True", "Refreshed")
    assert {"error": "RuntimeError", "event": "unexpected error"}.items() <= logs[0].items()
    assert "hunter2" not in str(logs)


async def test_a_bad_spec_is_told_once_and_costs_nothing_more(world: World) -> None:
    async with world.working():
        of = world.see(spec=[])
        await world.clock.advance(3600)
        assert (world.told(of), len(statuses(world, of))) == (("False", "InvalidSpec"), 1)
        assert (world.aws.asked, world.secrets.calls) == ([], [])
        world.see(generation=2)
        await settle()
        assert world.told(of) == ("True", "Refreshed")


async def test_a_spec_change_is_acted_on_at_once(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        world.see(generation=2, status=world.status(of), ecr_registry=host("eu-west-1"))
        await settle()
        assert len(world.aws.asked) == 2
        assert world.status(of)["observedGeneration"] == 2


async def test_a_deleted_resource_is_let_go(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        world.see_gone(of)
        await world.clock.advance(24 * 3600)
        assert (len(world.aws.asked), len(world.queue), world.resources.attempts) == (1, 0, 1)


async def test_a_resource_deleted_while_it_is_worked_on_leaves_no_trace(world: World) -> None:
    world.aws.hold()
    async with world.working():
        of = world.see()
        await settle()
        world.see_gone(of)
        world.aws.answer()
        await world.clock.advance(3600)
        assert (world.secrets.calls, world.resources.attempts, len(world.queue)) == ([], 0, 0)


async def test_one_made_again_under_the_same_name_gets_its_own(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        world.see_gone(of)
        anew = world.see(uid="u2")
        await settle()
        view = world.cache.secret("team", "web-pull")
        assert view is not None
        assert view.owner is not None
        assert (view.owner.uid, world.told(anew), len(world.aws.asked)) == ("u2", ("True", "Refreshed"), 1)


async def test_a_step_of_the_wall_clock_past_the_expiry_is_noticed_in_seconds(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        world.clock.step_wall(13 * HOUR)
        await world.clock.advance(6)
        assert len(world.aws.asked) == 2
        assert world.told(of) == ("True", "Refreshed")


async def test_an_event_does_not_cut_short_what_the_server_asked_for(world: World) -> None:
    world.secrets.failures = [transient(Reason.KUBERNETES_UNAVAILABLE, retry_after=30)]
    async with world.working():
        of = world.see()
        await settle()
        attempts = len(world.secrets.calls)
        world.queue.schedule_now(of.key)
        await world.clock.advance(25)
        assert len(world.secrets.calls) == attempts
        await world.clock.advance(10)
        assert world.told(of) == ("True", "Refreshed")


async def test_a_long_outage_does_not_make_the_pause_after_a_refusal_long(world: World) -> None:
    outage = [transient(Reason.KUBERNETES_UNAVAILABLE) for _ in range(12)]
    world.secrets.failures = [*outage, permanent(Reason.KUBERNETES_FORBIDDEN)]
    async with world.working():
        of = world.see()
        await settle()
        while world.secrets.failures:
            await world.clock.advance(1)
        await world.clock.advance(2)
        assert world.told(of) == ("True", "Refreshed")


async def test_the_long_parts_of_a_large_spec_are_read_when_it_is_worked_on_and_not_kept(
    world: World,
) -> None:
    said: dict[str, Any] = {"secret_annotations": {f"note-{number}": "x" * 1000 for number in range(20)}}
    async with world.working():
        of = world.see(**said)
        world.resources.stored[of.key] = raw_resource(**said)
        kept = world.cache.resource(of.key)
        assert kept
        assert kept.left_out
        assert len(repr(kept)) < 2000
        await world.clock.advance(1)
        assert world.told(of) == ("True", "Refreshed")
        written = world.secrets.metadata[NAMESPACE, "web-pull"]["annotations"]
        assert said["secret_annotations"].items() <= written.items()
        world.see(**said)
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
        world.see_gone(first)
        await world.clock.advance(1)
        assert world.told(beyond) == ("True", "Refreshed")


async def test_a_request_that_waits_says_when_aws_will_be_asked(world: World) -> None:
    async with world.working():
        of = world.see()
        await settle()
        planned = world.status(of)["nextRefreshTime"]
        await world.clock.advance(100)
        of = world.see(status=world.status(of), annotations={REQUEST: "now"})
        await settle()
        assert world.status(of)["nextRefreshTime"] == "2026-03-01T12:05:00Z"
        assert (world.told(of), len(world.aws.asked)) == (("True", "Refreshed"), 1)
        await world.clock.advance(199)
        assert (len(world.aws.asked), len(statuses(world, of))) == (1, 2)
        await world.clock.advance(2)
        assert len(world.aws.asked) == 2
        assert world.status(of)["nextRefreshTime"][:13] == planned[:13]


async def test_worker_an_unexpected_error_of_a_resource_known_by_name_only_is_retried() -> None:
    world = World(most=1)
    async with world.working():
        first = world.see()
        raw = world.show(name="shop")
        beyond = resource(name="shop")
        world.resources.stored[beyond.key] = {}
        world.resources.uids[beyond.key] = beyond.uid
        world.see_gone(first)
        with structlog.testing.capture_logs() as logs:
            await world.clock.advance(1)
        assert [each["error"] for each in logs if each["event"] == "unexpected error"] == ["KeyError"]
        world.resources.stored[beyond.key] = raw
        await world.clock.advance(6)
        assert world.told(beyond) == ("True", "Refreshed")
