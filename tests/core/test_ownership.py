"""Ownership: which Secret a resource may write, and which owner a conflict names."""

# ruff: noqa: S106 - names of Secrets and made-up tokens

from typing import Any

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import ForeignSecretError, PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.core.ownership import Claim, Ownership
from ecr_operator.core.state import ResourceState
from tests.builders import (
    HOUR,
    cases,
    desired,
    foreign_metadata,
    owner_reference,
    permanent,
    resource,
    secret_metadata,
)
from tests.core.world import World

CERTIFICATE = owner_reference("Certificate", "tls", "c", api_version="cert-manager.io/v1")
REFERENCE = owner_reference(uid="of another cluster")
LABELS = {"app.kubernetes.io/managed-by": "ecr-secret-operator"}
ANNOTATIONS = {"ecr.mobb.redhat.com/owner": "Secret/web", "ecr.mobb.redhat.com/owner-uid": "uid-of-web"}
ADOPT = 'annotate it ecr.mobb.redhat.com/adopt: "true"'


async def claim(still: World, of: Resource, *, stale: bool = True) -> Claim:
    """Claim as after a conflict, so that the Secret itself is read."""
    state = ResourceState(of, reread_secret=desired(of).secret_name if stale else None)
    return await Ownership(still.cache, still.secrets, still.resources).claim(state, desired(of))


async def conflict(still: World, of: Resource) -> str:
    with pytest.raises(ForeignSecretError) as caught:
        await claim(still, of)
    return caught.value.message


@pytest.mark.parametrize("there", [False, True], ids=["no Secret", "one that the watch shows"])
async def test_a_claim_costs_no_request_for(still: World, *, there: bool) -> None:
    of = still.see()
    if there:
        still.has_secret(of)
    found = await claim(still, of, stale=False)
    assert (found, found.view is not None) == (Claim(view=still.cache.secret("team", "web-pull")), there)
    assert still.secrets.calls == []


@pytest.mark.parametrize("kind", ["ClusterSecret", "Secret"])
async def test_an_owner_that_may_not_be_read_counts_as_there_if_it_is_a_cluster_secret(
    still: World, kind: str
) -> None:
    of = still.see()
    owner = owner_reference(kind, "all", "u", api_version="ecr.mobb.redhat.com/v1alpha1")
    still.has_foreign_secret(ownerReferences=[owner])
    still.resources.unreadable = permanent(Reason.KUBERNETES_FORBIDDEN)
    with pytest.raises(PermanentError) as caught:
        await claim(still, of)
    assert isinstance(caught.value, ForeignSecretError) is (kind == "ClusterSecret")


async def test_a_stale_secret_is_read_once(still: World) -> None:
    of = still.see()
    state = ResourceState(of, reread_secret="web-pull")
    still.secrets.put(secret_metadata(of, version="77"))
    for _ in range(3):
        found = await Ownership(still.cache, still.secrets, still.resources).claim(state, desired(of))
        assert found.view is not None
        assert found.view.resource_version == "77"
    assert still.secrets.calls == ["look team/web-pull"]


async def test_a_stale_secret_that_was_deleted_is_claimed_as_absent(still: World) -> None:
    of = still.see()
    still.has_secret(of)
    still.secrets.metadata.clear()
    assert await claim(still, of) == Claim(view=None)
    assert still.cache.secret("team", "web-pull") is None


MARKED = foreign_metadata(annotations={"ecr.mobb.redhat.com/adopt": "true"})
MADE_BY_ANOTHER = secret_metadata(resource(name="shop"), name="web-pull")
WITH_CONTROLLER = foreign_metadata(ownerReferences=[CERTIFICATE])
OF_NONE = foreign_metadata(ownerReferences=[owner_reference(name="gone", uid="uid-of-gone")])
COPY = foreign_metadata(labels=LABELS, annotations=ANNOTATIONS)
COPY_OF_ANOTHER_CLUSTER = foreign_metadata(ownerReferences=[REFERENCE], labels=LABELS)


