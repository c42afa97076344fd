"""A slip in a spec is reported, and never ends a login that is in use."""

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

# Short, since each of the clock's hours takes its time.
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

# Kind, what else the good spec says, the slip, and the reason that is reported.
SLIPS: Final[Mapping[str, tuple[str, dict[str, Any], dict[str, Any], Reason]]] = {
    "a reserved annotation": ("Secret", {}, {"secret_annotations": {"kubernetes.io/x": "y"}}, INVALID),
    "a reserved label": ("Secret", {}, {"secret_labels": {"app.kubernetes.io/managed-by": "x"}}, INVALID),
    "a label that is a number": ("Secret", {}, {"secret_labels": {"a": 7}}, INVALID),
    "101 labels": ("Secret", {}, {"secret_labels": {f"a{number}": "" for number in range(101)}}, INVALID),
    "a policy with a typo": ("Secret", {}, {"deletion_policy": "orphan"}, INVALID),
    "a policy of spaces": ("Secret", {}, {"deletion_policy": " "}, INVALID),
    "a policy of Delete with a typo": (
        "Secret",
        {"deletion_policy": "Delete"},
        {"deletion_policy": "x"},
        INVALID,
    ),
    "a frequency with a typo": ("Secret", {}, {"frequency": "10 hours"}, INVALID),
    "a frequency beyond all bounds": ("Secret", {}, {"frequency": "1h" * 40}, INVALID),
    "a link without a use": ("Secret", {}, {"link_service_accounts": [{"name": "builder"}]}, INVALID),
    "a link with an unknown use": (
        "Secret",
        {},
        {"link_service_accounts": [{"name": "builder", "for": ["push"]}]},
        INVALID,
    ),
    "a link to no name": ("Secret", {}, {"link_service_accounts": [{"name": "", "for": ["pull"]}]}, INVALID),
    "a dead extra registry": (
        "Secret",
        {},
        {"additional_registries": ["oci://x.example"]},
        Reason.INVALID_REGISTRY,
    ),
    "an extra registry of no region": ("Secret", {}, {"additional_registries": ["proxy.example"]}, INVALID),
    "an empty extra registry": ("Secret", {}, {"additional_registries": [""]}, Reason.INVALID_REGISTRY),
    "extra registries that are text": ("Secret", {}, {"additional_registries": host("eu-west-1")}, INVALID),
    "a project of two words": (ARGO, {}, {"project": "team a"}, INVALID),
    "a project in capitals": (ARGO, {}, {"project": "Team-A"}, INVALID),
    "a project beyond all bounds": (ARGO, {}, {"project": "a" * 254}, INVALID),
    "repo-creds beside a project": (ARGO, {}, {"credential_scope": "repo-creds"}, INVALID),
    "a project beside repo-creds": (ARGO, CREDS, {"project": "team-a"}, INVALID),
    "a scope with a typo": (ARGO, {}, {"credential_scope": "Repository"}, INVALID),
    "repo-creds with a typo": (ARGO, CREDS, {"credential_scope": "repo_creds"}, INVALID),
    "a type with a typo": (ARGO, {}, {"repo_type": "OCI"}, INVALID),
    "the type helm with a typo": (ARGO, CREDS, {"repo_type": "Helm"}, INVALID),
    "two slips": (
        "Secret",
        {},
        {"secret_labels": {"a": "b c"}, "secret_annotations": {"kubernetes.io/x": "y"}, "frequency": "x"},
        INVALID,
    ),
    "slips in all of Argo CD's fields": (
        ARGO,
        {},
        {"project": "a b", "repo_type": "x", "credential_scope": "y", "deletion_policy": "z"},
        INVALID,
    ),
}
each_slip = pytest.mark.parametrize(("kind", "usual", "slip", "reason"), SLIPS.values(), ids=SLIPS)

