"""Ownership: which Secret a resource may write, and which owner a conflict names."""

# ruff: noqa: S105, S106, S107 - names of Secrets and made-up tokens

import base64
from datetime import timedelta
from typing import Any

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import ForeignSecretError
from ecr_operator.core.manifest import dockerconfigjson
from ecr_operator.core.ownership import Claim, Ownership
from ecr_operator.core.state import ResourceState
from tests.builders import HOST, HOUR, desired, foreign_metadata, resource, secret_metadata, token
from tests.core.world import World

LEGACY = {"phase": "Updated", "lastUpdatedTime": "2026-03-01T12:00:00Z"}
CERTIFICATE = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Certificate",
    "name": "tls",
    "uid": "c",
    "controller": True,
}
REFERENCE = {
    "apiVersion": "ecr.mobb.redhat.com/v1alpha1",
    "kind": "Secret",
    "name": "web",
    "uid": "of another cluster",
    "controller": True,
}
LABELS = {"app.kubernetes.io/managed-by": "ecr-secret-operator"}
ANNOTATIONS = {"ecr.mobb.redhat.com/owner": "Secret/web", "ecr.mobb.redhat.com/owner-uid": "uid-of-web"}
ADOPT = 'annotate it ecr.mobb.redhat.com/adopt: "true"'


@pytest.fixture
async def world() -> World:
    """An empty cluster."""
    return World()


def ownership(world: World) -> Ownership:
    return Ownership(world.cache, world.secrets, world.resources)


async def claim(world: World, of: Resource, *, stale: bool = True) -> Claim:
    """Claim as after a conflict, so that the Secret itself is read."""
    state = ResourceState(of, reread_secret=desired(of).secret_name if stale else None)
    return await ownership(world).claim(state, desired(of))


async def conflict(world: World, of: Resource) -> str:
    with pytest.raises(ForeignSecretError) as caught:
        await claim(world, of)
    return caught.value.message


async def test_a_claim_without_a_known_secret_costs_no_request(world: World) -> None:
    found = await claim(world, world.see(), stale=False)
    assert (found, world.secrets.calls) == (Claim(view=None), [])


async def test_a_claim_of_our_secret_that_the_watch_shows_costs_no_request(world: World) -> None:
    of = world.see()
    world.has_secret(of)
    found = await claim(world, of, stale=False)
    assert found.view == world.cache.secret("team", "web-pull")
    assert world.secrets.calls == []


async def test_a_stale_secret_is_read_once(world: World) -> None:
    of = world.see()
    asked, state = ownership(world), ResourceState(of, reread_secret="web-pull")
    world.secrets.put(secret_metadata(of, version="77"))
    for _ in range(3):
        found = await asked.claim(state, desired(of))
        assert found.view is not None
        assert found.view.resource_version == "77"
    assert world.secrets.calls == ["look team/web-pull"]


async def test_a_stale_secret_that_was_deleted_is_claimed_as_absent(world: World) -> None:
    of = world.see()
    world.has_secret(of)
    world.secrets.metadata.clear()
    assert await claim(world, of) == Claim(view=None)
    assert world.cache.secret("team", "web-pull") is None


MADE_BY_ANOTHER = secret_metadata(resource(name="shop"), name="web-pull")
WITH_CONTROLLER = foreign_metadata(ownerReferences=[CERTIFICATE])
WITH_CONTROLLER_AND_ANNOTATION = WITH_CONTROLLER | {"annotations": {"ecr.mobb.redhat.com/adopt": "true"}}
COPY = foreign_metadata(labels=LABELS, annotations=ANNOTATIONS)


@pytest.mark.parametrize(
    ("metadata", "words", "adoptable"),
    [
        pytest.param(foreign_metadata(), "field manager kubectl-create", True, id="made by hand"),
        pytest.param(WITH_CONTROLLER, "Certificate tls", False, id="of a controller"),
        pytest.param(
            WITH_CONTROLLER_AND_ANNOTATION, "Certificate tls", False, id="of a controller, annotated"
        ),
        pytest.param(MADE_BY_ANOTHER, "Secret shop", False, id="of another resource"),
        pytest.param(
            foreign_metadata(ownerReferences=[REFERENCE], labels=LABELS),
            "names another resource of this name",
            True,
            id="a copy with the ownerReference of another cluster",
        ),
        pytest.param(COPY, "field manager kubectl-create", True, id="a copy with our label and annotations"),
        pytest.param(COPY | {"managedFields": []}, "it has no owner", True, id="a copy by an unknown writer"),
    ],
)
async def test_a_foreign_secret_is_a_conflict_that_names_its_owner_and_the_remedy(
    world: World, metadata: dict[str, Any], words: str, *, adoptable: bool
) -> None:
    world.see(name="shop", generated_secret_name="other")
    of = world.see()
    world.secrets.put(metadata)
    message = await conflict(world, of)
    assert words in message
    assert "Secret web " not in message.replace("Secret web-pull", "")
    assert (ADOPT in message, "hoose another generated_secret_name" in message) == (adoptable, True)
    assert not any(call.startswith(("apply", "delete")) for call in world.secrets.calls)


