"""A field that is not valid is reported, and the Secret keeps the last valid value of it."""

# ruff: noqa: S106 - names of Secrets

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import pytest

from ecr_operator.api.desired import ArgoOptions, Desired, Resource
from ecr_operator.api.outcome import Reason
from ecr_operator.core.kept_fields import with_last_good
from ecr_operator.core.manifest import encode, fingerprint, generated_secret
from ecr_operator.core.secret_view import view_secret
from tests.builders import (
    HOST,
    cases,
    desired,
    host,
    permanent,
    raw_resource,
    resource,
    secret_metadata,
    tokens,
)
from tests.core.world import DEAD, DUE, LIFE, World
from tests.fakes import settle

ARGO: Final = "ArgoHelmRepoSecret"
SCOPE_LABEL: Final = "argocd.argoproj.io/secret-type"
LABELS: Final = {"team": "shop", "app.kubernetes.io/part-of": "web"}
NOTES: Final = {"example.com/note": "mine"}
BAD: Final = {
    "secret_labels": {"a": "b c"},
    "secret_annotations": {"kubernetes.io/x": "y"},
    "deletion_policy": "x",
}
BAD_ARGO: Final = BAD | {"credential_scope": "x", "repo_type": "x", "project": "a b"}


def secret(kind: str, **good: Any) -> dict[str, Any]:
    """The Secret that was applied for a spec, as the API server holds it."""
    of = resource(kind, **good)
    return {"metadata": secret_metadata(of), "data": generated_secret(desired(of), tokens(of))["data"]}


def kept(kind: str, present: dict[str, Any], **fields: Any) -> Desired:
    """A spec with fields that are not valid, completed from a Secret."""
    return with_last_good(desired(resource(kind, **fields)), view_secret(present["metadata"]), present)


@cases(
    "kind, good",
    {
        "nothing set": ("Secret", {}),
        "labels": ("Secret", {"secret_labels": LABELS, "secret_annotations": NOTES}),
        "Orphan": ("Secret", {"deletion_policy": "Orphan"}),
        "Argo CD's defaults": (ARGO, {}),
        "repo-creds": (ARGO, {"credential_scope": "repo-creds"}),
        "oci and a project": (ARGO, {"repo_type": "oci", "project": "team-a"}),
        "all of it": (ARGO, {"deletion_policy": "Orphan", "secret_labels": LABELS, "project": "a"}),
    },
)
def test_the_secret_has_the_last_valid_value_of_every_field(kind: str, good: dict[str, Any]) -> None:
    found = kept(kind, secret(kind, **good), **(BAD_ARGO if kind == ARGO else BAD))
    before = desired(resource(kind, **good))
    for part in ("labels", "annotations", "orphan", "argo"):
        assert getattr(found, part) == getattr(before, part)
    assert fingerprint(found) == fingerprint(before), "nothing is written"


@pytest.mark.parametrize("field", sorted(BAD_ARGO))
def test_only_fields_that_are_not_valid_are_read_from_the_secret(field: str) -> None:
    def said(word: str) -> dict[str, Any]:
        return {"secret_labels": {word: "x"}, "secret_annotations": {word: "x"}, "project": word}

    present = secret(ARGO, deletion_policy="Orphan", repo_type="oci", **said("old"))
    found = kept(ARGO, present, **(said("new") | {field: BAD_ARGO[field]}))
    assert found.labels == {"old" if field == "secret_labels" else "new": "x"}
    assert found.annotations == {"old" if field == "secret_annotations" else "new": "x"}
    assert found.orphan == (field == "deletion_policy")
    repo_type, project = "oci" if field == "repo_type" else "helm", "old" if field == "project" else "new"
    assert found.argo == ArgoOptions(repo_type=repo_type, project=project)


def test_labels_and_annotations_of_others_are_not_taken_over() -> None:
    present = secret("Secret", secret_labels=LABELS)
    present["metadata"]["labels"]["theirs"] = "x"
    present["metadata"]["annotations"]["theirs"] = "x"
    found = kept("Secret", present, **BAD)
    assert (found.labels, found.annotations) == (LABELS, {})


