"""The story of one key, with ports in memory."""

# ruff: noqa: S106 - names of Secrets and made-up tokens

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import ImmutableSecretError, PermanentError, StaleObjectError
from ecr_operator.api.outcome import Outcome, Reason
from ecr_operator.core.secret import dockerconfigjson
from ecr_operator.core.secret_view import view_secret
from ecr_operator.core.state import Result
from tests.builders import HOST, HOUR, IRELAND, NOW, OHIO, host, permanent, secret_metadata, token
from tests.core.world import World
from tests.fakes import settle

SETTLED = {"phase": "Updated", "observedGeneration": 1}
STALE = StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, "Conflict; trying again.")
IMMUTABLE = ImmutableSecretError(Reason.KUBERNETES_REFUSED, "It is made anew.")
REQUEST = "ecr.mobb.redhat.com/refresh-requested-at"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An empty cluster."""
    made = World()
    yield made
    await made.tokens.close()


def told(result: Result) -> Outcome:
    assert result.outcome is not None
    return result.outcome


def password(world: World, name: str = "web-pull") -> str:
    """Return what stands in a Secret that the operator wrote."""
    return base64.b64decode(world.secrets.manifests[name]["data"][".dockerconfigjson"]).decode()


async def test_a_fresh_secret_costs_nothing_at_all(world: World) -> None:
    of = world.see()
    world.has_secret(of, age=HOUR)
    result = await world.refresh(of)
    assert told(result).succeeded
    assert result.refresh_at is not None
    assert NOW + 8 * HOUR < result.refresh_at <= NOW + 9 * HOUR
    assert (world.aws.asked, world.secrets.calls) == ([], [])


async def test_a_missing_secret_is_made_with_one_call_and_one_write(world: World) -> None:
    of = world.see()
    result = await world.refresh(of)
    assert (told(result).reason, told(result).succeeded, told(result).fits) == (Reason.REFRESHED, True, True)
    assert (world.aws.asked, world.secrets.calls) == ([OHIO], ["apply team/web-pull"])
    assert '"password":"token-1"' in password(world)


async def test_while_aws_is_asked_the_worker_is_free(world: World) -> None:
    world.aws.hold()
    of = world.see()
    result = await world.reconciler.reconcile(world.state(of), of, due=False)
    assert result.pending
    assert told(result).reason is Reason.PENDING
    assert world.secrets.calls == []


async def test_while_aws_is_asked_a_live_token_is_no_news(world: World) -> None:
    of = world.see()
    world.has_secret(of, age=11 * HOUR)
    world.aws.hold()
    result = await world.reconciler.reconcile(world.state(of), of, due=True)
    assert (result.pending, result.outcome, result.expires_at) == (True, None, NOW + HOUR)


async def test_a_missing_secret_is_made_from_the_cache_without_aws(world: World) -> None:
    await world.refresh(world.see())
    await world.refresh(world.see(name="shop"))
    assert len(world.aws.asked) == 1
    await world.clock.advance(9 * 3600)
    await world.refresh(world.see(name="late"))
    assert len(world.aws.asked) == 1


async def test_a_token_of_another_region_serves_nobody_else(world: World) -> None:
    await world.refresh(world.see())
    await world.refresh(world.see(name="shop", ecr_registry=host("eu-west-1")))
    assert world.aws.asked == [OHIO, IRELAND]


@pytest.mark.parametrize("field", ["f:data", "f:metadata", "f:type"])
async def test_a_changed_secret_is_put_right_with_the_cached_token(world: World, field: str) -> None:
    of = world.see(status=SETTLED)
    await world.refresh(of)
    world.change(field=field)
    result = await world.refresh(of)
    assert (told(result).reason, len(world.aws.asked)) == (Reason.REPAIRED, 1)
    assert world.secrets.calls == ["apply team/web-pull"] * 2


async def test_what_is_due_is_renewed(world: World) -> None:
    of = world.see()
    await world.refresh(of)
    await world.clock.advance(10 * 3600)
    result = await world.refresh(of)
    assert told(result).reason is Reason.REFRESHED
    assert told(result).times == token(issued_at=world.clock.now()).times
    assert '"password":"token-2"' in password(world)


async def test_what_is_due_by_the_monotonic_clock_is_renewed_after_a_step_back(world: World) -> None:
    of = world.see()
    world.has_secret(of)
    await world.clock.advance(9.9 * 3600)
    world.clock.step_wall(-5 * HOUR)
    assert (await world.refresh(of)).outcome is not None
    assert world.aws.asked == []
    await world.refresh(of, due=True)
    assert len(world.aws.asked) == 1


async def test_resources_that_are_due_together_share_a_call(world: World) -> None:
    one, two = world.see(), world.see(name="shop")
    for of in (one, two):
        world.has_secret(of, age=10 * HOUR)
    await world.refresh(one, due=True)
    await world.clock.advance(3600)
    await world.refresh(two, due=True)
    assert len(world.aws.asked) == 1


async def test_what_fell_due_while_we_were_down_is_spread(world: World) -> None:
    of = world.see()
    world.has_secret(of, age=11 * HOUR)
    result = await world.refresh(of)
    assert result.refresh_at is not None
    assert timedelta(0) < result.refresh_at - NOW <= timedelta(minutes=1)
    assert (result.outcome, world.aws.asked) == (None, [])
    await world.refresh(of, due=True)
    assert len(world.aws.asked) == 1


async def test_what_died_while_we_were_down_goes_at_once(world: World) -> None:
    of = world.see()
    world.has_secret(of, age=13 * HOUR)
    assert told(await world.refresh(of)).succeeded
    assert len(world.aws.asked) == 1


async def test_a_new_spec_is_written_at_once_from_the_cache(world: World) -> None:
    await world.refresh(world.see(status=SETTLED))
    result = await world.refresh(world.see(generation=2, status=SETTLED, secret_labels={"team": "shop"}))
    assert (told(result).reason, len(world.aws.asked)) == (Reason.REFRESHED, 1)
    assert world.secrets.manifests["web-pull"]["metadata"]["labels"]["team"] == "shop"


async def test_a_request_fetches_a_fresh_token_past_the_cache(world: World) -> None:
    of = world.see()
    await world.refresh(of)
    await world.clock.advance(600)
    asked = world.see(annotations={REQUEST: "now"})
    await world.refresh(asked)
    await world.refresh(asked)
    assert len(world.aws.asked) == 2
    assert world.secrets.manifests["web-pull"]["metadata"]["annotations"][REQUEST] == "now"


async def test_a_request_too_soon_waits_and_says_that_all_is_well(world: World) -> None:
    await world.refresh(world.see())
    await world.clock.advance(100)
    result = await world.refresh(world.see(annotations={REQUEST: "now"}))
    assert (result.refresh_at, told(result).succeeded, len(world.aws.asked)) == (
        NOW + timedelta(seconds=300),
        True,
        1,
    )


async def test_a_request_that_comes_with_a_repair_is_still_met_by_a_fresh_token(world: World) -> None:
    await world.refresh(world.see())
    await world.clock.advance(600)
    asked = world.see(annotations={REQUEST: "now"}, secret_labels={"team": "blue"}, generation=2)
    result = await world.refresh(asked)
    metadata = world.secrets.manifests["web-pull"]["metadata"]
    assert (metadata["labels"]["team"], REQUEST in metadata["annotations"]) == ("blue", False)
    assert (result.requeue_after, len(world.aws.asked)) == (0, 1)
    await world.refresh(asked)
    await world.refresh(asked)
    assert world.secrets.manifests["web-pull"]["metadata"]["annotations"][REQUEST] == "now"
    assert len(world.aws.asked) == 2


async def test_a_rename_makes_the_new_secret_and_then_deletes_the_old(world: World) -> None:
    await world.refresh(world.see())
    world.secrets.calls.clear()
    await world.refresh(world.see(generation=2, generated_secret_name="new"))
    assert world.secrets.calls == ["apply team/new", "delete team/web-pull"]


async def test_a_rename_that_a_crash_cut_short_is_finished_later(world: World) -> None:
    old, new = world.see(), world.see(generation=2, generated_secret_name="new")
    world.has_secret(old)
    world.has_secret(new)
    await world.refresh(new)
    assert world.secrets.calls == ["delete team/web-pull"]


async def test_an_old_secret_that_changed_meanwhile_is_looked_at_and_does_not_blame_the_new_one(
    world: World,
) -> None:
    await world.refresh(world.see())
    world.secrets.metadata["team", "web-pull"]["resourceVersion"] = "900"
    result = await world.refresh(world.see(generation=2, generated_secret_name="new"))
    assert ("team", "new") in world.secrets.metadata
    assert told(result).fits
    assert "Secret new keeps changing" not in told(result).message


@pytest.mark.parametrize("present", [True, False], ids=["a live token stays", "there is none"])
async def test_a_failure_of_aws_keeps_what_is_there(world: World, present: bool) -> None:  # noqa: FBT001 - a table
    of = world.see()
    if present:
        world.has_secret(of, age=11 * HOUR)
    world.aws.failing["us-east-2"] = permanent()
    result = await world.refresh(of, due=True)
    assert (told(result).reason, told(result).succeeded, told(result).permanent) == (
        Reason.ACCESS_DENIED,
        False,
        True,
    )
    assert told(result).fits is present
    assert (told(result).times is not None) is present
    assert result.expires_at == (NOW + HOUR if present else None)
    assert result.requeue_after is not None
    assert result.requeue_after >= 5
    assert world.secrets.calls == []


async def test_a_failure_of_kubernetes_keeps_what_is_there_and_is_tried_again(world: World) -> None:
    of = world.see()
    world.has_secret(of, age=11 * HOUR)
    refused = PermanentError(Reason.KUBERNETES_REFUSED, "No.")
    world.secrets.failures = [refused]
    result = await world.refresh(of, due=True)
    assert (told(result).reason, told(result).fits, result.error, result.expires_at) == (
        Reason.KUBERNETES_REFUSED,
        True,
        refused,
        NOW + HOUR,
    )
    assert told(await world.refresh(of, due=True)).succeeded
    assert len(world.aws.asked) == 1


async def test_the_secret_of_others_is_left_alone_and_looked_at_in_half_a_minute(world: World) -> None:
    world.has_foreign_secret()
    result = await world.refresh(world.see())
    assert (told(result).reason, told(result).permanent, result.requeue_after) == (
        Reason.SECRET_CONFLICT,
        True,
        30,
    )
    assert world.secrets.metadata["team", "web-pull"]["resourceVersion"] == "7"
    assert (world.secrets.manifests, len(world.aws.asked)) == ({}, 1)


async def test_a_conflict_ends_when_the_secret_goes(world: World) -> None:
    of = world.see()
    world.has_foreign_secret()
    await world.refresh(of)
    world.secrets.metadata.clear()
    assert told(await world.refresh(of)).succeeded
    assert len(world.aws.asked) == 1


async def test_a_write_against_an_old_version_looks_again_and_writes(world: World) -> None:
    of = world.see()
    world.has_secret(of, age=11 * HOUR)
    world.secrets.metadata["team", "web-pull"]["resourceVersion"] = "900"
    assert told(await world.refresh(of, due=True)).succeeded
    assert world.secrets.calls == ["apply team/web-pull", "look team/web-pull", "apply team/web-pull"]


async def test_a_secret_that_keeps_changing_is_given_up_for_now(world: World) -> None:
    of = world.see()
    world.secrets.failures = [STALE] * 9
    result = await world.refresh(of)
    assert told(result).reason is Reason.KUBERNETES_UNAVAILABLE
    assert "keeps changing" in told(result).message
    assert result.error is not None


async def test_a_secret_of_ours_that_can_not_be_changed_is_made_anew(world: World) -> None:
    of = world.see()
    world.has_secret(of, age=11 * HOUR)
    world.secrets.failures = [IMMUTABLE]
    assert told(await world.refresh(of, due=True)).succeeded
    assert [call.split()[0] for call in world.secrets.calls] == ["apply", "delete", "apply"]


async def two_logins_and_a_restart(world: World, **said: Any) -> Resource:
    """Have a Secret of two logins, the second of which no cache knows and AWS refuses from now on."""
    two: dict[str, Any] = {"additional_registries": [host("eu-west-1")]}
    async with world.working():
        status = world.status(world.see(**two))
        await settle()
    world.restart()
    world.show_secret()
    world.aws.failing["eu-west-1"] = permanent()
    return world.see(generation=2, status=status, **(two | said))


async def test_a_rename_while_a_registry_fails_takes_its_login_along(world: World) -> None:
    of = await two_logins_and_a_restart(world, generated_secret_name="new")
    async with world.working():
        await settle()
        assert world.condition(of, "Refreshed") == ("False", Reason.PARTLY_REFRESHED)
    assert list(world.secrets.metadata) == [("team", "new")]
    for region in ("us-east-2", "eu-west-1"):
        assert f'"{host(region)}":' in password(world, "new")


@pytest.mark.parametrize("gone", [False, True])
async def test_a_secret_that_is_made_anew_keeps_the_logins_that_only_it_holds(
    world: World,
    gone: bool,  # noqa: FBT001 - a table
) -> None:
    of = await two_logins_and_a_restart(world, secret_labels={"a": "new"})
    world.secrets.failures = [IMMUTABLE]
    if gone:
        world.resources.deleting.add(of.key)
    uid = world.secrets.metadata["team", "web-pull"]["uid"]
    async with world.working():
        await settle()
    assert (world.secrets.metadata["team", "web-pull"]["uid"] == uid) is gone, "one that ends is left alone"
    for region in ("us-east-2", "eu-west-1"):
        assert f'"{host(region)}":' in password(world)


async def test_a_secret_elsewhere_that_names_the_resource_as_its_owner_gives_it_no_login(
    world: World,
) -> None:
    of = await two_logins_and_a_restart(world, generated_secret_name="new")
    world.delete()
    forged = world.secrets.metadata["apart", "web-pull"] = secret_metadata(of, name="web-pull")
    forged["namespace"] = "apart"
    world.cache.see_secret(view_secret(forged))
    async with world.working():
        await settle()
    assert f'"{host("eu-west-1")}":' not in password(world, "new")
    assert not [call for call in world.secrets.calls if "apart/" in call]


async def test_a_bad_frequency_refreshes_an_existing_token_by_its_expiry(world: World) -> None:
    world.has_secret(world.see())
    of = world.see(generation=2, frequency="abc")
    result = await world.refresh(of)
    assert (told(result).reason, told(result).succeeded, told(result).fits) == (
        Reason.INVALID_SPEC,
        False,
        True,
    )
    assert result.refresh_at is not None
    assert NOW + 9 * HOUR < result.refresh_at <= NOW + 10 * HOUR
    await world.clock.advance(10 * 3600)
    assert told(await world.refresh(of, due=True)).times == token(issued_at=world.clock.now()).times


@pytest.mark.parametrize("said", [{"deletion_policy": "x"}, {"spec": {}}, {"ecr_registry": "a b"}], ids=str)
async def test_a_bad_spec_without_a_secret_is_told_and_costs_nothing(
    world: World, said: dict[str, Any]
) -> None:
    result = await world.refresh(world.see(**said))
    assert (told(result).succeeded, told(result).permanent, told(result).fits) == (False, True, False)
    assert (world.aws.asked, world.secrets.calls, result.requeue_after, result.refresh_at) == (
        [],
        [],
        None,
        None,
    )


async def test_suspended_nothing_is_done(world: World) -> None:
    of = world.see(suspend=True)
    world.has_secret(of, age=11 * HOUR)
    world.change()
    result = await world.refresh(of, due=True)
    assert (told(result).reason, world.aws.asked, world.secrets.calls) == (Reason.SUSPENDED, [], [])


LEGACY = {"phase": "Updated", "lastUpdatedTime": "2026-03-01T10:00:00Z"}


def has_legacy_secret(world: World) -> None:
    """Have the Secret there that v0.6.0 wrote."""
    world.has_foreign_secret()
    data = base64.b64encode(dockerconfigjson({HOST: token("old")}).encode()).decode()
    world.secrets.data["web-pull"] = {
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": data},
    }


async def test_an_upgrade_from_v0_6_0_adopts_and_asks_aws_for_nothing(world: World) -> None:
    of = world.see(status=LEGACY)
    has_legacy_secret(world)
    result = await world.refresh(of)
    assert (told(result).reason, world.aws.asked) == (Reason.ADOPTED, [])
    assert '"password":"old"' in password(world)
    assert told(result).times == token(issued_at=NOW - 2 * HOUR).times


async def test_a_request_for_a_fresh_token_outlives_the_adoption(world: World) -> None:
    has_legacy_secret(world)
    async with world.working():
        of = world.see(status=LEGACY, annotations={REQUEST: "now"})
        await settle()
        assert world.condition(of) == ("True", "Refreshed")
        assert world.aws.asked == [OHIO]
        assert '"password":"token-1"' in password(world)
        assert world.events.emitted == [(of.key, Reason.ADOPTED)]


async def fight(world: World, of: Any, rounds: int) -> list[Outcome]:
    outcomes = []
    for _ in range(rounds):
        world.change()
        outcomes.append(told(await world.refresh(of)))
        await settle()
        if outcomes[-1].reason is Reason.FIELDS_CONTESTED:
            break
    return outcomes


async def test_a_fight_is_won_back_at_once_and_then_at_a_bounded_rate(world: World) -> None:
    of = world.see(status=SETTLED)
    world.has_secret(of)
    await world.refresh(of)
    assert [each.reason for each in await fight(world, of, 9)] == [Reason.REPAIRED] * 6 + [
        Reason.FIELDS_CONTESTED
    ]
    result = await world.refresh(of)
    assert result.requeue_after == 60
    await world.clock.advance(60)
    assert told(await world.refresh(of)).reason is Reason.REPAIRED


async def test_a_fight_is_bounded_under_the_crds_of_v0_6_0_too(world: World) -> None:
    of = world.see(status={"phase": "Updated", "lastUpdatedTime": "2026-03-01T12:00:00Z"})
    await world.refresh(of)
    assert (await fight(world, of, 20))[-1].reason is Reason.FIELDS_CONTESTED


async def test_after_a_fight_a_new_spec_is_acted_on_at_once(world: World) -> None:
    of = world.see(status=SETTLED)
    world.has_secret(of)
    await world.refresh(of)
    await fight(world, of, 9)
    result = await world.refresh(world.see(generation=2, status=SETTLED, generated_secret_name="new"))
    assert told(result).succeeded
