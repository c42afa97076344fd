"""A slip, which is a field that is not valid, is reported and never ends a login in use."""

# ruff: noqa: S106 - names of Secrets

import base64
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any, Final

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.outcome import Reason
from ecr_operator.api.tenancy import TenancyPolicy
from ecr_operator.core.snapshot import snapshot
from tests.builders import HOST, host, permanent, raw_resource, transient
from tests.core.world import World
from tests.fakes import settle

# Short: virtual hours cost real time, since workers wake every few seconds.
LIFE: Final = timedelta(minutes=12)
DUE, DEAD = 10 * 60, 13 * 60
ARGO: Final = "ArgoHelmRepoSecret"
INVALID: Final = Reason.INVALID_SPEC
LABELS: Final = {"team": "shop", "app.kubernetes.io/part-of": "web"}
ANNOTATIONS: Final = {"example.com/note": "mine", "argocd.argoproj.io/sync-options": "Prune=false"}
LINKS: Final = [{"name": "builder", "for": ["pull"]}]
GOOD: Final[Mapping[str, dict[str, Any]]] = {
    "Secret": {
        "secret_labels": LABELS,
        "secret_annotations": ANNOTATIONS,
        "deletion_policy": "Orphan",
        "link_service_accounts": LINKS,
        "frequency": "9h",
    },
    ARGO: {
        "secret_labels": LABELS,
        "secret_annotations": ANNOTATIONS,
        "repo_type": "oci",
        "url": f"oci://{HOST}/charts",
        "project": "team-a",
    },
}
CREDS: Final = {"credential_scope": "repo-creds", "project": None, "repo_type": None, "url": HOST}


Slip = tuple[str, dict[str, Any], dict[str, Any], Reason]
"""Kind, other fields of the valid spec, the fields that are not valid, and the reason reported."""


def secret(reason: Reason = INVALID, **slip: Any) -> Slip:
    """A slip in a Secret."""
    return "Secret", {}, slip, reason


def argo(usual: Mapping[str, Any] | None = None, **slip: Any) -> Slip:
    """A slip in an ArgoHelmRepoSecret."""
    return ARGO, dict(usual or {}), slip, INVALID


# One or two of each field and reason; test_parsing has all others.
SLIPS: Final[Mapping[str, Slip]] = {
    "a reserved annotation": secret(secret_annotations={"kubernetes.io/x": "y"}),
    "a label that is a number": secret(secret_labels={"a": 7}),
    "a policy with a typo": secret(deletion_policy="orphan"),
    "a policy of Delete with a typo": (
        "Secret",
        {"deletion_policy": "Delete"},
        {"deletion_policy": "x"},
        INVALID,
    ),
    "a frequency with a typo": secret(frequency="10 hours"),
    "a link without a use": secret(link_service_accounts=[{"name": "builder"}]),
    "an unusable extra registry": secret(Reason.INVALID_REGISTRY, additional_registries=["oci://x.example"]),
    "an extra registry of no region": secret(additional_registries=["proxy.example"]),
    "a project of two words": argo(project="team a"),
    "repo-creds beside a project": argo(credential_scope="repo-creds"),
    "a project beside repo-creds": argo(CREDS, project="team-a"),
    "a scope with a typo": argo(credential_scope="Repository"),
    "repo-creds with a typo": argo(CREDS, credential_scope="repo_creds"),
    "a type with a typo": argo(repo_type="OCI"),
    "helm with a typo": argo(CREDS, repo_type="Helm"),
    "a format with a typo, and a link that only a pull secret can have": secret(
        link_service_accounts=[{"name": "builder"}], secret_format="dockerconfig"
    ),
    "two slips": secret(secret_labels={"a": "b c"}, frequency="x"),
    "slips in all of Argo CD's fields": argo(
        project="a b", repo_type="x", credential_scope="y", deletion_policy="z"
    ),
}
each_slip = pytest.mark.parametrize(("kind", "usual", "slip", "reason"), SLIPS.values(), ids=SLIPS)

