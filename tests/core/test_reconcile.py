"""Reconciler: one pass over one resource, with ports in memory. Decisions alone: test_policies."""

# ruff: noqa: S106 - names of Secrets and made-up tokens

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import ImmutableSecretError, PermanentError, StaleObjectError
from ecr_operator.api.outcome import Outcome, Reason
from ecr_operator.core.manifest import dockerconfigjson
from ecr_operator.core.secret_view import view_secret
from ecr_operator.core.state import Result
from tests.builders import HOST, HOUR, NOW, OHIO, host, permanent, secret_metadata, token
from tests.core.world import World
from tests.fakes import settle

SETTLED = {"phase": "Updated", "observedGeneration": 1}
STALE = StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, "Conflict; trying again.")
IMMUTABLE = ImmutableSecretError(Reason.KUBERNETES_REFUSED, "It is recreated.")
REQUEST = "ecr.mobb.redhat.com/refresh-requested-at"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An empty cluster."""
    made = World()
    yield made
    await made.tokens.close()


def reported(result: Result) -> Outcome:
    assert result.outcome is not None
    return result.outcome


def password(world: World, name: str = "web-pull") -> str:
    """The dockerconfigjson in a Secret that the operator wrote."""
    return base64.b64decode(world.secrets.manifests[name]["data"][".dockerconfigjson"]).decode()


async def test_a_pass_does_not_wait_for_aws(world: World) -> None:
    world.aws.hold()
    of = world.see()
    result = await world.reconciler.reconcile(world.state(of), of, due=False)
    assert result.pending
    assert reported(result).reason is Reason.PENDING
    assert world.secrets.calls == []


async def test_a_pending_call_beside_a_live_token_is_not_reported(world: World) -> None:
    of = world.see()
    world.has_secret(of, age=11 * HOUR)
    world.aws.hold()
    result = await world.reconciler.reconcile(world.state(of), of, due=True)
    assert (result.pending, result.outcome, result.expires_at) == (True, None, NOW + HOUR)


async def test_a_deadline_by_the_monotonic_clock_renews_after_a_step_back(world: World) -> None:
    of = world.see()
    world.has_secret(of)
    await world.clock.advance(9.9 * 3600)
    world.clock.step_wall(-5 * HOUR)
    assert (await world.refresh(of)).outcome is not None
    assert world.aws.asked == []
    await world.refresh(of, due=True)
    assert len(world.aws.asked) == 1


async def test_a_request_that_comes_with_a_new_spec_is_answered_by_a_fresh_token(world: World) -> None:
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


async def test_a_rename_creates_the_new_secret_and_then_deletes_the_old(world: World) -> None:
    await world.refresh(world.see())
    world.secrets.calls.clear()
    await world.refresh(world.see(generation=2, generated_secret_name="new"))
    assert world.secrets.calls == ["apply team/new", "delete team/web-pull"]


async def test_a_rename_that_a_crash_interrupted_is_finished_later(world: World) -> None:
    old, new = world.see(), world.see(generation=2, generated_secret_name="new")
    world.has_secret(old)
    world.has_secret(new)
    await world.refresh(new)
    assert world.secrets.calls == ["delete team/web-pull"]


async def test_a_conflict_on_the_old_secret_of_a_rename_is_not_reported_of_the_new_one(
    world: World,
) -> None:
    await world.refresh(world.see())
    world.secrets.metadata["team", "web-pull"]["resourceVersion"] = "900"
    result = await world.refresh(world.see(generation=2, generated_secret_name="new"))
    assert ("team", "new") in world.secrets.metadata
    assert reported(result).fits
    assert "Secret new keeps changing" not in reported(result).message


async def test_a_refused_write_keeps_the_live_token_and_is_retried_without_aws(world: World) -> None:
    of = world.see()
    world.has_secret(of, age=11 * HOUR)
    refused = PermanentError(Reason.KUBERNETES_REFUSED, "No.")
    world.secrets.failures = [refused]
    result = await world.refresh(of, due=True)
    assert (reported(result).reason, reported(result).fits, result.error, result.expires_at) == (
        Reason.KUBERNETES_REFUSED,
        True,
        refused,
        NOW + HOUR,
    )
    assert reported(await world.refresh(of, due=True)).succeeded
    assert len(world.aws.asked) == 1


async def test_a_write_against_an_old_version_reads_again_and_writes(world: World) -> None:
    of = world.see()
    world.has_secret(of, age=11 * HOUR)
    world.secrets.metadata["team", "web-pull"]["resourceVersion"] = "900"
    assert reported(await world.refresh(of, due=True)).succeeded
    assert world.secrets.calls == ["apply team/web-pull", "look team/web-pull", "apply team/web-pull"]


async def test_a_secret_that_keeps_changing_ends_the_pass_with_an_error(world: World) -> None:
    of = world.see()
    world.secrets.failures = [STALE] * 9
    result = await world.refresh(of)
    assert reported(result).reason is Reason.KUBERNETES_UNAVAILABLE
    assert "keeps changing" in reported(result).message
    assert result.error is not None


async def two_logins_and_a_restart(world: World, **fields: Any) -> Resource:
    """A Secret of two logins; the second is in no cache, and AWS refuses it from now on."""
    two: dict[str, Any] = {"additional_registries": [host("eu-west-1")]}
    async with world.working():
        status = world.status(world.see(**two))
        await settle()
    world.restart()
    world.show_secret()
    world.aws.failing["eu-west-1"] = permanent()
    return world.see(generation=2, status=status, **(two | fields))


async def test_a_rename_takes_along_the_login_of_a_source_that_fails(world: World) -> None:
    of = await two_logins_and_a_restart(world, generated_secret_name="new")
    async with world.working():
        await settle()
        assert world.condition(of, "Refreshed") == ("False", Reason.PARTLY_REFRESHED)
    assert list(world.secrets.metadata) == [("team", "new")]
    for region in ("us-east-2", "eu-west-1"):
        assert f'"{host(region)}":' in password(world, "new")


@pytest.mark.parametrize("deleting", [False, True])
async def test_a_recreated_secret_keeps_the_logins_that_only_it_has(
    world: World,
    deleting: bool,  # noqa: FBT001 - a table
) -> None:
    of = await two_logins_and_a_restart(world, secret_labels={"a": "new"})
    world.secrets.failures = [IMMUTABLE]
    if deleting:
        world.resources.deleting.add(of.key)
    uid = world.secrets.metadata["team", "web-pull"]["uid"]
    async with world.working():
        await settle()
    assert (world.secrets.metadata["team", "web-pull"]["uid"] == uid) is deleting, "left to be collected"
    if not deleting:
        assert [call.split()[0] for call in world.secrets.calls[-3:]] == ["apply", "delete", "apply"]
    for region in ("us-east-2", "eu-west-1"):
        assert f'"{host(region)}":' in password(world)


async def test_a_secret_of_another_namespace_gives_a_resource_no_login(
    world: World,
) -> None:
    of = await two_logins_and_a_restart(world, generated_secret_name="new")
    world.delete()
    forged = world.secrets.metadata["apart", "web-pull"] = secret_metadata(of, name="web-pull")
    forged["namespace"] = "apart"
    world.cache.observe_secret(view_secret(forged))
    async with world.working():
        await settle()
    assert f'"{host("eu-west-1")}":' not in password(world, "new")
    assert not [call for call in world.secrets.calls if "apart/" in call]


LEGACY = {"phase": "Updated", "lastUpdatedTime": "2026-03-01T10:00:00Z"}


def has_legacy_secret(world: World) -> None:
    """Add the Secret that v0.6.0 wrote."""
    world.has_foreign_secret()
    data = base64.b64encode(dockerconfigjson({HOST: token("old")}).encode()).decode()
    world.secrets.data["web-pull"] = {
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": data},
    }


async def test_an_upgrade_from_v0_6_0_adopts_the_secret_without_a_call_to_aws(world: World) -> None:
    of = world.see(status=LEGACY)
    has_legacy_secret(world)
    result = await world.refresh(of)
    assert (reported(result).reason, world.aws.asked) == (Reason.ADOPTED, [])
    assert '"password":"old"' in password(world)
    assert reported(result).times == token(issued_at=NOW - 2 * HOUR).times


async def test_a_request_for_a_fresh_token_is_answered_after_the_adoption(world: World) -> None:
    has_legacy_secret(world)
    async with world.working():
        of = await world.apply(status=LEGACY, annotations={REQUEST: "now"})
        assert world.condition(of) == ("True", "Refreshed")
        assert world.aws.asked == [OHIO]
        assert '"password":"token-1"' in password(world)
        assert world.events.emitted == [(of.key, Reason.ADOPTED)]


async def contest(world: World, of: Any, rounds: int) -> list[Outcome]:
    outcomes = []
    for _ in range(rounds):
        world.change()
        outcomes.append(reported(await world.refresh(of)))
        await settle()
        if outcomes[-1].reason is Reason.FIELDS_CONTESTED:
            break
    return outcomes


async def test_a_contested_secret_is_repaired_at_once_and_then_at_a_limited_rate(world: World) -> None:
    of = world.see(status=SETTLED)
    world.has_secret(of)
    await world.refresh(of)
    assert [each.reason for each in await contest(world, of, 9)] == [Reason.REPAIRED] * 6 + [
        Reason.FIELDS_CONTESTED
    ]
    result = await world.refresh(of)
    assert result.requeue_after == 60
    await world.clock.advance(60)
    assert reported(await world.refresh(of)).reason is Reason.REPAIRED


async def test_a_new_spec_of_a_contested_secret_is_written_at_once(world: World) -> None:
    of = world.see(status=SETTLED)
    world.has_secret(of)
    await world.refresh(of)
    await contest(world, of, 9)
    result = await world.refresh(world.see(generation=2, status=SETTLED, generated_secret_name="new"))
    assert reported(result).succeeded
