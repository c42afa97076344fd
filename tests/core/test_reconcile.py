"""Reconciler: passes over one resource, with ports in memory. Decisions alone: test_decisions."""

# ruff: noqa: S106 - names of Secrets and made-up tokens

import base64
from datetime import timedelta
from typing import Any, Final

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import PermanentError, StaleObjectError
from ecr_operator.api.outcome import Outcome, Reason
from ecr_operator.api.parsing import REFRESH_REQUESTED
from ecr_operator.core.manifest import dockerconfigjson
from ecr_operator.core.secret_view import view_secret
from ecr_operator.core.state import Result
from tests.builders import HOST, HOUR, NOW, OHIO, cases, host, permanent, secret_metadata, token, transient
from tests.core.world import DEAD, DUE, World
from tests.fakes import settle

ARGO: Final = "ArgoHelmRepoSecret"
GOOD: Final = ("True", "Refreshed")
SETTLED: Final = {"phase": "Updated", "observedGeneration": 1}
LEGACY: Final = {"phase": "Updated", "lastUpdatedTime": "2026-03-01T10:00:00Z"}
STALE: Final = StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, "Conflict; trying again.")
DOWN: Final = transient(Reason.KUBERNETES_UNAVAILABLE)
BOTH: Final = [HOST, host("eu-west-1")]


def reported(result: Result) -> Outcome:
    assert result.outcome is not None
    return result.outcome


def annotations(still: World) -> dict[str, str]:
    found: dict[str, str] = still.secrets.manifests["web-pull"]["metadata"]["annotations"]
    return found


@pytest.mark.parametrize("age", [None, 11 * HOUR], ids=["no token: reported", "a live token: not reported"])
async def test_a_pass_does_not_wait_for_aws(still: World, age: timedelta | None) -> None:
    of = still.see()
    if age:
        still.has_secret(of, age=age)
    still.aws.hold()
    result = await still.reconciler.reconcile(still.state(of), of, due=True)
    assert (result.pending, still.secrets.calls) == (True, [])
    if age:
        assert (result.outcome, result.expires_at) == (None, NOW + HOUR)
    else:
        assert reported(result).reason is Reason.PENDING


async def test_a_request_that_comes_with_a_new_spec_is_answered_by_a_fresh_token(still: World) -> None:
    await still.refresh(still.see())
    await still.clock.advance(600)
    asked = still.see(annotations={REFRESH_REQUESTED: "now"}, secret_labels={"team": "blue"}, generation=2)
    result = await still.refresh(asked)
    assert still.secrets.manifests["web-pull"]["metadata"]["labels"]["team"] == "blue"
    assert (REFRESH_REQUESTED in annotations(still), result.requeue_after, len(still.aws.asked)) == (
        False,
        0,
        1,
    )
    await still.refresh(asked)
    await still.refresh(asked)
    assert (annotations(still)[REFRESH_REQUESTED], len(still.aws.asked)) == ("now", 2)


async def test_a_rename_creates_the_new_secret_and_then_deletes_the_old(still: World) -> None:
    await still.refresh(still.see())
    still.secrets.calls.clear()
    await still.refresh(still.see(generation=2, generated_secret_name="new"))
    assert still.secrets.calls == ["apply team/new", "delete team/web-pull"]


async def test_the_old_secret_of_a_rename_stays_until_its_links_are_moved(world: World) -> None:
    world.accounts.put()
    links: dict[str, Any] = {"link_service_accounts": [{"name": "builder", "for": ["pull"]}]}
    of = await world.apply(**links)
    world.accounts.hold()
    await world.change(of, generated_secret_name="new", **links)
    assert list(world.secrets.metadata) == [("team", "web-pull"), ("team", "new")]
    world.accounts.release()
    await settle()
    assert list(world.secrets.metadata) == [("team", "new")]


async def test_a_rename_that_a_crash_interrupted_is_finished_later(still: World) -> None:
    old, new = still.see(), still.see(generation=2, generated_secret_name="new")
    still.has_secret(old)
    still.has_secret(new)
    await still.refresh(new)
    assert still.secrets.calls == ["delete team/web-pull"]