# Slips that leave the login unknown.
NO_LOGIN: Final[Mapping[str, dict[str, Any]]] = {
    "no registry": {"ecr_registry": ""},
    "a registry of no region": {"ecr_registry": "proxy.example"},
    "another region": {"region": "eu-west-1"},
    "no name": {"generated_secret_name": ""},
    "an invalid role": {"role_arn": "admin"},
    "an empty reference": {"aws_iam_secret": {}},
    "two identities": {"aws_iam_secret": {"name": "a"}, "service_account": {"name": "b"}},
    "too large a spec": {"secret_annotations": {f"a{number}": "x" * 2000 for number in range(40)}},
    "no spec": {"spec": {}},
}


@pytest.fixture
async def idle() -> AsyncIterator[World]:
    """A cluster with one ServiceAccount, without workers."""
    made = World(life=LIFE)
    made.accounts.put()
    yield made
    await made.tokens.close()


@pytest.fixture
async def world(idle: World) -> AsyncIterator[World]:
    """A cluster with one ServiceAccount."""
    async with idle.working():
        yield idle


async def valid(world: World, kind: str = "Secret", **usual: Any) -> Resource:
    """A resource with a valid spec of many fields, and its Secret."""
    of = await world.apply(kind, **(GOOD[kind] | usual))
    assert world.condition(of) == world.condition(of, "Refreshed") == ("True", "Refreshed")
    return of


async def change(world: World, of: Resource, generation: int = 2, **fields: Any) -> Resource:
    """Change the spec, and let the operator act on it."""
    kind = of.key.kind
    return await world.apply(kind, generation=generation, status=world.status(of), **(GOOD[kind] | fields))


def lasting(world: World, name: str = "web-pull") -> dict[str, Any]:
    """All of a Secret but its tokens and their times."""
    manifest = world.secrets.manifests[name]
    metadata = dict(manifest["metadata"])
    metadata["annotations"] = {
        key: value for key, value in metadata["annotations"].items() if "/token-" not in key
    }
    data = {
        key: value for key, value in manifest["data"].items() if key not in ("password", ".dockerconfigjson")
    }
    return {**manifest, "metadata": metadata, "data": data}


def serial(world: World, name: str = "web-pull") -> str:
    """The token in a Secret."""
    data = {
        key: base64.b64decode(value).decode() for key, value in world.secrets.manifests[name]["data"].items()
    }
    return data.get("password") or data[".dockerconfigjson"].split('"password":"')[1].split('"')[0]


def pulls(world: World) -> list[str]:
    """The pull secrets of the ServiceAccount."""
    entries = world.accounts.objects["team", "builder"].get("imagePullSecrets", ())
    return [entry["name"] for entry in entries]


def metric(world: World) -> float | None:
    """The expiry time of the only resource in the metrics."""
    (state,) = snapshot(world.cache, world.clock.now())
    return state.expires_at


def message(world: World, of: Resource, condition: str = "Refreshed") -> str:
    """The message of a condition."""
    found = {each["type"]: each for each in world.status(of)["conditions"]}
    return str(found[condition]["message"])


def is_reported(
    world: World, of: Resource, reason: Reason, ready: tuple[str, str] = ("True", "Refreshed")
) -> None:
    """Check that a slip is reported and the Secret with it."""
    assert world.condition(of) == ready
    assert world.condition(of, "Refreshed") == ("False", reason)
    assert world.condition(of, "Stalled") == ("True", reason)
    status = world.status(of)
    assert (status["phase"], status["secretName"]) == ("Updated", "web-pull")
    assert metric(world) is not None
    assert status["expirationTime"].startswith(str(world.clock.now().date())[:4])


