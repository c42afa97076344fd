"""Reconciler: passes over one resource, with ports in memory. Decisions alone: test_decisions."""

# ruff: noqa: S106 - names of Secrets and made-up tokens

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import ImmutableSecretError, PermanentError, StaleObjectError
from ecr_operator.api.outcome import Outcome, Reason
from ecr_operator.core.manifest import dockerconfigjson
from ecr_operator.core.secret_view import view_secret
from ecr_operator.core.state import Result
from tests.builders import HOST, HOUR, NOW, OHIO, cases, host, permanent, secret_metadata, token, transient
from tests.core.world import DEAD, DUE, LIFE, World
from tests.fakes import settle

ARGO: Final = "ArgoHelmRepoSecret"
GOOD: Final = ("True", "Refreshed")
SETTLED: Final = {"phase": "Updated", "observedGeneration": 1}
LEGACY: Final = {"phase": "Updated", "lastUpdatedTime": "2026-03-01T10:00:00Z"}
STALE: Final = StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, "Conflict; trying again.")
IMMUTABLE: Final = ImmutableSecretError(Reason.KUBERNETES_REFUSED, "It is recreated.")
DOWN: Final = transient(Reason.KUBERNETES_UNAVAILABLE)
REQUEST: Final = "ecr.mobb.redhat.com/refresh-requested-at"
BOTH: Final = [HOST, host("eu-west-1")]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An empty cluster without workers."""
    made = World()
    yield made
    await made.tokens.close()


@pytest.fixture
async def live() -> AsyncIterator[World]:
    """An empty cluster with workers, and tokens of 12 minutes."""
    made = World(life=LIFE)
    async with made.working():
        yield made


def reported(result: Result) -> Outcome:
    assert result.outcome is not None
    return result.outcome


def annotations(world: World) -> dict[str, str]:
    found: dict[str, str] = world.secrets.manifests["web-pull"]["metadata"]["annotations"]
    return found


@pytest.mark.parametrize("age", [None, 11 * HOUR], ids=["no token: reported", "a live token: not reported"])
async def test_a_pass_does_not_wait_for_aws(world: World, age: timedelta | None) -> None:
    of = world.see()
    if age:
        world.has_secret(of, age=age)
    world.aws.hold()
    result = await world.reconciler.reconcile(world.state(of), of, due=True)
    assert (result.pending, world.secrets.calls) == (True, [])
    if age:
        assert (result.outcome, result.expires_at) == (None, NOW + HOUR)
    else:
        assert reported(result).reason is Reason.PENDING


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
    assert world.secrets.manifests["web-pull"]["metadata"]["labels"]["team"] == "blue"
    assert (REQUEST in annotations(world), result.requeue_after, len(world.aws.asked)) == (False, 0, 1)
    await world.refresh(asked)
    await world.refresh(asked)
    assert (annotations(world)[REQUEST], len(world.aws.asked)) == ("now", 2)


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


async def test_a_conflict_on_the_old_secret_of_a_rename_is_not_reported_of_the_new_one(world: World) -> None:
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
    assert (reported(result).reason, reported(result).fits) == (Reason.KUBERNETES_REFUSED, True)
    assert (result.error, result.expires_at) == (refused, NOW + HOUR)
    assert reported(await world.refresh(of, due=True)).succeeded
    assert len(world.aws.asked) == 1


async def test_a_write_against_an_old_version_reads_again_and_writes(world: World) -> None:
    of = world.see()
    world.has_secret(of, age=11 * HOUR)
    world.secrets.metadata["team", "web-pull"]["resourceVersion"] = "900"
    assert reported(await world.refresh(of, due=True)).succeeded
    assert world.secrets.calls == ["apply team/web-pull", "look team/web-pull", "apply team/web-pull"]


async def test_a_secret_that_keeps_changing_ends_the_pass_with_an_error(world: World) -> None:
    world.secrets.failures = [STALE] * 9
    result = await world.refresh(world.see())
    assert reported(result).reason is Reason.KUBERNETES_UNAVAILABLE
    assert "keeps changing" in reported(result).message
    assert result.error is not None


async def two_logins_and_a_restart(world: World, **fields: Any) -> Resource:
    """A Secret of two logins; the second is in no cache, and AWS refuses it from now on."""
    two: dict[str, Any] = {"additional_registries": BOTH[1:]}
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
    assert (list(world.secrets.metadata), list(world.auths("new"))) == ([("team", "new")], BOTH)


@pytest.mark.parametrize("deleting", [False, True])
async def test_a_recreated_secret_keeps_the_logins_that_only_it_has(world: World, *, deleting: bool) -> None:
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
    assert list(world.auths()) == BOTH


async def test_a_secret_of_another_namespace_gives_a_resource_no_login(world: World) -> None:
    of = await two_logins_and_a_restart(world, generated_secret_name="new")
    world.delete()
    forged = secret_metadata(of, name="web-pull") | {"namespace": "apart"}
    world.secrets.metadata["apart", "web-pull"] = forged
    world.cache.observe_secret(view_secret(forged))
    async with world.working():
        await settle()
    assert BOTH[1] not in world.auths("new")
    assert not [call for call in world.secrets.calls if "apart/" in call]


def has_legacy_secret(world: World) -> None:
    """Add the Secret that v0.6.0 wrote."""
    world.has_foreign_secret()
    data = base64.b64encode(dockerconfigjson({HOST: token("old")}).encode()).decode()
    kind = {"type": "kubernetes.io/dockerconfigjson"}
    world.secrets.data["web-pull"] = kind | {"data": {".dockerconfigjson": data}}


async def test_an_upgrade_from_v0_6_0_adopts_the_secret_without_a_call_to_aws(world: World) -> None:
    has_legacy_secret(world)
    result = await world.refresh(world.see(status=LEGACY))
    assert (reported(result).reason, world.aws.asked, world.password()) == (Reason.ADOPTED, [], "old")
    assert reported(result).times == token(issued_at=NOW - 2 * HOUR).times


async def test_a_request_for_a_fresh_token_is_answered_after_the_adoption(live: World) -> None:
    has_legacy_secret(live)
    of = await live.apply(status=LEGACY, annotations={REQUEST: "now"})
    assert (live.condition(of), live.aws.asked, live.password()) == (GOOD, [OHIO], "token-1")
    assert live.events.emitted == [(of.key, Reason.ADOPTED)]


async def test_a_contested_secret_is_repaired_at_once_and_then_at_a_limited_rate(world: World) -> None:
    of = world.see(status=SETTLED)
    world.has_secret(of)
    await world.refresh(of)
    reasons = []
    for _ in range(7):
        world.change_secret()
        result = await world.refresh(of)
        reasons.append(reported(result).reason)
    assert reasons == [Reason.REPAIRED] * 6 + [Reason.FIELDS_CONTESTED]
    assert result.requeue_after == 60
    await world.clock.advance(60)
    assert reported(await world.refresh(of)).reason is Reason.REPAIRED
    for _ in range(6):
        world.change_secret()
        result = await world.refresh(of)
    assert reported(result).reason is Reason.FIELDS_CONTESTED
    changed = world.see(generation=2, status=SETTLED, generated_secret_name="new")
    assert reported(await world.refresh(changed)).succeeded, "a new spec is written at once"


# --- a spec that is not valid, or suspended ----------------------------------------------------------------

LARGE: Final = {f"a{number}": "x" * 2000 for number in range(40)}


@cases(
    "said",
    {
        "no registry": {"ecr_registry": ""},
        "a registry of no region": {"ecr_registry": "proxy.example"},
        "another region": {"region": "eu-west-1"},
        "no name": {"generated_secret_name": ""},
        "an invalid role": {"role_arn": "admin"},
        "an empty reference": {"aws_iam_secret": {}},
        "two identities": {"aws_iam_secret": {"name": "a"}, "service_account": {"name": "b"}},
        "too large a spec": {"secret_annotations": LARGE},
        "no spec": {"spec": {}},
    },
)
async def test_an_unknown_login_leaves_the_secret_unchanged(live: World, said: dict[str, Any]) -> None:
    of = await live.apply()
    before, expiry = live.secrets.manifests["web-pull"], live.expiry_metric
    of = await live.change(of, **said)
    assert (live.condition(of)[0], live.condition(of, "Stalled")[0]) == ("False", "True")
    assert live.condition(of, "Refreshed")[0] == "False"
    assert "expires at 2026-03-01T12:12:00Z" in live.message(of)
    for _ in range(2):
        status = live.status(of)
        assert (status["secretName"], status["expirationTime"]) == ("web-pull", "2026-03-01T12:12:00Z")
        assert (live.secrets.manifests, live.expiry_metric) == ({"web-pull": before}, expiry)
        await live.clock.advance(DEAD)
    of = await live.change(of)
    assert (live.condition(of), live.password()) == (GOOD, "token-2")


async def test_a_suspended_resource_reports_fields_that_are_not_valid_and_is_not_written(live: World) -> None:
    of = await live.apply(deletion_policy="Orphan")
    of = await live.change(of, suspend=True, secret_labels={"a": "b c"}, deletion_policy="x")
    assert (live.condition(of), live.status(of)["phase"]) == (GOOD, "Suspended")
    assert live.condition(of, "Refreshed") == ("Unknown", Reason.SUSPENDED)
    assert "spec.suspend is true" in live.message(of)
    assert "spec.secret_labels" in live.message(of)
    await live.clock.advance(DEAD)
    assert (live.secrets.calls.count("apply team/web-pull"), live.password()) == (1, "token-1")


@pytest.mark.parametrize("then", ["edited", "without our label", "without our label and deleted"])
async def test_a_suspended_resource_reports_what_becomes_of_its_secret(live: World, then: str) -> None:
    of = await live.apply(secret_labels={"team": "shop"})
    of = await live.change(of, suspend=True, secret_labels={"team": "shop"})
    before = live.status(of)
    if then == "edited":
        live.change_secret("f:metadata", "f:labels", "f:team")
    else:
        live.relabel()
    await settle()
    assert (live.condition(of), live.status(of)) == (GOOD, before)
    if "deleted" not in then:
        await live.clock.advance(DEAD)
        assert live.condition(of) == ("False", Reason.TOKEN_EXPIRED)
        return
    live.delete()
    live.queue.schedule_now(of.key)
    await live.clock.advance(60)
    assert (live.condition(of)[0], "secretName" in live.status(of)) == ("False", False)
    calls = len(live.secrets.calls)
    await live.clock.advance(DUE)
    assert len(live.secrets.calls) == calls


async def test_a_secret_that_cannot_be_read_for_a_last_valid_value_keeps_its_readiness(live: World) -> None:
    of = await live.apply(secret_labels={"team": "shop"})
    of = await live.change(of, secret_labels={"a": "b c"})
    live.secrets.unreadable = DOWN
    live.queue.schedule_now(of.key)
    await settle()
    assert live.condition(of) == GOOD
    assert live.condition(of, "Refreshed") == ("False", Reason.KUBERNETES_UNAVAILABLE)
    await live.clock.advance(DEAD)
    assert live.condition(of)[0] == "False"
    live.secrets.unreadable = None
    await live.clock.advance(600)
    live.check_reported(of, Reason.INVALID_SPEC)
    assert live.secrets.manifests["web-pull"]["metadata"]["labels"]["team"] == "shop"


async def test_a_new_spec_is_not_reported_while_its_secret_cannot_be_read(live: World) -> None:
    of = await live.apply()
    before = live.status(of)
    live.secrets.unreadable = DOWN
    of = await live.change(of, ecr_registry=host("eu-west-1"), secret_labels={"a": "b c"})
    assert live.status(of) == before
    await live.clock.advance(DEAD)
    assert (live.condition(of)[0], live.status(of)["observedGeneration"]) == ("False", 2)
    live.secrets.unreadable = None
    await live.clock.advance(600)
    live.check_reported(of, Reason.INVALID_SPEC)


# --- keys that clients can't use, and hints ----------------------------------------------------------------

SAMPLE: Final = {"ecr_registry": "ACCOUNT_ID.dkr.ecr.us-east-2.amazonaws.com", "region": "us-east-2"}
HTTPS: Final = {"url": f"https://{HOST}/charts", "region": "us-east-2"}
SUCCEEDED: Final = "The last refresh succeeded."


@cases(
    "kind, said, words",
    {
        "a registry with a scheme": ("Secret", {"ecr_registry": f"oci://{HOST}"}, f"write {HOST}"),
        "the sample unchanged": ("Secret", SAMPLE, "write its 12 digits"),
        "https for Argo CD": (ARGO, HTTPS, f"write {HOST}"),
    },
)
async def test_a_secret_that_no_client_can_use_is_not_ready_and_still_renewed(
    live: World, kind: str, said: dict[str, Any], words: str
) -> None:
    not_ready = ("False", Reason.INVALID_REGISTRY)
    of = await live.apply(kind, **said)
    live.check_reported(of, Reason.INVALID_REGISTRY, not_ready)
    assert words in live.message(of)
    assert words in live.message(of, "Ready")
    await live.clock.advance(DUE)
    live.check_reported(of, Reason.INVALID_REGISTRY, not_ready)
    assert live.password() == "token-2"
    live.aws.failing["us-east-2"] = permanent()
    await live.clock.advance(DEAD - 5 * 60)
    assert (live.condition(of), live.condition(of, "Refreshed")[1]) == (not_ready, Reason.ACCESS_DENIED)
    assert words in live.message(of, "Ready"), "not AccessDenied"
    of = await live.change(of)
    assert live.condition(of) == GOOD


async def test_twins_name_each_other_until_one_is_deleted_or_changed(live: World) -> None:
    one, two = live.see(ARGO), live.see(ARGO, name="shop")
    other = await live.apply(ARGO, name="apart", project="team-a")
    hinted = await live.apply(ARGO, name="oci", url=f"oci://{HOST}/charts")
    assert "Argo CD uses the login only for OCI sources" in live.message(hinted)
    for of, name in ((one, "shop"), (two, "web")):
        assert (live.condition(of), live.condition(of, "Refreshed")) == (GOOD, GOOD)
        assert f"ArgoHelmRepoSecret {name} has the same url" in live.message(of)
    assert live.message(other) == SUCCEEDED
    writes = len(live.resources.written)
    await live.clock.advance(60)
    assert len(live.resources.written) == writes
    live.see_deleted(two)
    await settle()
    assert live.message(one) == SUCCEEDED
    two = await live.apply(ARGO, name="shop")
    assert "ArgoHelmRepoSecret shop has" in live.message(one)
    await live.change(two, url=f"{HOST}/charts")
    assert live.message(one) == SUCCEEDED


async def test_a_restart_changes_no_message_of_three_twins(world: World) -> None:
    ages = {"a": 1, "b": 3, "c": 2}
    said: dict[str, Any] = {name: {"name": name, "age": hours * HOUR} for name, hours in ages.items()}
    async with world.working():
        found = [world.see(ARGO, **each) for each in said.values()]
        await settle()
    before = {of.key.name: (world.status(of), world.message(of)) for of in found}
    assert [
        words in before[name][1] for name, words in zip("abc", (" b has", " c has", " b has"), strict=True)
    ]
    world.restart()
    for name in ages:
        world.show_secret(f"{name}-pull")
    writes = world.resources.attempts
    async with world.working():
        found = [world.see(ARGO, status=before[name][0], **said[name]) for name in "cba"]
        await settle()
        assert [world.message(of) for of in found] == [before[name][1] for name in "cba"]
    assert world.resources.attempts == writes