async def test_a_conflict_on_the_old_secret_of_a_rename_is_not_reported_of_the_new_one(still: World) -> None:
    await still.refresh(still.see())
    still.secrets.metadata["team", "web-pull"]["resourceVersion"] = "900"
    result = await still.refresh(still.see(generation=2, generated_secret_name="new"))
    assert ("team", "new") in still.secrets.metadata
    assert reported(result).fits
    assert "Secret new keeps changing" not in reported(result).message


async def test_a_refused_write_keeps_the_live_token_and_is_retried_without_aws(still: World) -> None:
    of = still.see()
    still.has_secret(of, age=11 * HOUR)
    refused = PermanentError(Reason.KUBERNETES_REFUSED, "No.")
    still.secrets.failures = [refused]
    result = await still.refresh(of, due=True)
    assert (reported(result).reason, reported(result).fits) == (Reason.KUBERNETES_REFUSED, True)
    assert (result.error, result.expires_at) == (refused, NOW + HOUR)
    assert reported(await still.refresh(of, due=True)).succeeded
    assert len(still.aws.asked) == 1


async def test_a_write_against_an_old_version_reads_again_and_writes(still: World) -> None:
    of = still.see()
    still.has_secret(of, age=11 * HOUR)
    still.secrets.metadata["team", "web-pull"]["resourceVersion"] = "900"
    assert reported(await still.refresh(of, due=True)).succeeded
    assert still.secrets.calls == ["apply team/web-pull", "look team/web-pull", "apply team/web-pull"]


async def test_a_secret_that_keeps_changing_ends_the_pass_with_an_error(still: World) -> None:
    still.secrets.failures = [STALE] * 9
    result = await still.refresh(still.see())
    assert reported(result).reason is Reason.KUBERNETES_UNAVAILABLE
    assert "keeps changing" in reported(result).message
    assert result.error is not None


async def two_logins_and_a_restart(still: World, **fields: Any) -> Resource:
    """A Secret of two logins; the second is in no cache, and AWS refuses it from now on."""
    two: dict[str, Any] = {"additional_registries": BOTH[1:]}
    async with still.working():
        status = still.status(still.see(**two))
        await settle()
    still.restart()
    still.show_secret()
    still.aws.failing["eu-west-1"] = permanent()
    return still.see(generation=2, status=status, **(two | fields))


async def test_a_rename_takes_along_the_login_of_a_source_that_fails(still: World) -> None:
    of = await two_logins_and_a_restart(still, generated_secret_name="new")
    async with still.working():
        await settle()
        assert still.condition(of, "Refreshed") == ("False", Reason.PARTLY_REFRESHED)
    assert (list(still.secrets.metadata), list(still.auths("new"))) == ([("team", "new")], BOTH)


@pytest.mark.parametrize("deleting", [False, True])
async def test_a_recreated_secret_keeps_the_logins_that_only_it_has(still: World, *, deleting: bool) -> None:
    of = await two_logins_and_a_restart(still, secret_format="config.json")
    if deleting:
        still.resources.deleting.add(of.key)
    uid = still.secrets.metadata["team", "web-pull"]["uid"]
    async with still.working():
        await settle()
    assert (still.secrets.metadata["team", "web-pull"]["uid"] == uid) is deleting, "left to be collected"
    if not deleting:
        assert [call.split()[0] for call in still.secrets.calls[-3:]] == ["apply", "delete", "apply"]
    assert list(still.auths()) == BOTH


async def test_a_secret_of_another_namespace_gives_a_resource_no_login(still: World) -> None:
    of = await two_logins_and_a_restart(still, generated_secret_name="new")
    still.delete()
    forged = secret_metadata(of, name="web-pull") | {"namespace": "apart"}
    still.secrets.metadata["apart", "web-pull"] = forged
    still.cache.observe_secret(view_secret(forged))
    async with still.working():
        await settle()
    assert BOTH[1] not in still.auths("new")
    assert not [call for call in still.secrets.calls if "apart/" in call]


def has_legacy_secret(still: World) -> None:
    """Add the Secret that v0.6.0 wrote."""
    still.has_foreign_secret()
    data = base64.b64encode(dockerconfigjson({HOST: token("old")}).encode()).decode()
    kind = {"type": "kubernetes.io/dockerconfigjson"}
    still.secrets.data["web-pull"] = kind | {"data": {".dockerconfigjson": data}}