@each_slip
async def test_a_slip_is_reported_and_the_secret_keeps_the_last_valid_value(
    world: World, kind: str, usual: dict[str, Any], slip: dict[str, Any], reason: Reason
) -> None:
    of = await valid(world, kind, **usual)
    before, links, writes = lasting(world), pulls(world), list(world.secrets.calls)
    of = await change(world, of, **(usual | slip))
    is_reported(world, of, reason)
    assert [call for call in world.secrets.calls if not call.startswith("read")] == writes
    assert (len(world.aws.asked), serial(world)) == (1, "token-1")
    # Until the token is due, and until the next one is.
    for token in ("token-2", "token-3"):
        await world.clock.advance(DUE)
        is_reported(world, of, reason)
        assert (serial(world), lasting(world), pulls(world)) == (token, before, links)
    assert pulls(world) == (["web-pull"] if kind == "Secret" else [])
    writes, asked = list(world.secrets.calls), len(world.aws.asked)
    of = await change(world, of, generation=3, **usual)
    assert world.condition(of) == world.condition(of, "Refreshed") == ("True", "Refreshed")
    assert world.condition(of, "Stalled") == ("", "")
    assert (world.secrets.calls, len(world.aws.asked)) == (writes, asked), "a correction costs nothing"


@each_slip
async def test_a_restart_under_a_slip_keeps_the_last_valid_value(
    idle: World, kind: str, usual: dict[str, Any], slip: dict[str, Any], reason: Reason
) -> None:
    async with idle.working():
        of = await valid(idle, kind, **usual)
    before, links, status, writes = lasting(idle), pulls(idle), idle.status(of), list(idle.secrets.calls)
    idle.restart()
    idle.show_secret()
    of = idle.see(kind, generation=2, status=status, **(GOOD[kind] | usual | slip))
    async with idle.working():
        is_reported(idle, of, reason)
        assert [call for call in idle.secrets.calls if not call.startswith("read")] == writes
        assert len(idle.aws.asked) == 1
        await idle.clock.advance(DUE)
        is_reported(idle, of, reason)
        assert (serial(idle), lasting(idle), pulls(idle)) == ("token-2", before, links)


@each_slip
async def test_an_edited_secret_is_restored_under_a_slip(
    world: World, kind: str, usual: dict[str, Any], slip: dict[str, Any], reason: Reason
) -> None:
    of = await valid(world, kind, **usual)
    before = lasting(world)
    of = await change(world, of, **(usual | slip))
    metadata = world.secrets.metadata["team", "web-pull"]
    # As after an edit of the login by hand.
    login = "f:password" if kind == ARGO else "f:.dockerconfigjson"
    del metadata["managedFields"][0]["fieldsV1"]["f:data"][login]
    metadata["resourceVersion"] = "900"
    world.show_secret()
    await settle()
    is_reported(world, of, reason)
    assert (world.secrets.calls.count("apply team/web-pull"), lasting(world)) == (2, before)
    assert len(world.aws.asked) == 1


@each_slip
async def test_a_new_secret_gets_defaults_unless_these_widen_or_delete_it(
    world: World, kind: str, usual: dict[str, Any], slip: dict[str, Any], reason: Reason
) -> None:
    no_default = {
        "project",
        "credential_scope",
        "repo_type",
        "secret_format",
        "deletion_policy",
    } & slip.keys()
    of = await world.apply(kind, **(GOOD[kind] | usual | slip))
    if no_default:
        assert world.condition(of) == ("False", reason)
        assert world.condition(of, "Stalled") == ("True", reason)
        assert (world.secrets.calls, world.aws.asked, metric(world)) == ([], [], None)
        assert world.status(of)["phase"] == "Failed"
    else:
        is_reported(world, of, reason)
        assert world.secrets.calls == ["apply team/web-pull"]


TWO: Final = {"additional_registries": [host(region="eu-west-1")]}