@cases(
    "good, data, expected",
    {
        "another type": ({"repo_type": "oci"}, {"type": "helm"}, ArgoOptions(repo_type="oci")),
        "another type than helm": ({}, {"type": "oci"}, ArgoOptions()),
        "no enableOCI": ({}, {"enableOCI": None}, ArgoOptions()),
        "a project of others": ({}, {"project": "theirs"}, ArgoOptions()),
        "another project": ({"project": "a"}, {"project": "theirs"}, ArgoOptions()),
    },
)
def test_data_that_others_changed_or_removed_is_not_read_as_the_spec_s(
    good: dict[str, Any], data: dict[str, str | None], expected: ArgoOptions
) -> None:
    present = secret(ARGO, **good)
    for key, value in data.items():
        present["metadata"]["managedFields"][0]["fieldsV1"]["f:data"].pop(f"f:{key}", None)
        present["data"].pop(key, None)
        present["data"] |= {key: encode(value)} if value else {}
    assert kept(ARGO, present, **BAD_ARGO).argo == expected


def test_a_label_of_others_does_not_widen_the_scope_of_the_login() -> None:
    present = secret(ARGO)
    present["metadata"]["labels"][SCOPE_LABEL] = "repo-creds"
    del present["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:labels"][f"f:{SCOPE_LABEL}"]
    assert kept(ARGO, present, **BAD_ARGO).argo == ArgoOptions()


def test_without_managed_fields_the_options_for_argo_cd_are_read_as_they_are() -> None:
    present = secret(ARGO, repo_type="oci", project="team-a", secret_labels=LABELS)
    del present["metadata"]["managedFields"]
    found = kept(ARGO, present, **BAD_ARGO)
    assert found.argo == ArgoOptions(repo_type="oci", project="team-a")
    # Labels that the operator does not own stay by themselves.
    assert (found.labels, found.annotations) == ({}, {})


@pytest.mark.parametrize("value", ["%%%", "//8=", None, 7, ["a"]], ids=repr)
def test_data_of_any_form_gives_options(value: object) -> None:
    present = secret(ARGO, project="team-a")
    present["data"] = {"project": value, "type": value}
    assert kept(ARGO, present, **BAD_ARGO).argo is not None
    assert kept(ARGO, {"metadata": present["metadata"]}, **BAD_ARGO).argo is not None


# --- in the operator ---------------------------------------------------------------------------------------