async def test_an_upgrade_from_v0_6_0_adopts_the_secret_without_a_call_to_aws(still: World) -> None:
    has_legacy_secret(still)
    result = await still.refresh(still.see(status=LEGACY))
    assert (reported(result).reason, still.aws.asked, still.password()) == (Reason.ADOPTED, [], "old")
    assert reported(result).times == token(issued_at=NOW - 2 * HOUR).times


async def test_a_request_for_a_fresh_token_is_answered_after_the_adoption(world: World) -> None:
    has_legacy_secret(world)
    of = await world.apply(status=LEGACY, annotations={REFRESH_REQUESTED: "now"})
    assert (world.condition(of), world.aws.asked, world.password()) == (GOOD, [OHIO], "token-1")
    assert world.events.emitted == [(of.key, Reason.ADOPTED)]


async def test_a_contested_secret_is_repaired_at_once_and_then_at_a_limited_rate(still: World) -> None:
    of = still.see(status=SETTLED)
    still.has_secret(of)
    await still.refresh(of)
    reasons = []
    for _ in range(7):
        still.change_secret()
        result = await still.refresh(of)
        reasons.append(reported(result).reason)
    assert reasons == [Reason.REPAIRED] * 6 + [Reason.FIELDS_CONTESTED]
    assert result.requeue_after == 60
    changed = still.see(generation=2, status=SETTLED, generated_secret_name="new")
    assert reported(await still.refresh(changed)).succeeded, "a new spec is written at once"


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
async def test_an_unknown_login_leaves_the_secret_unchanged(world: World, said: dict[str, Any]) -> None:
    of = await world.apply()
    before, expiry = world.secrets.manifests["web-pull"], world.expiry_metric
    of = await world.change(of, **said)
    assert (world.condition(of)[0], world.condition(of, "Stalled")[0]) == ("False", "True")
    assert world.condition(of, "Refreshed")[0] == "False"
    assert "expires at 2026-03-01T12:12:00Z" in world.message(of)
    for _ in range(2):
        status = world.status(of)
        assert (status["secretName"], status["expirationTime"]) == ("web-pull", "2026-03-01T12:12:00Z")
        assert (world.secrets.manifests, world.expiry_metric) == ({"web-pull": before}, expiry)
        await world.clock.advance(DEAD)
    of = await world.change(of)
    assert (world.condition(of), world.password()) == (GOOD, "token-2")


async def test_a_suspended_resource_reports_fields_that_are_not_valid_and_is_not_written(
    world: World,
) -> None:
    of = await world.apply(deletion_policy="Orphan")
    of = await world.change(of, suspend=True, secret_labels={"a": "b c"}, deletion_policy="x")
    assert (world.condition(of), world.status(of)["phase"]) == (GOOD, "Suspended")
    assert world.condition(of, "Refreshed") == ("Unknown", Reason.SUSPENDED)
    assert "spec.suspend is true" in world.message(of)
    assert "spec.secret_labels" in world.message(of)
    await world.clock.advance(DEAD)
    assert (world.secrets.calls.count("apply team/web-pull"), world.password()) == (1, "token-1")


@pytest.mark.parametrize("then", ["edited", "without our label", "without our label and deleted"])
async def test_a_suspended_resource_reports_what_becomes_of_its_secret(world: World, then: str) -> None:
    of = await world.apply(secret_labels={"team": "shop"})
    of = await world.change(of, suspend=True, secret_labels={"team": "shop"})
    before = world.status(of)
    if then == "edited":
        world.change_secret("f:metadata", "f:labels", "f:team")
    else:
        world.relabel()
    await settle()
    assert (world.condition(of), world.status(of)) == (GOOD, before)
    if "deleted" not in then:
        await world.clock.advance(DEAD)
        assert world.condition(of) == ("False", Reason.TOKEN_EXPIRED)
        return
    world.delete()
    world.queue.schedule_now(of.key)
    await world.clock.advance(60)
    assert (world.condition(of)[0], "secretName" in world.status(of)) == ("False", False)
    calls = len(world.secrets.calls)
    await world.clock.advance(DUE)
    assert len(world.secrets.calls) == calls