@pytest.mark.parametrize(
    ("usual", "slip"),
    [
        ({"secret_format": "config.json"}, {"secret_format": "Config.json"}),
        ({"secret_format": "basic-auth"}, {"secret_format": "x"}),
        ({"secret_format": "basic-auth"}, {"secret_format": "basic-auth", **TWO}),
        ({"secret_format": "basic-auth"}, {"secret_format": "x", **TWO}),
        ({"secret_format": "dockerconfigjson", **TWO}, {"secret_format": "basic-auth", **TWO}),
    ],
)
async def test_a_format_that_is_not_valid_or_cannot_hold_all_logins_leaves_the_present_one(
    world: World, usual: dict[str, Any], slip: dict[str, Any]
) -> None:
    of = await valid(world, **usual, link_service_accounts=None)
    before, asked = world.secrets.manifests["web-pull"], len(world.aws.asked)
    of = await change(world, of, **slip, link_service_accounts=None)
    is_reported(world, of, INVALID)
    assert (world.secrets.manifests["web-pull"], len(world.aws.asked)) == (before, asked)
    await world.clock.advance(DUE)
    is_reported(world, of, INVALID)
    after = world.secrets.manifests["web-pull"]
    assert (after["type"], after["data"].keys()) == (before["type"], before["data"].keys())
    assert after["data"] != before["data"]


@pytest.mark.parametrize(
    ("form", "keys"), [("config.json", {"config.json"}), ("basic-auth", {"username", "password"})]
)
async def test_another_format_makes_the_secret_anew_without_a_call_to_aws(
    world: World, form: str, keys: set[str]
) -> None:
    of = await valid(world, link_service_accounts=None)
    of = await change(world, of, secret_format=form, link_service_accounts=None)
    assert world.condition(of) == ("True", "Refreshed")
    assert world.secrets.manifests["web-pull"]["data"].keys() == keys
    assert world.secrets.calls == [
        "apply team/web-pull",
        "apply team/web-pull",
        "delete team/web-pull",
        "apply team/web-pull",
    ]
    assert len(world.aws.asked) == 1


async def test_a_format_that_admission_refuses_leaves_the_login_in_the_former_one(world: World) -> None:
    of = await valid(world, link_service_accounts=None)
    before = lasting(world)
    world.secrets.refused_type = "kubernetes.io/basic-auth"
    of = await change(world, of, secret_format="basic-auth", link_service_accounts=None)
    assert world.condition(of, "Refreshed") == ("False", "KubernetesRefused")
    assert ("team", "web-pull") in world.secrets.metadata
    assert lasting(world) == before
    world.queue.schedule_now(of.key)
    await world.clock.advance(29)
    assert world.secrets.calls.count("delete team/web-pull") == 1
    for _ in range(3):
        await world.clock.advance(DUE)
        assert world.expiry() > world.clock.now()
    assert len(world.aws.asked) <= 5


async def test_another_format_keeps_a_login_whose_source_fails(idle: World) -> None:
    async with idle.working():
        of = await valid(idle, link_service_accounts=None, additional_registries=TWO["additional_registries"])
    status = idle.status(of)
    idle.restart()
    idle.show_secret()
    idle.aws.failing["eu-west-1"] = permanent()
    spec: dict[str, Any] = GOOD["Secret"] | TWO | {"secret_format": "config.json"}
    idle.see(generation=2, status=status, **spec)
    async with idle.working():
        await settle()
    data = base64.b64decode(idle.secrets.manifests["web-pull"]["data"]["config.json"]).decode()
    assert host(region="eu-west-1") in data


@pytest.mark.parametrize("said", NO_LOGIN.values(), ids=NO_LOGIN)
async def test_an_unknown_login_leaves_the_secret_unchanged_and_reported(
    world: World, said: dict[str, Any]
) -> None:
    of = await valid(world)
    before, shown = lasting(world), metric(world)
    of = await change(world, of, **said)
    status = world.status(of)
    assert (world.condition(of)[0], world.condition(of, "Refreshed")[0]) == ("False", "False")
    assert world.condition(of, "Stalled")[0] == "True"
    assert (status["secretName"], status["expirationTime"]) == ("web-pull", "2026-03-01T12:12:00Z")
    assert "expires at 2026-03-01T12:12:00Z" in message(world, of)
    await world.clock.advance(DEAD)
    assert (lasting(world), pulls(world), metric(world)) == (before, ["web-pull"], shown)
    assert world.status(of)["expirationTime"] == "2026-03-01T12:12:00Z"
    of = await change(world, of, generation=3)
    assert (world.condition(of), serial(world)) == (("True", "Refreshed"), "token-2")