INVALID: Final = Reason.INVALID_SPEC
ANNOTATIONS: Final = {"example.com/note": "mine", "argocd.argoproj.io/sync-options": "Prune=false"}
LINKS: Final = [{"name": "builder", "for": ["pull"]}]
META: Final = {"secret_labels": LABELS, "secret_annotations": ANNOTATIONS}
GOOD: Final[Mapping[str, dict[str, Any]]] = {
    "Secret": META | {"deletion_policy": "Orphan", "link_service_accounts": LINKS, "frequency": "9h"},
    ARGO: META | {"repo_type": "oci", "url": f"oci://{HOST}/charts", "project": "team-a"},
}
CREDS: Final = {"credential_scope": "repo-creds", "project": None, "repo_type": None, "url": HOST}
DELETE: Final = {"deletion_policy": "Delete"}
NO_USE: Final = {"link_service_accounts": [{"name": "builder"}]}
TWO: Final = {"additional_registries": [host(region="eu-west-1")]}
# One of each field and reason; test_parsing has all others.
FIELDS: Final[dict[str, tuple[str, dict[str, Any], dict[str, Any]]]] = {
    "labels and annotations": (
        "Secret",
        {},
        {"secret_labels": {"a": 7}, "secret_annotations": {"k8s.io/x": ""}},
    ),
    "a policy with a typo": ("Secret", {}, {"deletion_policy": "orphan"}),
    "a policy of Delete with a typo": ("Secret", DELETE, {"deletion_policy": "x"}),
    "a frequency with a typo": ("Secret", {}, {"frequency": "10 hours"}),
    "a format with a typo, and a link": ("Secret", {}, {"secret_format": "docker", **NO_USE}),
    "a link without a use": ("Secret", {}, NO_USE),
    "an unusable extra registry": ("Secret", {}, {"additional_registries": ["oci://x.example"]}),
    "an extra registry of no region": ("Secret", {}, {"additional_registries": ["proxy.example"]}),
    "a project beside repo-creds": (ARGO, CREDS, {"project": "team-a"}),
    "helm and repo-creds with typos": (ARGO, CREDS, {"credential_scope": "repo_creds", "repo_type": "Helm"}),
    "all of Argo CD's fields": (ARGO, {}, BAD_ARGO | META),
}
each_field = cases("kind, usual, bad", FIELDS)
each_without_default = cases(
    "kind, bad",
    {"a project": (ARGO, {"project": "Team A"}), "a policy": ("Secret", {"deletion_policy": "orphan"})},
)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A cluster with one ServiceAccount, and tokens of 12 minutes."""
    made = World(life=LIFE)
    made.accounts.put()
    async with made.working():
        yield made


async def valid(world: World, kind: str = "Secret", **usual: Any) -> Resource:
    """A resource with a valid spec of many fields, and its Secret."""
    of = await world.apply(kind, **(GOOD[kind] | usual))
    assert world.condition(of) == world.condition(of, "Refreshed") == ("True", "Refreshed")
    return of


async def change(world: World, of: Resource, **fields: Any) -> Resource:
    return await world.change(of, **(GOOD[of.key.kind] | fields))


def lasting(world: World, name: str = "web-pull") -> dict[str, Any]:
    """All of a Secret but its tokens and their times."""
    manifest = world.secrets.manifests[name]
    notes = {key: value for key, value in manifest["metadata"]["annotations"].items() if "/token-" not in key}
    tokens = ("password", ".dockerconfigjson")
    data = {key: value for key, value in manifest["data"].items() if key not in tokens}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": notes}, "data": data}


def pulls(world: World) -> list[str]:
    """The pull secrets of the ServiceAccount."""
    return [each["name"] for each in world.accounts.objects["team", "builder"].get("imagePullSecrets", ())]


def writes(world: World) -> list[str]:
    return [call for call in world.secrets.calls if not call.startswith("read")]


def reason_for(bad: Mapping[str, Any]) -> Reason:
    unusable = bad.get("additional_registries") == ["oci://x.example"]
    return Reason.INVALID_REGISTRY if unusable else INVALID


@each_field
async def test_a_field_keeps_its_last_valid_value(
    world: World, kind: str, usual: dict[str, Any], bad: dict[str, Any]
) -> None:
    of = await valid(world, kind, **usual)
    before, links, written = lasting(world), pulls(world), writes(world)
    of = await change(world, of, **(usual | bad))
    world.check_reported(of, reason_for(bad))
    assert (writes(world), len(world.aws.asked), world.password()) == (written, 1, "token-1")
    # As after an edit of the login by hand.
    world.change_secret("f:data", "f:password" if kind == ARGO else "f:.dockerconfigjson")
    await settle()
    assert (len(writes(world)), len(world.aws.asked), lasting(world)) == (2, 1, before)
    # Until the token is due, and until the next one is.
    for token in ("token-2", "token-3"):
        await world.clock.advance(DUE)
        world.check_reported(of, reason_for(bad))
        assert (world.password(), lasting(world), pulls(world)) == (token, before, links)
    assert pulls(world) == (["web-pull"] if kind == "Secret" else [])
    written = writes(world)
    of = await change(world, of, **usual)
    assert world.condition(of) == world.condition(of, "Refreshed") == ("True", "Refreshed")
    assert world.condition(of, "Stalled") == ("", "")
    assert (writes(world), len(world.aws.asked)) == (written, 3), "a correction costs nothing"


@each_field
async def test_the_last_valid_value_survives_a_restart_and_a_rename(
    kind: str, usual: dict[str, Any], bad: dict[str, Any]
) -> None:
    world = World(life=LIFE)
    world.accounts.put()
    async with world.working():
        of = await valid(world, kind, **usual)
    before, status, written = lasting(world), world.status(of), writes(world)
    world.restart()
    world.show_secret()
    of = world.see(kind, generation=2, status=status, **(GOOD[kind] | usual | bad))
    async with world.working():
        world.check_reported(of, reason_for(bad))
        assert (writes(world), len(world.aws.asked)) == (written, 1)
        of = await change(world, of, generated_secret_name="new", **(usual | bad))
        await world.clock.advance(60)
        world.check_reported(of, reason_for(bad), name="new")
    moved = lasting(world, "new")
    for part in ("labels", "ownerReferences"):
        assert moved["metadata"].get(part) == before["metadata"].get(part)
    assert {**moved["data"], "name": ""} == {**before["data"], "name": ""}
    assert ANNOTATIONS.items() <= moved["metadata"]["annotations"].items()
    assert list(world.secrets.metadata) == [("team", "new")]
    # A link that is not valid leaves the links as they are.
    stays = "link_service_accounts" in bad or kind == ARGO
    assert pulls(world) == ((["web-pull"] if kind == "Secret" else []) if stays else ["new"])


@each_field
async def test_a_new_secret_gets_defaults_unless_these_widen_or_delete_it(
    world: World, kind: str, usual: dict[str, Any], bad: dict[str, Any]
) -> None:
    of = await world.apply(kind, **(GOOD[kind] | usual | bad))
    if {"project", "credential_scope", "repo_type", "secret_format", "deletion_policy"} & bad.keys():
        assert world.condition(of) == ("False", INVALID)
        assert world.condition(of, "Stalled") == ("True", INVALID)
        assert (world.secrets.calls, world.aws.asked, world.expiry_metric) == ([], [], None)
        assert world.status(of)["phase"] == "Failed"
    else:
        world.check_reported(of, reason_for(bad))
        assert world.secrets.calls == ["apply team/web-pull"]


@cases(
    "usual, bad",
    {
        "config.json": ({"secret_format": "config.json"}, {"secret_format": "Config.json"}),
        "basic-auth": ({"secret_format": "basic-auth"}, {"secret_format": "x"}),
        "one registry, then two": ({"secret_format": "basic-auth"}, {"secret_format": "basic-auth", **TWO}),
        "one registry, then two and a typo": ({"secret_format": "basic-auth"}, {"secret_format": "x", **TWO}),
        "two registries, then a form for one": (TWO, {"secret_format": "basic-auth", **TWO}),
    },
)
async def test_a_format_that_is_not_valid_or_holds_too_few_logins_leaves_the_present_one(
    world: World, usual: dict[str, Any], bad: dict[str, Any]
) -> None:
    of = await valid(world, **usual, link_service_accounts=None)
    before, asked = world.secrets.manifests["web-pull"], len(world.aws.asked)
    of = await change(world, of, **bad, link_service_accounts=None)
    world.check_reported(of, INVALID)
    assert (world.secrets.manifests["web-pull"], len(world.aws.asked)) == (before, asked)
    await world.clock.advance(DUE)
    world.check_reported(of, INVALID)
    after = world.secrets.manifests["web-pull"]
    assert (after["type"], after["data"].keys()) == (before["type"], before["data"].keys())
    assert after["data"] != before["data"]


async def test_a_failure_of_aws_is_reported_before_a_field(world: World) -> None:
    of = await change(world, await valid(world), **BAD)
    world.aws.failing["us-east-2"] = permanent()
    await world.clock.advance(DUE)
    assert world.condition(of) == ("True", "Refreshed")
    assert world.condition(of, "Refreshed") == ("False", Reason.ACCESS_DENIED)
    await world.clock.advance(DEAD - DUE)
    assert world.condition(of) == ("False", Reason.TOKEN_EXPIRED)
    world.aws.failing.clear()
    await world.clock.advance(1800)
    world.check_reported(of, INVALID)
    assert lasting(world)["metadata"]["labels"]["team"] == "shop"


async def test_a_field_of_a_large_spec_keeps_its_last_valid_value(world: World) -> None:
    large: dict[str, Any] = {"secret_annotations": {f"example.com/{part}": "x" * 2000 for part in range(4)}}
    said = large | {"deletion_policy": "orphan", "secret_labels": {"a": "b c"}}
    of = await change(world, await valid(world), **large)
    world.resources.stored[of.key] = raw_resource(generation=3, **(GOOD["Secret"] | said))
    of = await change(world, of, **said)
    assert of.left_out
    world.check_reported(of, INVALID)
    before = lasting(world)
    await world.clock.advance(DUE)
    world.check_reported(of, INVALID)
    assert (world.password(), lasting(world)) == ("token-2", before)
    assert "ownerReferences" not in before["metadata"]
    assert before["metadata"]["labels"]["team"] == "shop"
    assert large["secret_annotations"].items() <= before["metadata"]["annotations"].items()


async def test_a_field_that_is_not_valid_does_not_stop_links(world: World) -> None:
    world.accounts.put("deployer")
    links = [*LINKS, {"name": "deployer", "for": ["mount"]}]
    await change(world, await valid(world), secret_labels={"a": "b c"}, link_service_accounts=links)
    await world.clock.advance(1)
    assert world.accounts.objects["team", "deployer"]["secrets"] == [{"name": "web-pull"}]
    assert pulls(world) == ["web-pull"]


@each_without_default
async def test_a_secret_that_loses_our_label_is_relabelled(
    world: World, kind: str, bad: dict[str, Any]
) -> None:
    # Without its ownerReference it would not be the resource's own.
    of = await valid(world, kind, **DELETE)
    before = lasting(world)
    of = await change(world, of, **(DELETE | bad))
    world.relabel()
    await settle()
    world.check_reported(of, INVALID)
    assert world.secrets.metadata["team", "web-pull"]["labels"]["app.kubernetes.io/managed-by"] != "Helm"
    await world.clock.advance(DUE)
    world.check_reported(of, INVALID)
    assert (world.password(), lasting(world)) == ("token-2", before)


@each_without_default
async def test_a_recreated_resource_adopts_its_secret(world: World, kind: str, bad: dict[str, Any]) -> None:
    world.see_deleted(await valid(world, kind))
    before = lasting(world)
    of = await world.apply(kind, uid="uid-of-another", **(GOOD[kind] | bad))
    world.check_reported(of, INVALID)
    await world.clock.advance(DUE)
    world.check_reported(of, INVALID)
    after = lasting(world)
    assert (world.password(), after["data"]) == ("token-2", before["data"])
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert ("ownerReferences" in after["metadata"]) is ("ownerReferences" in before["metadata"])


async def test_no_value_is_taken_from_the_secret_of_another_resource(world: World) -> None:
    world.see_deleted(await valid(world, ARGO))
    said: dict[str, Any] = GOOD[ARGO] | {"project": "Team A", "generated_secret_name": "web-pull"}
    of = await world.apply(ARGO, name="other", **said)
    calls = list(world.secrets.calls)
    assert (world.condition(of), world.condition(of, "Refreshed")) == (("False", INVALID),) * 2
    await world.clock.advance(DEAD)
    assert (world.secrets.calls, calls.count("apply team/web-pull")) == (calls, 1)


async def test_a_foreign_secret_is_a_conflict_all_the_same(world: World) -> None:
    world.has_foreign_secret()
    of = await world.apply(secret_labels={"a": "b c"})
    assert world.condition(of) == ("False", Reason.SECRET_CONFLICT)
    assert world.secrets.manifests == {}


@pytest.mark.parametrize("status", [None, {"phase": "Updated", "lastUpdatedTime": "2026-03-01T10:00:00Z"}])
async def test_an_invalid_project_gets_no_secret_even_after_v0_6_0(world: World, status: object) -> None:
    of = await world.apply(ARGO, project="team a", status=status)
    assert (world.condition(of, "Refreshed"), world.secrets.manifests) == (("False", INVALID), {})