async def test_a_secret_that_cannot_be_read_for_a_last_valid_value_keeps_its_readiness(world: World) -> None:
    of = await world.apply(secret_labels={"team": "shop"})
    of = await world.change(of, secret_labels={"a": "b c"})
    world.secrets.unreadable = DOWN
    world.queue.schedule_now(of.key)
    await settle()
    assert world.condition(of) == GOOD
    assert world.condition(of, "Refreshed") == ("False", Reason.KUBERNETES_UNAVAILABLE)
    await world.clock.advance(DEAD)
    assert world.condition(of)[0] == "False"
    world.secrets.unreadable = None
    await world.clock.advance(600)
    world.check_reported(of, Reason.INVALID_SPEC)
    assert world.secrets.manifests["web-pull"]["metadata"]["labels"]["team"] == "shop"


async def test_a_new_spec_is_not_reported_while_its_secret_cannot_be_read(world: World) -> None:
    of = await world.apply()
    before = world.status(of)
    world.secrets.unreadable = DOWN
    of = await world.change(of, ecr_registry=host("eu-west-1"), secret_labels={"a": "b c"})
    assert world.status(of) == before
    await world.clock.advance(DEAD)
    assert (world.condition(of)[0], world.status(of)["observedGeneration"]) == ("False", 2)
    world.secrets.unreadable = None
    await world.clock.advance(600)
    world.check_reported(of, Reason.INVALID_SPEC)


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
    world: World, kind: str, said: dict[str, Any], words: str
) -> None:
    not_ready = ("False", Reason.INVALID_REGISTRY)
    of = await world.apply(kind, **said)
    world.check_reported(of, Reason.INVALID_REGISTRY, not_ready)
    assert words in world.message(of)
    assert words in world.message(of, "Ready")
    await world.clock.advance(DUE)
    world.check_reported(of, Reason.INVALID_REGISTRY, not_ready)
    assert world.password() == "token-2"
    world.aws.failing["us-east-2"] = permanent()
    await world.clock.advance(DEAD - 5 * 60)
    assert (world.condition(of), world.condition(of, "Refreshed")[1]) == (not_ready, Reason.ACCESS_DENIED)
    assert words in world.message(of, "Ready"), "not AccessDenied"
    of = await world.change(of)
    assert world.condition(of) == GOOD


async def test_twins_name_each_other_until_one_is_deleted_or_changed(world: World) -> None:
    one, two = world.see(ARGO), world.see(ARGO, name="shop")
    other = await world.apply(ARGO, name="apart", project="team-a")
    hinted = await world.apply(ARGO, name="oci", url=f"oci://{HOST}/charts")
    assert "Argo CD uses the login only for OCI sources" in world.message(hinted)
    for of, name in ((one, "shop"), (two, "web")):
        assert (world.condition(of), world.condition(of, "Refreshed")) == (GOOD, GOOD)
        assert f"ArgoHelmRepoSecret {name} has the same url" in world.message(of)
    assert world.message(other) == SUCCEEDED
    writes = len(world.resources.written)
    await world.clock.advance(60)
    assert len(world.resources.written) == writes
    world.see_deleted(two)
    await settle()
    assert world.message(one) == SUCCEEDED
    two = await world.apply(ARGO, name="shop")
    assert "ArgoHelmRepoSecret shop has" in world.message(one)
    await world.change(two, url=f"{HOST}/charts")
    assert world.message(one) == SUCCEEDED


async def test_a_restart_changes_no_message_of_three_twins(still: World) -> None:
    ages = {"a": 1, "b": 3, "c": 2}
    said: dict[str, Any] = {name: {"name": name, "age": hours * HOUR} for name, hours in ages.items()}
    async with still.working():
        found = [still.see(ARGO, **each) for each in said.values()]
        await settle()
    before = {of.key.name: (still.status(of), still.message(of)) for of in found}
    assert [
        words in before[name][1] for name, words in zip("abc", (" b has", " c has", " b has"), strict=True)
    ]
    still.restart()
    for name in ages:
        still.show_secret(f"{name}-pull")
    writes = still.resources.attempts
    async with still.working():
        found = [still.see(ARGO, status=before[name][0], **said[name]) for name in "cba"]
        await settle()
        assert [still.message(of) for of in found] == [before[name][1] for name in "cba"]
    assert still.resources.attempts == writes