async def test_a_failure_of_aws_is_reported_before_a_slip(world: World) -> None:
    of = await valid(world)
    of = await change(world, of, secret_labels={"a": "b c"})
    world.aws.failing["us-east-2"] = permanent()
    await world.clock.advance(DUE)
    assert world.condition(of) == ("True", "Refreshed")
    assert world.condition(of, "Refreshed") == ("False", Reason.ACCESS_DENIED)
    await world.clock.advance(DEAD - DUE)
    assert world.condition(of) == ("False", Reason.TOKEN_EXPIRED)
    world.aws.failing.clear()
    await world.clock.advance(1800)
    is_reported(world, of, INVALID)
    assert lasting(world)["metadata"]["labels"]["team"] == "shop"


async def test_a_slip_in_a_large_spec_keeps_the_last_valid_value(world: World) -> None:
    large = {"secret_annotations": {f"example.com/{number}": "x" * 2000 for number in range(4)}}
    said = large | {"deletion_policy": "orphan", "secret_labels": {"a": "b c"}}
    of = await valid(world)
    await change(world, of, **dict[str, Any](large))
    raw = raw_resource(generation=3, **(GOOD["Secret"] | said))
    world.resources.stored[of.key] = raw
    of = await change(world, of, generation=3, **said)
    assert of.left_out
    is_reported(world, of, INVALID)
    before = lasting(world)
    await world.clock.advance(DUE)
    is_reported(world, of, INVALID)
    assert (serial(world), lasting(world)) == ("token-2", before)
    metadata = before["metadata"]
    assert "ownerReferences" not in metadata
    assert metadata["labels"]["team"] == "shop"
    assert large["secret_annotations"].items() <= metadata["annotations"].items()


@each_slip
async def test_a_rename_under_a_slip_takes_the_last_valid_values_along(
    world: World, kind: str, usual: dict[str, Any], slip: dict[str, Any], reason: Reason
) -> None:
    of = await valid(world, kind, **usual)
    before = lasting(world)
    of = await change(world, of, generated_secret_name="new", **(usual | slip))
    await world.clock.advance(60)
    assert (world.condition(of), world.condition(of, "Refreshed")) == (
        ("True", "Refreshed"),
        ("False", reason),
    )
    assert world.status(of)["secretName"] == "new"
    moved = lasting(world, "new")
    for part in ("labels", "ownerReferences"):
        assert moved["metadata"].get(part) == before["metadata"].get(part)
    assert {**moved["data"], "name": ""} == {**before["data"], "name": ""}
    assert ANNOTATIONS.items() <= moved["metadata"]["annotations"].items()
    assert list(world.secrets.metadata) == [("team", "new")]
    # A link that is not valid leaves the links as they are.
    stays = "link_service_accounts" in slip or kind == ARGO
    assert pulls(world) == ((["web-pull"] if kind == "Secret" else []) if stays else ["new"])


async def test_a_suspended_resource_reports_its_slips_and_is_not_written(world: World) -> None:
    of = await valid(world)
    before = lasting(world)
    of = await change(world, of, suspend=True, secret_labels={"a": "b c"}, deletion_policy="x")
    assert (world.condition(of), world.status(of)["phase"]) == (("True", "Refreshed"), "Suspended")
    assert world.condition(of, "Refreshed") == ("Unknown", Reason.SUSPENDED)
    assert "spec.suspend is true" in message(world, of)
    assert "spec.secret_labels" in message(world, of)
    await world.clock.advance(DEAD)
    assert (lasting(world), serial(world)) == (before, "token-1")