async def test_the_secret_of_a_deleted_resource_is_adopted(world: World) -> None:
    of = world.see()
    world.secrets.put(secret_metadata(resource(uid="the one before")))
    found = await claim(world, of)
    assert found.view is not None
    assert found.view.owner is not None
    assert found.view.owner.uid == "the one before"


async def test_an_owner_is_looked_up_in_the_api_server_before_its_secret_is_adopted(world: World) -> None:
    of = world.see()
    elsewhere = resource(name="shop", generated_secret_name="web-pull")
    world.resources.uids[elsewhere.key] = elsewhere.uid
    world.secrets.put(secret_metadata(elsewhere))
    assert "Secret shop" in await conflict(world, of)


MARKED = foreign_metadata(annotations={"ecr.mobb.redhat.com/adopt": "true"})
OTHERS = {"type": "Opaque", "data": {"api-key": "eA=="}}


async def test_a_secret_with_the_adopt_annotation_is_adopted(world: World) -> None:
    of = world.see()
    world.secrets.put(MARKED)
    found = await claim(world, of)
    assert found.view is not None
    assert found.legacy_token is None
    assert world.secrets.calls == ["look team/web-pull", "read team/web-pull"]


async def test_an_adoption_that_would_drop_data_is_a_conflict_that_names_them(world: World) -> None:
    of = world.see()
    world.secrets.put(MARKED)
    world.secrets.data["web-pull"] = OTHERS
    said = await conflict(world, of)
    assert 'adopting it would drop data key "api-key"' in said
    assert 'ecr.mobb.redhat.com/adopt: "replace"' in said


async def test_adopt_replace_reads_no_data(world: World) -> None:
    of = world.see()
    world.secrets.put(foreign_metadata(annotations={"ecr.mobb.redhat.com/adopt": "replace"}))
    world.secrets.data["web-pull"] = OTHERS
    assert (await claim(world, of)).view is not None
    assert world.secrets.calls == ["look team/web-pull"]


async def test_an_adopted_secret_is_not_read_again(world: World) -> None:
    of = world.see()
    world.secrets.put(MARKED)
    await world.refresh(of)
    world.secrets.calls.clear()
    await world.refresh(of)
    assert "read team/web-pull" not in world.secrets.calls


async def test_a_copy_of_another_resources_secret_is_reported_as_a_copy(world: World) -> None:
    world.see(name="shop")
    of = world.see()
    world.secrets.put(foreign_metadata(ownerReferences=[REFERENCE | {"name": "shop", "uid": "uid-of-shop"}]))
    said = await conflict(world, of)
    assert "it names Secret shop as its owner, whose Secret is shop-pull: it is a copy" in said
    assert "remove its ownerReference" in said


async def test_the_older_of_two_contenders_claims_the_secret(world: World) -> None:
    world.see(name="shop", age=2 * HOUR, generated_secret_name="web-pull")
    of = world.see(age=HOUR)
    said = await conflict(world, of)
    assert "Secret shop, which is older" in said
    assert ADOPT not in said


async def test_a_contender_that_has_the_secret_keeps_it(world: World) -> None:
    world.see(name="shop", age=2 * HOUR, generated_secret_name="web-pull")
    of = world.see(age=HOUR)
    world.has_secret(of)
    assert (await claim(world, of)).view is not None


def legacy_data(password: str = "old") -> dict[str, Any]:
    text = dockerconfigjson({HOST: token(password)})
    encoded = base64.b64encode(text.encode()).decode()
    return {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": encoded}}


async def test_a_secret_of_v0_6_0_is_adopted_with_its_token(world: World) -> None:
    of = world.see(status=LEGACY)
    world.has_foreign_secret()
    world.secrets.data["web-pull"] = legacy_data()
    found = await claim(world, of, stale=False)
    assert found.legacy_token is not None
    assert found.legacy_token.password == "old"
    assert found.legacy_token.expires_at - found.legacy_token.issued_at == timedelta(hours=12)
    assert found.view is not None


@pytest.mark.parametrize(
    ("status", "data"),
    [
        pytest.param(LEGACY | {"observedGeneration": 1}, legacy_data(), id="with a newer status"),
        pytest.param(LEGACY, {"type": "Opaque", "data": {}}, id="with other data"),
    ],
)
async def test_a_secret_that_v0_6_0_did_not_write_is_foreign(
    world: World, status: object, data: dict[str, Any]
) -> None:
    of = world.see(status=status)
    world.has_foreign_secret()
    world.secrets.data["web-pull"] = data
    assert "field manager" in await conflict(world, of)


async def test_a_foreign_secret_is_read_whole_only_if_v0_6_0_may_have_written_it(
    world: World,
) -> None:
    of = world.see()
    world.has_foreign_secret()
    await conflict(world, of)
    assert world.secrets.calls == ["look team/web-pull"]