# What makes it impossible to know the login.
NO_LOGIN: Final[Mapping[str, dict[str, Any]]] = {
    "no registry": {"ecr_registry": ""},
    "a registry with a space": {"ecr_registry": f"{HOST} "},
    "a registry beyond all bounds": {"ecr_registry": "x" * 2049},
    "a registry of no region": {"ecr_registry": "proxy.example"},
    "no region": {"region": "nowhere"},
    "another region": {"region": "eu-west-1"},
    "no name": {"generated_secret_name": ""},
    "a name in capitals": {"generated_secret_name": "Web"},
    "no role": {"role_arn": "admin"},
    "an empty reference": {"aws_iam_secret": {}},
    "a reference that is text": {"aws_iam_secret": ""},
    "two identities": {"aws_iam_secret": {"name": "a"}, "service_account": {"name": "b"}},
    "too large a spec": {"secret_annotations": {f"a{number}": "x" * 2000 for number in range(40)}},
    "no spec at all": {"spec": {}},
}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An empty cluster but for a ServiceAccount."""
    made = World(life=LIFE)
    made.accounts.put()
    yield made
    await made.tokens.close()


async def live(world: World, kind: str = "Secret", **usual: Any) -> Resource:
    """Have a resource with all that may be lost, and its Secret made."""
    of = world.see(kind, **(GOOD[kind] | usual))
    await settle()
    assert (world.told(of), world.told(of, "Refreshed")) == (("True", "Refreshed"), ("True", "Refreshed"))
    return of


async def change(world: World, of: Resource, generation: int = 2, **said: Any) -> Resource:
    """Have the spec changed, and whatever that causes done."""
    kind = of.key.kind
    changed = world.see(kind, generation=generation, status=world.status(of), **(GOOD[kind] | said))
    await settle()
    return changed


def lasting(world: World, name: str = "web-pull") -> dict[str, Any]:
    """Return all of a Secret that no slip may change, which is all but the token."""
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
    """Return the token in a Secret."""
    data = {
        key: base64.b64decode(value).decode() for key, value in world.secrets.manifests[name]["data"].items()
    }
    return data.get("password") or data[".dockerconfigjson"].split('"password":"')[1].split('"')[0]


def pulls(world: World) -> list[str]:
    """Return what the ServiceAccount pulls with."""
    entries = world.accounts.objects["team", "builder"].get("imagePullSecrets", ())
    return [entry["name"] for entry in entries]


def metric(world: World) -> float | None:
    """Return the expiry that the metrics show of the one resource."""
    (state,) = snapshot(world.cache, world.clock.now())
    return state.expires_at


def message(world: World, of: Resource, condition: str = "Refreshed") -> str:
    """Return the message of a condition."""
    found = {each["type"]: each for each in world.status(of)["conditions"]}
    return str(found[condition]["message"])


def is_reported(
    world: World, of: Resource, reason: Reason, ready: tuple[str, str] = ("True", "Refreshed")
) -> None:
    """Check what a resource says of a slip, and that its Secret still shows."""
    assert world.told(of) == ready
    assert (world.told(of, "Refreshed"), world.told(of, "Stalled")) == (("False", reason), ("True", reason))
    status = world.status(of)
    assert (status["phase"], status["secretName"]) == ("Updated", "web-pull")
    assert metric(world) is not None
    assert status["expirationTime"].startswith(str(world.clock.now().date())[:4])


@each_slip
async def test_a_slip_is_reported_and_loses_nothing(
    world: World, kind: str, usual: dict[str, Any], slip: dict[str, Any], reason: Reason
) -> None:
    async with world.working():
        of = await live(world, kind, **usual)
        before, links, writes = lasting(world), pulls(world), list(world.secrets.calls)
        of = await change(world, of, **(usual | slip))
        is_reported(world, of, reason)
        assert [call for call in world.secrets.calls if not call.startswith("read")] == writes
        assert (len(world.aws.asked), serial(world)) == (1, "token-1")
        # Until it is due, and a whole life beyond.
        for token in ("token-2", "token-3"):
            await world.clock.advance(DUE)
            is_reported(world, of, reason)
            assert (serial(world), lasting(world), pulls(world)) == (token, before, links)
    assert pulls(world) == (["web-pull"] if kind == "Secret" else [])


@each_slip
async def test_after_a_restart_the_secret_tells_what_is_not_to_be_lost(
    world: World, kind: str, usual: dict[str, Any], slip: dict[str, Any], reason: Reason
) -> None:
    async with world.working():
        of = await live(world, kind, **usual)
    before, links, status, writes = lasting(world), pulls(world), world.status(of), list(world.secrets.calls)
    world.restart()
    world.show_secret()
    of = world.see(kind, generation=2, status=status, **(GOOD[kind] | usual | slip))
    async with world.working():
        is_reported(world, of, reason)
        assert [call for call in world.secrets.calls if not call.startswith("read")] == writes
        assert len(world.aws.asked) == 1
        await world.clock.advance(DUE)
        is_reported(world, of, reason)
        assert (serial(world), lasting(world), pulls(world)) == ("token-2", before, links)


@each_slip
async def test_a_secret_that_is_edited_under_a_slip_is_restored(
    world: World, kind: str, usual: dict[str, Any], slip: dict[str, Any], reason: Reason
) -> None:
    async with world.working():
        of = await live(world, kind, **usual)
        before = lasting(world)
        of = await change(world, of, **(usual | slip))
        metadata = world.secrets.metadata["team", "web-pull"]
        # As if somebody had written the login by hand.
        login = "f:password" if kind == ARGO else "f:.dockerconfigjson"
        del metadata["managedFields"][0]["fieldsV1"]["f:data"][login]
        metadata["resourceVersion"] = "900"
        world.show_secret()
        await settle()
        is_reported(world, of, reason)
        assert (world.secrets.calls.count("apply team/web-pull"), lasting(world)) == (2, before)
        assert len(world.aws.asked) == 1


@each_slip
async def test_where_there_is_no_secret_defaults_do_unless_they_would_open_or_lose_it(
    world: World, kind: str, usual: dict[str, Any], slip: dict[str, Any], reason: Reason
) -> None:
    no_default = {"project", "credential_scope", "repo_type", "deletion_policy"} & slip.keys()
    async with world.working():
        of = world.see(kind, **(GOOD[kind] | usual | slip))
        await settle()
        if no_default:
            assert (world.told(of), world.told(of, "Stalled")) == (("False", reason), ("True", reason))
            assert (world.secrets.calls, world.aws.asked, metric(world)) == ([], [], None)
            assert world.status(of)["phase"] == "Failed"
        else:
            is_reported(world, of, reason)
            assert world.secrets.calls == ["apply team/web-pull"]


@each_slip
async def test_a_slip_that_is_corrected_costs_nothing(
    world: World, kind: str, usual: dict[str, Any], slip: dict[str, Any], reason: Reason
) -> None:
    async with world.working():
        of = await live(world, kind, **usual)
        of = await change(world, of, **(usual | slip))
        is_reported(world, of, reason)
        world.secrets.calls.clear()
        of = await change(world, of, generation=3, **usual)
        assert (world.told(of), world.told(of, "Refreshed")) == (("True", "Refreshed"),) * 2
        assert world.told(of, "Stalled") == ("", "")
        of = await change(world, of, generation=4, **(usual | {"secret_labels": {"new": "label"}}))
        assert lasting(world)["metadata"]["labels"].get("new") == "label"
        assert world.told(of, "Refreshed") == ("True", "Refreshed")
    assert (world.secrets.calls, len(world.aws.asked)) == (["apply team/web-pull"], 1)


@pytest.mark.parametrize("said", NO_LOGIN.values(), ids=NO_LOGIN)
async def test_while_the_login_can_t_be_known_the_secret_stays_and_shows(
    world: World, said: dict[str, Any]
) -> None:
    async with world.working():
        of = await live(world)
        before, shown = lasting(world), metric(world)
        of = await change(world, of, **said)
        status = world.status(of)
        assert (world.told(of)[0], world.told(of, "Refreshed")[0]) == ("False", "False")
        assert world.told(of, "Stalled")[0] == "True"
        assert (status["secretName"], status["expirationTime"]) == ("web-pull", "2026-03-01T12:12:00Z")
        assert "expires at 2026-03-01T12:12:00Z" in message(world, of)
        await world.clock.advance(DEAD)
        assert (lasting(world), pulls(world), metric(world)) == (before, ["web-pull"], shown)
        assert world.status(of)["expirationTime"] == "2026-03-01T12:12:00Z"
        of = await change(world, of, generation=3)
        assert (world.told(of), serial(world)) == (("True", "Refreshed"), "token-2")


async def test_a_failure_of_aws_shows_before_a_slip_and_the_token_counts(world: World) -> None:
    async with world.working():
        of = await live(world)
        of = await change(world, of, secret_labels={"a": "b c"})
        world.aws.failing["us-east-2"] = permanent()
        await world.clock.advance(DUE)
        assert world.told(of) == ("True", "Refreshed")
        assert world.told(of, "Refreshed") == ("False", Reason.ACCESS_DENIED)
        await world.clock.advance(DEAD - DUE)
        assert world.told(of) == ("False", Reason.TOKEN_EXPIRED)
        world.aws.failing.clear()
        await world.clock.advance(1800)
        is_reported(world, of, INVALID)
        assert lasting(world)["metadata"]["labels"]["team"] == "shop"


async def test_a_slip_in_a_large_spec_loses_nothing(world: World) -> None:
    large = {"secret_annotations": {f"example.com/{number}": "x" * 2000 for number in range(4)}}
    said = large | {"deletion_policy": "orphan", "secret_labels": {"a": "b c"}}
    async with world.working():
        of = await live(world)
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
async def test_a_slip_together_with_another_name_moves_all_of_it(
    world: World, kind: str, usual: dict[str, Any], slip: dict[str, Any], reason: Reason
) -> None:
    async with world.working():
        of = await live(world, kind, **usual)
        before = lasting(world)
        of = await change(world, of, generated_secret_name="new", **(usual | slip))
        await world.clock.advance(60)
        assert (world.told(of), world.told(of, "Refreshed")) == (("True", "Refreshed"), ("False", reason))
        assert world.status(of)["secretName"] == "new"
    moved = lasting(world, "new")
    for part in ("labels", "ownerReferences"):
        assert moved["metadata"].get(part) == before["metadata"].get(part)
    assert {**moved["data"], "name": ""} == {**before["data"], "name": ""}
    assert ANNOTATIONS.items() <= moved["metadata"]["annotations"].items()
    assert list(world.secrets.metadata) == [("team", "new")]
    # Which link is meant is not known while it is not valid: it stays where it was.
    stays = "link_service_accounts" in slip or kind == ARGO
    assert pulls(world) == ((["web-pull"] if kind == "Secret" else []) if stays else ["new"])


async def test_what_is_suspended_says_so_and_what_is_wrong(world: World) -> None:
    async with world.working():
        of = await live(world)
        before = lasting(world)
        of = await change(world, of, suspend=True, secret_labels={"a": "b c"}, deletion_policy="x")
        assert (world.told(of), world.status(of)["phase"]) == (("True", "Refreshed"), "Suspended")
        assert world.told(of, "Refreshed") == ("Unknown", Reason.SUSPENDED)
        assert "spec.suspend is true" in message(world, of)
        assert "spec.secret_labels" in message(world, of)
        await world.clock.advance(DEAD)
        assert (lasting(world), serial(world)) == (before, "token-1")


async def test_what_is_suspended_from_the_start_says_so_whatever_else_is_wrong(world: World) -> None:
    async with world.working():
        of = world.see(suspend=True, deletion_policy="x")
        await settle()
        assert (world.told(of), world.secrets.calls) == (("False", Reason.SUSPENDED), [])


async def test_what_is_suspended_tells_of_the_death_of_a_token_in_a_secret_that_somebody_edited(
    world: World,
) -> None:
    async with world.working():
        of = await change(world, await live(world), suspend=True)
        world.secrets.metadata["team", "web-pull"]["labels"].pop("team")
        fields = world.secrets.metadata["team", "web-pull"]["managedFields"][0]["fieldsV1"]
        del fields["f:metadata"]["f:labels"]["f:team"]
        world.secrets.metadata["team", "web-pull"]["resourceVersion"] = "900"
        world.show_secret()
        await settle()
        assert world.told(of) == ("True", "Refreshed")
        await world.clock.advance(DEAD)
        assert world.told(of) == ("False", Reason.TOKEN_EXPIRED)


@pytest.mark.parametrize("again", [False, True])
async def test_what_is_suspended_still_tells_of_a_secret_that_has_lost_our_label(
    world: World,
    again: bool,  # noqa: FBT001 - a table
) -> None:
    policy: dict[str, Any] = {"deletion_policy": "Delete"}
    async with world.working():
        of = await change(world, await live(world, **policy), suspend=True, **policy)
        before = world.status(of)
        world.relabel()
        await settle()
        assert world.status(of) == before
        if again:
            world.delete()
            world.queue.schedule_now(of.key)
            await world.clock.advance(60)
            assert (world.told(of)[0], "secretName" in world.status(of)) == ("False", False)
            calls = len(world.secrets.calls)
            await world.clock.advance(DUE)
            assert len(world.secrets.calls) == calls
            return
        await world.clock.advance(DEAD)
        assert world.told(of) == ("False", Reason.TOKEN_EXPIRED)


async def test_other_slips_keep_no_link_from_being_made(world: World) -> None:
    world.accounts.put("deployer")
    links = [*LINKS, {"name": "deployer", "for": ["mount"]}]
    async with world.working():
        of = await live(world)
        await change(world, of, secret_labels={"a": "b c"}, link_service_accounts=links)
        await world.clock.advance(1)
    assert world.accounts.objects["team", "deployer"]["secrets"] == [{"name": "web-pull"}]
    assert pulls(world) == ["web-pull"]


async def test_while_the_secret_can_t_be_read_it_counts_as_it_was(world: World) -> None:
    async with world.working():
        of = await live(world)
        of = await change(world, of, secret_labels={"a": "b c"})
        world.secrets.unreadable = transient(Reason.KUBERNETES_UNAVAILABLE)
        world.queue.schedule_now(of.key)
        await settle()
        assert world.told(of) == ("True", "Refreshed")
        assert world.told(of, "Refreshed") == ("False", Reason.KUBERNETES_UNAVAILABLE)
        await world.clock.advance(DEAD)
        assert world.told(of)[0] == "False"
        world.secrets.unreadable = None
        await world.clock.advance(600)
        is_reported(world, of, INVALID)
        assert lasting(world)["metadata"]["labels"]["team"] == "shop"


async def test_what_is_told_while_a_new_spec_s_secret_can_t_be_read_is_not_told_of_that_spec(
    world: World,
) -> None:
    async with world.working():
        of = await live(world)
        before = world.status(of)
        world.secrets.unreadable = transient(Reason.KUBERNETES_UNAVAILABLE)
        of = await change(world, of, ecr_registry=host("eu-west-1"), secret_labels={"a": "b c"})
        assert world.status(of) == before
        await world.clock.advance(DEAD)
        assert (world.told(of)[0], world.status(of)["observedGeneration"]) == ("False", 2)
        world.secrets.unreadable = None
        await world.clock.advance(600)
        is_reported(world, of, INVALID)


NO_DEFAULT: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "a project": (ARGO, {"project": "Team A"}),
    "a policy": ("Secret", {"deletion_policy": "orphan"}),
}
each_without_default = pytest.mark.parametrize(("kind", "slip"), NO_DEFAULT.values(), ids=[*NO_DEFAULT])


@each_without_default
async def test_a_secret_that_loses_our_label_under_a_slip_gets_it_back(
    world: World, kind: str, slip: dict[str, Any]
) -> None:
    async with world.working():
        # Without its owner's reference it would not be the resource's own any more.
        of = await live(world, kind, deletion_policy="Delete")
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
async def test_a_resource_that_is_made_again_with_a_slip_takes_its_secret_over(
    world: World, kind: str, slip: dict[str, Any]
) -> None:
    async with world.working():
        world.see_gone(await live(world, kind))
        before = lasting(world)
        of = world.see(kind, uid="uid-of-another", **(GOOD[kind] | slip))
        await settle()
        is_reported(world, of, INVALID)
        await world.clock.advance(DUE)
        is_reported(world, of, INVALID)
    after = lasting(world)
    assert (serial(world), after["data"]) == ("token-2", before["data"])
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert ("ownerReferences" in after["metadata"]) is ("ownerReferences" in before["metadata"])


async def test_under_a_slip_nothing_is_taken_from_the_secret_of_a_resource_of_another_name(
    world: World,
) -> None:
    async with world.working():
        world.see_gone(await live(world, ARGO))
        of = world.see(
            ARGO, name="other", **(GOOD[ARGO] | {"project": "Team A"}), generated_secret_name="web-pull"
        )
        await settle()
        calls = list(world.secrets.calls)
        assert (world.told(of), world.told(of, "Refreshed")) == (("False", INVALID),) * 2
        await world.clock.advance(DEAD)
    assert (world.secrets.calls, calls.count("apply team/web-pull")) == (calls, 1)


async def test_a_secret_of_others_keeps_its_conflict_under_a_slip(world: World) -> None:
    world.has_foreign_secret()
    async with world.working():
        of = world.see(secret_labels={"a": "b c"})
        await settle()
        assert world.told(of) == ("False", Reason.SECRET_CONFLICT)
    assert world.secrets.manifests == {}


async def test_what_others_changed_in_the_secret_is_not_taken_for_the_spec_s(world: World) -> None:
    async with world.working():
        of = await live(world, ARGO)
        of = await change(world, of, project="team a", repo_type="x")
        raw = world.secrets.manifests["web-pull"]
        other = {**raw["data"], "project": base64.b64encode(b"theirs").decode(), "type": "aGVsbQ=="}
        world.secrets.data["web-pull"] = {"data": other}
        metadata = world.secrets.metadata["team", "web-pull"]
        for field in ("f:project", "f:type"):
            del metadata["managedFields"][0]["fieldsV1"]["f:data"][field]
        metadata["resourceVersion"] = "900"
        world.show_secret()
        await settle()
    data = world.secrets.manifests["web-pull"]["data"]
    assert (base64.b64decode(data["type"]), "project" in data) == (b"oci", False), "theirs is not written"


@pytest.mark.parametrize("status", [None, {"phase": "Updated", "lastUpdatedTime": "2026-03-01T10:00:00Z"}])
async def test_no_secret_is_made_for_a_bad_project_though_v0_6_0_served_the_resource(
    world: World, status: dict[str, Any] | None
) -> None:
    async with world.working():
        of = world.see(ARGO, project="team a", status=status)
        await settle()
        assert world.told(of, "Refreshed") == ("False", INVALID)
    assert world.secrets.manifests == {}


UNUSABLE: Final[Mapping[str, tuple[str, dict[str, Any], str]]] = {
    "a scheme that is none": ("Secret", {"ecr_registry": f"oci://{HOST}"}, f"write {HOST}"),
    "a tag": ("Secret", {"ecr_registry": f"{HOST}/my-app:latest"}, f"write {HOST}"),
    "the sample as it is": (
        "Secret",
        {"ecr_registry": "ACCOUNT_ID.dkr.ecr.us-east-2.amazonaws.com", "region": "us-east-2"},
        "write its 12 digits",
    ),
    "11 digits": (
        "Secret",
        {"ecr_registry": HOST[1:], "region": "us-east-2"},
        "write its 12 digits, not 11",
    ),
    "two hosts": (
        "Secret",
        {"ecr_registry": f"{HOST},{HOST}", "region": "us-east-2"},
        "additional_registries",
    ),
    "https for Argo CD": (ARGO, {"url": f"https://{HOST}/charts", "region": "us-east-2"}, f"write {HOST}"),
}


@pytest.mark.parametrize(("kind", "said", "words"), UNUSABLE.values(), ids=UNUSABLE)
async def test_what_no_client_can_use_is_not_ready_and_still_renewed(
    world: World, kind: str, said: dict[str, Any], words: str
) -> None:
    not_ready = ("False", Reason.INVALID_REGISTRY)
    async with world.working():
        of = world.see(kind, **said)
        await settle()
        is_reported(world, of, Reason.INVALID_REGISTRY, not_ready)
        assert words in message(world, of)
        assert words in message(world, of, "Ready")
        await world.clock.advance(DUE)
        is_reported(world, of, Reason.INVALID_REGISTRY, not_ready)
        assert serial(world) == "token-2"
        world.aws.failing["us-east-2"] = permanent()
        await world.clock.advance(DEAD - 5 * 60)
        assert (world.told(of), world.told(of, "Refreshed")[1]) == (not_ready, Reason.ACCESS_DENIED)
        assert words in message(world, of, "Ready"), "not that AWS denies it"
        mended: dict[str, Any] = {"ecr_registry" if kind == "Secret" else "url": HOST}
        of = await change(world, of, **mended)
        assert world.told(of) == ("True", "Refreshed")


async def test_a_url_without_a_region_is_judged_by_argo_cd_s_rules(world: World) -> None:
    async with world.working():
        of = world.see(ARGO, url="oci://charts.example.com/app")
        await settle()
        assert world.told(of, "Refreshed") == ("False", INVALID)
        assert "spec.region" in message(world, of)
        of = world.see(ARGO, name="other", url="https://charts.example.com/app")
        await settle()
        assert world.told(of, "Refreshed") == ("False", Reason.INVALID_REGISTRY)
        assert "Argo CD" in message(world, of)


async def test_an_extra_registry_that_the_cluster_admin_does_not_allow_is_left_out() -> None:
    world = World(life=LIFE, policy=TenancyPolicy(registry_hosts=(HOST,)))
    other = host("eu-west-1")
    async with world.working():
        of = world.see()
        await settle()
        of = world.see(generation=2, status=world.status(of), additional_registries=[other])
        await settle()
        is_reported(world, of, Reason.INVALID_REGISTRY)
        assert "--allowed-registry-hosts" in message(world, of)
        assert other in message(world, of)
        await world.clock.advance(DUE)
        is_reported(world, of, Reason.INVALID_REGISTRY)
        assert serial(world) == "token-2"
        assert (
            other
            not in base64.b64decode(world.secrets.manifests["web-pull"]["data"][".dockerconfigjson"]).decode()
        )
    await world.tokens.close()


async def test_a_hint_is_there_as_long_as_it_applies(world: World) -> None:
    async with world.working():
        of = world.see(ARGO, url=f"oci://{HOST}/charts")
        await settle()
        assert (world.told(of), world.told(of, "Refreshed")) == (("True", "Refreshed"),) * 2
        assert "Argo CD uses the login only for OCI sources" in message(world, of)
        of = world.see(ARGO, url=HOST, generation=2, status=world.status(of))
        await settle()
        assert message(world, of) == "The last refresh succeeded."


async def test_twins_name_each_other_until_one_is_gone(world: World) -> None:
    async with world.working():
        one, two = world.see(ARGO), world.see(ARGO, name="shop")
        other = world.see(ARGO, name="apart", project="team-a")
        await settle()
        for of, name in ((one, "shop"), (two, "web")):
            assert (world.told(of), world.told(of, "Refreshed")) == (("True", "Refreshed"),) * 2
            assert f"ArgoHelmRepoSecret {name} has the same url" in message(world, of)
        assert message(world, other) == "The last refresh succeeded."
        writes = len(world.resources.written)
        await world.clock.advance(60)
        assert len(world.resources.written) == writes
        world.see_gone(two)
        await settle()
        assert message(world, one) == "The last refresh succeeded."
        of = world.see(ARGO, name="shop")
        await settle()
        assert "ArgoHelmRepoSecret shop has" in message(world, one)
        world.see(ARGO, name="shop", generation=2, url=f"{HOST}/charts", status=world.status(of))
        await settle()
        assert message(world, one) == "The last refresh succeeded."


async def test_of_three_twins_each_names_another(world: World) -> None:
    async with world.working():
        found = [world.see(ARGO, name=name) for name in ("a", "b", "c")]
        await settle()
        assert [" has the same url" in message(world, of) for of in found] == [True] * 3
        world.see_gone(found[0])
        await settle()
        assert "ArgoHelmRepoSecret c has" in message(world, found[1])
        assert "ArgoHelmRepoSecret b has" in message(world, found[2])


async def test_a_restart_changes_nothing_of_what_three_twins_say(world: World) -> None:
    ages = {"a": 1, "b": 3, "c": 2}
    said = {name: {"name": name, "age": timedelta(hours=hours)} for name, hours in ages.items()}
    async with world.working():
        found = [world.see(ARGO, **said[name]) for name in ages]
        await settle()
    statuses = {of.key.name: world.status(of) for of in found}
    messages = [message(world, of) for of in found]
    assert [" b has" in messages[0], " c has" in messages[1], " b has" in messages[2]] == [True] * 3
    world.restart()
    for name in ages:
        world.show_secret(f"{name}-pull")
    writes = world.resources.attempts
    async with world.working():
        found = [world.see(ARGO, status=statuses[name], **said[name]) for name in ("c", "b", "a")]
        await settle()
        assert sorted(message(world, of) for of in found) == sorted(messages)
    assert world.resources.attempts == writes