async def test_a_suspended_resource_reports_the_expiry_of_the_token_in_an_edited_secret(
    world: World,
) -> None:
    of = await change(world, await valid(world), suspend=True)
    world.secrets.metadata["team", "web-pull"]["labels"].pop("team")
    fields = world.secrets.metadata["team", "web-pull"]["managedFields"][0]["fieldsV1"]
    del fields["f:metadata"]["f:labels"]["f:team"]
    world.secrets.metadata["team", "web-pull"]["resourceVersion"] = "900"
    world.show_secret()
    await settle()
    assert world.condition(of) == ("True", "Refreshed")
    await world.clock.advance(DEAD)
    assert world.condition(of) == ("False", Reason.TOKEN_EXPIRED)


@pytest.mark.parametrize("again", [False, True])
async def test_a_suspended_resource_reports_a_secret_that_has_lost_our_label(
    world: World,
    again: bool,  # noqa: FBT001 - a table
) -> None:
    policy: dict[str, Any] = {"deletion_policy": "Delete"}
    of = await change(world, await valid(world, **policy), suspend=True, **policy)
    before = world.status(of)
    world.relabel()
    await settle()
    assert world.status(of) == before
    if again:
        world.delete()
        world.queue.schedule_now(of.key)
        await world.clock.advance(60)
        assert (world.condition(of)[0], "secretName" in world.status(of)) == ("False", False)
        calls = len(world.secrets.calls)
        await world.clock.advance(DUE)
        assert len(world.secrets.calls) == calls
        return
    await world.clock.advance(DEAD)
    assert world.condition(of) == ("False", Reason.TOKEN_EXPIRED)


async def test_a_slip_does_not_stop_links(world: World) -> None:
    world.accounts.put("deployer")
    links = [*LINKS, {"name": "deployer", "for": ["mount"]}]
    of = await valid(world)
    await change(world, of, secret_labels={"a": "b c"}, link_service_accounts=links)
    await world.clock.advance(1)
    assert world.accounts.objects["team", "deployer"]["secrets"] == [{"name": "web-pull"}]
    assert pulls(world) == ["web-pull"]


async def test_a_secret_that_cannot_be_read_under_a_slip_keeps_its_readiness(world: World) -> None:
    of = await valid(world)
    of = await change(world, of, secret_labels={"a": "b c"})
    world.secrets.unreadable = transient(Reason.KUBERNETES_UNAVAILABLE)
    world.queue.schedule_now(of.key)
    await settle()
    assert world.condition(of) == ("True", "Refreshed")
    assert world.condition(of, "Refreshed") == ("False", Reason.KUBERNETES_UNAVAILABLE)
    await world.clock.advance(DEAD)
    assert world.condition(of)[0] == "False"
    world.secrets.unreadable = None
    await world.clock.advance(600)
    is_reported(world, of, INVALID)
    assert lasting(world)["metadata"]["labels"]["team"] == "shop"


async def test_a_new_spec_is_not_reported_while_its_secret_cannot_be_read(
    world: World,
) -> None:
    of = await valid(world)
    before = world.status(of)
    world.secrets.unreadable = transient(Reason.KUBERNETES_UNAVAILABLE)
    of = await change(world, of, ecr_registry=host("eu-west-1"), secret_labels={"a": "b c"})
    assert world.status(of) == before
    await world.clock.advance(DEAD)
    assert (world.condition(of)[0], world.status(of)["observedGeneration"]) == ("False", 2)
    world.secrets.unreadable = None
    await world.clock.advance(600)
    is_reported(world, of, INVALID)


NO_DEFAULT: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "a project": (ARGO, {"project": "Team A"}),
    "a policy": ("Secret", {"deletion_policy": "orphan"}),
}
each_without_default = pytest.mark.parametrize(("kind", "slip"), NO_DEFAULT.values(), ids=[*NO_DEFAULT])