@cases(
    "metadata, words, adoptable",
    {
        "made by hand": (foreign_metadata(), "field manager kubectl-create", True),
        "of a controller": (WITH_CONTROLLER, "Certificate tls", False),
        "of a controller, annotated": (MARKED | {"ownerReferences": [CERTIFICATE]}, "Certificate tls", False),
        "of another resource": (MADE_BY_ANOTHER, "Secret shop", False),
        "a copy of another cluster's": (COPY_OF_ANOTHER_CLUSTER, "another resource of this name", True),
        "of one that does not exist": (OF_NONE, "its owner, which does not exist", True),
        "a copy with our label and annotations": (COPY, "field manager kubectl-create", True),
        "a copy by an unknown writer": (COPY | {"managedFields": []}, "it has no owner", True),
    },
)
async def test_a_foreign_secret_is_a_conflict_that_names_its_owner_and_the_remedy(
    still: World, metadata: dict[str, Any], words: str, *, adoptable: bool
) -> None:
    still.see(name="shop", generated_secret_name="other")
    of = still.see()
    still.secrets.put(metadata)
    message = await conflict(still, of)
    assert words in message
    assert "Secret web " not in message.replace("Secret web-pull", "")
    assert (ADOPT in message, "hoose another generated_secret_name" in message) == (adoptable, True)
    # Read whole only if v0.6.0 may have written it.
    assert still.secrets.calls == ["look team/web-pull"]


async def test_the_secret_of_a_deleted_resource_is_adopted(still: World) -> None:
    of = still.see()
    still.secrets.put(secret_metadata(resource(uid="the one before")))
    found = await claim(still, of)
    assert found.view is not None
    assert found.view.owner is not None
    assert found.view.owner.uid == "the one before"


async def test_an_owner_is_looked_up_in_the_api_server_before_its_secret_is_adopted(still: World) -> None:
    of = still.see()
    elsewhere = resource(name="shop", generated_secret_name="web-pull")
    still.resources.uids[elsewhere.key] = elsewhere.uid
    still.secrets.put(secret_metadata(elsewhere))
    assert "Secret shop" in await conflict(still, of)


OTHERS = {"type": "Opaque", "data": {"api-key": "eA=="}}


async def test_a_secret_with_the_adopt_annotation_is_adopted_and_not_read_again(still: World) -> None:
    of = still.see()
    still.secrets.put(MARKED)
    found = await claim(still, of)
    assert (found.view is not None, found.legacy_token) == (True, None)
    assert still.secrets.calls == ["look team/web-pull", "read team/web-pull"]
    await still.refresh(of)
    still.secrets.calls.clear()
    await still.refresh(of)
    assert "read team/web-pull" not in still.secrets.calls


async def test_an_adoption_drops_data_only_with_the_word_replace(still: World) -> None:
    of = still.see()
    still.secrets.put(MARKED)
    still.secrets.data["web-pull"] = OTHERS
    said = await conflict(still, of)
    assert 'adopting it would drop data key "api-key"' in said
    assert 'ecr.mobb.redhat.com/adopt: "replace"' in said
    still.secrets.put(MARKED | {"annotations": {"ecr.mobb.redhat.com/adopt": "replace"}})
    still.secrets.calls.clear()
    assert (await claim(still, of)).view is not None
    assert still.secrets.calls == ["look team/web-pull"]


async def test_a_copy_of_another_resources_secret_is_reported_as_a_copy(still: World) -> None:
    still.see(name="shop")
    of = still.see()
    still.secrets.put(foreign_metadata(ownerReferences=[owner_reference(name="shop", uid="uid-of-shop")]))
    said = await conflict(still, of)
    assert "it names Secret shop as its owner, whose Secret is shop-pull: it is a copy" in said
    assert "remove its ownerReference" in said


async def test_the_older_of_two_contenders_claims_the_secret(still: World) -> None:
    still.see(name="shop", age=2 * HOUR, generated_secret_name="web-pull")
    of = still.see(age=HOUR)
    said = await conflict(still, of)
    assert "Secret shop, which is older" in said
    assert ADOPT not in said


async def test_a_contender_that_has_the_secret_keeps_it(still: World) -> None:
    still.see(name="shop", age=2 * HOUR, generated_secret_name="web-pull")
    of = still.see(age=HOUR)
    still.has_secret(of)
    assert (await claim(still, of)).view is not None


async def test_a_secret_that_only_a_status_of_v0_6_0_speaks_for_is_foreign(still: World) -> None:
    of = still.see(status={"phase": "Updated", "lastUpdatedTime": "2026-03-01T12:00:00Z"})
    still.has_foreign_secret()
    still.secrets.data["web-pull"] = {"type": "Opaque", "data": {}}
    assert "field manager" in await conflict(still, of)