@each_without_default
async def test_a_secret_that_loses_our_label_under_a_slip_is_relabelled(
    world: World, kind: str, slip: dict[str, Any]
) -> None:
    # Without its ownerReference it would not be the resource's own.
    of = await valid(world, kind, deletion_policy="Delete")
    before = lasting(world)
    of = await change(world, of, **({"deletion_policy": "Delete"} | slip))
    world.relabel()
    await settle()
    is_reported(world, of, INVALID)
    assert world.secrets.metadata["team", "web-pull"]["labels"]["app.kubernetes.io/managed-by"] != "Helm"
    await world.clock.advance(DUE)
    is_reported(world, of, INVALID)
    assert (serial(world), lasting(world)) == ("token-2", before)


@each_without_default
async def test_a_recreated_resource_with_a_slip_adopts_its_secret(
    world: World, kind: str, slip: dict[str, Any]
) -> None:
    world.see_deleted(await valid(world, kind))
    before = lasting(world)
    of = await world.apply(kind, uid="uid-of-another", **(GOOD[kind] | slip))
    is_reported(world, of, INVALID)
    await world.clock.advance(DUE)
    is_reported(world, of, INVALID)
    after = lasting(world)
    assert (serial(world), after["data"]) == ("token-2", before["data"])
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert ("ownerReferences" in after["metadata"]) is ("ownerReferences" in before["metadata"])


async def test_a_slip_takes_no_value_from_the_secret_of_another_resource(
    world: World,
) -> None:
    world.see_deleted(await valid(world, ARGO))
    of = world.see(
        ARGO, name="other", **(GOOD[ARGO] | {"project": "Team A"}), generated_secret_name="web-pull"
    )
    await settle()
    calls = list(world.secrets.calls)
    assert (world.condition(of), world.condition(of, "Refreshed")) == (("False", INVALID),) * 2
    await world.clock.advance(DEAD)
    assert (world.secrets.calls, calls.count("apply team/web-pull")) == (calls, 1)


async def test_a_foreign_secret_is_a_conflict_under_a_slip_too(world: World) -> None:
    world.has_foreign_secret()
    of = await world.apply(secret_labels={"a": "b c"})
    assert world.condition(of) == ("False", Reason.SECRET_CONFLICT)
    assert world.secrets.manifests == {}


@pytest.mark.parametrize("status", [None, {"phase": "Updated", "lastUpdatedTime": "2026-03-01T10:00:00Z"}])
async def test_an_invalid_project_gets_no_secret_even_after_v0_6_0(
    world: World, status: dict[str, Any] | None
) -> None:
    of = await world.apply(ARGO, project="team a", status=status)
    assert world.condition(of, "Refreshed") == ("False", INVALID)
    assert world.secrets.manifests == {}


UNUSABLE: Final[Mapping[str, tuple[str, dict[str, Any], str]]] = {
    "a registry with a scheme": ("Secret", {"ecr_registry": f"oci://{HOST}"}, f"write {HOST}"),
    "the sample unchanged": (
        "Secret",
        {"ecr_registry": "ACCOUNT_ID.dkr.ecr.us-east-2.amazonaws.com", "region": "us-east-2"},
        "write its 12 digits",
    ),
    "https for Argo CD": (ARGO, {"url": f"https://{HOST}/charts", "region": "us-east-2"}, f"write {HOST}"),
}


@pytest.mark.parametrize(("kind", "said", "words"), UNUSABLE.values(), ids=UNUSABLE)
async def test_a_secret_that_no_client_can_use_is_not_ready_and_still_renewed(
    world: World, kind: str, said: dict[str, Any], words: str
) -> None:
    not_ready = ("False", Reason.INVALID_REGISTRY)
    of = await world.apply(kind, **said)
    is_reported(world, of, Reason.INVALID_REGISTRY, not_ready)
    assert words in message(world, of)
    assert words in message(world, of, "Ready")
    await world.clock.advance(DUE)
    is_reported(world, of, Reason.INVALID_REGISTRY, not_ready)
    assert serial(world) == "token-2"
    world.aws.failing["us-east-2"] = permanent()
    await world.clock.advance(DEAD - 5 * 60)
    assert (world.condition(of), world.condition(of, "Refreshed")[1]) == (not_ready, Reason.ACCESS_DENIED)
    assert words in message(world, of, "Ready"), "not AccessDenied"
    usable: dict[str, Any] = {"ecr_registry" if kind == "Secret" else "url": HOST}
    of = await change(world, of, **usable)
    assert world.condition(of) == ("True", "Refreshed")


async def test_an_extra_registry_that_is_not_allowed_is_left_out() -> None:
    world = World(life=LIFE, policy=TenancyPolicy(registry_hosts=(HOST,)))
    other = host("eu-west-1")
    async with world.working():
        of = await world.apply()
        of = await world.apply(generation=2, status=world.status(of), additional_registries=[other])
        is_reported(world, of, Reason.INVALID_REGISTRY)
        assert "--allowed-registry-hosts" in message(world, of)
        assert other in message(world, of)
        await world.clock.advance(DUE)
        is_reported(world, of, Reason.INVALID_REGISTRY)
        assert serial(world) == "token-2"
        data = world.secrets.manifests["web-pull"]["data"][".dockerconfigjson"]
        assert other not in base64.b64decode(data).decode()
    await world.tokens.close()


async def test_a_hint_is_reported_while_it_applies(world: World) -> None:
    of = await world.apply(ARGO, url=f"oci://{HOST}/charts")
    assert (world.condition(of), world.condition(of, "Refreshed")) == (("True", "Refreshed"),) * 2
    assert "Argo CD uses the login only for OCI sources" in message(world, of)
    of = await world.apply(ARGO, url=HOST, generation=2, status=world.status(of))
    assert message(world, of) == "The last refresh succeeded."


async def test_twins_name_each_other_until_one_is_deleted_or_changed(world: World) -> None:
    one, two = world.see(ARGO), world.see(ARGO, name="shop")
    other = await world.apply(ARGO, name="apart", project="team-a")
    for of, name in ((one, "shop"), (two, "web")):
        assert (world.condition(of), world.condition(of, "Refreshed")) == (("True", "Refreshed"),) * 2
        assert f"ArgoHelmRepoSecret {name} has the same url" in message(world, of)
    assert message(world, other) == "The last refresh succeeded."
    writes = len(world.resources.written)
    await world.clock.advance(60)
    assert len(world.resources.written) == writes
    world.see_deleted(two)
    await settle()
    assert message(world, one) == "The last refresh succeeded."
    of = await world.apply(ARGO, name="shop")
    assert "ArgoHelmRepoSecret shop has" in message(world, one)
    await world.apply(ARGO, name="shop", generation=2, url=f"{HOST}/charts", status=world.status(of))
    assert message(world, one) == "The last refresh succeeded."


async def test_a_restart_changes_no_message_of_three_twins(idle: World) -> None:
    ages = {"a": 1, "b": 3, "c": 2}
    said = {name: {"name": name, "age": timedelta(hours=hours)} for name, hours in ages.items()}
    async with idle.working():
        found = [idle.see(ARGO, **said[name]) for name in ages]
        await settle()
    statuses = {of.key.name: idle.status(of) for of in found}
    messages = [message(idle, of) for of in found]
    assert [" b has" in messages[0], " c has" in messages[1], " b has" in messages[2]] == [True] * 3
    idle.restart()
    for name in ages:
        idle.show_secret(f"{name}-pull")
    writes = idle.resources.attempts
    async with idle.working():
        found = [idle.see(ARGO, status=statuses[name], **said[name]) for name in ("c", "b", "a")]
        await settle()
        assert sorted(message(idle, of) for of in found) == sorted(messages)
    assert idle.resources.attempts == writes
