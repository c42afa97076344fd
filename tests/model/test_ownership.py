"""Whose a Secret is, and what is kept of it."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from ecr_operator.model.ownership import AppliedEntry, Claim, Owner, applied_fields, claim, view_secret
from tests.builders import foreign_metadata, resource, secret_metadata, times, token, view, without

API_VERSION: Final = "ecr.mobb.redhat.com/v1alpha1"
CONTROLLER: Final = {
    "apiVersion": API_VERSION,
    "kind": "Secret",
    "name": "web",
    "uid": "uid-of-web",
    "controller": True,
}
GONE: Final = {**CONTROLLER, "uid": "older"}
THEIRS: Final = {**CONTROLLER, "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "uid": "c"}
ADOPT: Final = {"annotations": {"ecr.mobb.redhat.com/adopt": "true"}}
OURS: Final = resource()


def owned(*references: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the metadata of a Secret that bears our label and entry, with those owners."""
    return secret_metadata(OURS) | {"ownerReferences": list(references)} | more


def foreign(*references: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return foreign_metadata(ownerReferences=list(references), **more)


@pytest.mark.parametrize(
    ("metadata", "gone", "expected"),
    [
        pytest.param(owned(CONTROLLER), False, Claim.OURS, id="controlled by this very object it is ours"),
        pytest.param(foreign(CONTROLLER), False, Claim.OURS, id="that is enough, whatever else it bears"),
        pytest.param(
            owned({**THEIRS, "controller": False}, CONTROLLER),
            False,
            Claim.OURS,
            id="beside an owner that does not control it",
        ),
        pytest.param(owned(GONE), True, Claim.TAKE_OVER, id="of a resource that is gone it is taken over"),
        pytest.param(owned(GONE), False, Claim.FOREIGN, id="of a resource that is there it is not"),
        pytest.param(
            foreign(GONE), True, Claim.FOREIGN, id="without our label and entry it is not taken over"
        ),
        pytest.param(owned(GONE, labels={}), True, Claim.FOREIGN, id="without our label alone neither"),
        pytest.param(
            owned(GONE, managedFields=[]), True, Claim.FOREIGN, id="without our entry alone neither"
        ),
        pytest.param(owned(THEIRS), True, Claim.FOREIGN, id="the controller of others keeps it"),
        pytest.param(
            owned({**GONE, "kind": "Other"}), True, Claim.FOREIGN, id="another kind of our group is of others"
        ),
        pytest.param(owned(), False, Claim.OURS, id="without an owner our annotation tells whose it is"),
        pytest.param(
            owned(annotations={}), False, Claim.FOREIGN, id="our label without any owner proves nothing"
        ),
        pytest.param(foreign(), False, Claim.FOREIGN, id="what somebody made by hand is theirs"),
        pytest.param(foreign(**ADOPT), False, Claim.TAKE_OVER, id="unless they say that it may be adopted"),
        pytest.param(
            foreign(annotations={"ecr.mobb.redhat.com/adopt": "yes"}),
            False,
            Claim.FOREIGN,
            id="in the very word",
        ),
        pytest.param(
            foreign(THEIRS, **ADOPT), False, Claim.FOREIGN, id="a controller's Secret can't be given away"
        ),
        pytest.param(
            foreign(GONE, **ADOPT), True, Claim.TAKE_OVER, id="but one whose controller is gone can"
        ),
        pytest.param(foreign(GONE, **ADOPT), False, Claim.FOREIGN, id="and not while it is there"),
    ],
)
def test_what_a_resource_may_do(metadata: Mapping[str, Any], gone: bool, expected: Claim) -> None:  # noqa: FBT001 - a table
    assert claim(view_secret(metadata), OURS, owner_is_gone=gone) is expected


def orphaned(**more: Any) -> dict[str, Any]:
    """Return the metadata of a Secret that outlives its resource."""
    return secret_metadata(resource(deletion_policy="Orphan")) | more


def test_a_secret_that_outlives_its_resource_is_known_by_our_annotations() -> None:
    metadata = orphaned()
    assert "ownerReferences" not in metadata
    owner = view_secret(metadata).owner
    assert owner == Owner(uid="uid-of-web", kind="Secret", name="web", of_ours=True, controller=False)
    assert owner.key("team") == OURS.key
    assert claim(view_secret(metadata), OURS, owner_is_gone=False) is Claim.OURS


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param(orphaned(labels={}), id="without our label"),
        pytest.param(orphaned(managedFields=[]), id="without our entry"),
        pytest.param(
            orphaned(annotations={"ecr.mobb.redhat.com/owner-uid": "uid-of-web"}), id="without a kind"
        ),
        pytest.param(orphaned(annotations={"ecr.mobb.redhat.com/owner": "Secret/web"}), id="without a uid"),
        pytest.param(
            orphaned(
                annotations={"ecr.mobb.redhat.com/owner": "Pod/web", "ecr.mobb.redhat.com/owner-uid": "u"}
            ),
            id="of a kind that is not ours",
        ),
    ],
)
def test_annotations_alone_prove_nothing(metadata: Mapping[str, Any]) -> None:
    assert view_secret(metadata).owner is None


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        pytest.param(foreign(THEIRS), "Certificate web", id="its controller"),
        pytest.param(foreign(), "field manager kubectl-create", id="else who wrote its data"),
        pytest.param(
            foreign(
                managedFields=[
                    {"manager": name, "fieldsV1": {"f:data": {}}} for name in ("helm", "vim", "helm")
                ]
            ),
            "field manager helm, vim",
            id="each once",
        ),
        pytest.param(
            foreign(managedFields=[{"manager": "x", "fieldsV1": {"f:type": {}}}, {}]),
            "no owner",
            id="but not who wrote other things",
        ),
        pytest.param(
            foreign_metadata(managedFields=None, annotations=None, ownerReferences=None, labels=None),
            "no owner",
            id="nulls",
        ),
    ],
)
def test_the_owner_is_told_in_words(metadata: Mapping[str, Any], words: str) -> None:
    assert view_secret(metadata).owner_in_words == words


def test_a_view_of_our_own_secret_tells_all_that_decides() -> None:
    seen = view(OURS, token("s3cret"), version="42")
    assert (seen.resource_version, seen.times, seen.managed, seen.writers) == ("42", times(), True, ())
    assert seen.owner == Owner(uid="uid-of-web", kind="Secret", name="web", of_ours=True, controller=True)
    assert seen.entry is not None
    assert seen.entry.time == "2026-03-01T12:00:00Z"
    assert "f:data/f:.dockerconfigjson" in seen.entry.fields
    assert "s3cret" not in repr(seen)


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"manager": "kubectl", "operation": "Apply"}, id="another manager's"),
        pytest.param(
            {"manager": "ecr-secret-operator", "operation": "Update"}, id="an update under our name"
        ),
    ],
)
def test_an_entry_is_not_ours(entry: Mapping[str, Any]) -> None:
    assert view_secret(foreign_metadata(managedFields=[entry])).entry is None


def test_an_entry_without_time_or_fields_is_ours_and_owns_nothing() -> None:
    bare = {"manager": "ecr-secret-operator", "operation": "Apply"}
    assert view_secret(foreign_metadata(managedFields=[bare])).entry == AppliedEntry(
        time="", fields=frozenset()
    )


def test_fields_are_paths_to_the_leaves() -> None:
    noted = {"f:data": {".": {}, "f:a": {}}, "f:type": {}, "f:metadata": {"f:labels": {"f:x/y": {}}}}
    assert applied_fields(noted) == {"f:data/.", "f:data/f:a", "f:type", "f:metadata/f:labels/f:x/y"}


def test_a_value_changed_by_others_leaves_our_entry() -> None:
    entry = view_secret(without(secret_metadata(OURS), "f:data")).entry
    assert entry is not None
    assert not any(field.startswith("f:data") for field in entry.fields)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-99-99T00:00:00Z",
        "2026-03-01T12:00:00",
        "tomorrow",
        "",
    ],
)
def test_an_annotation_that_is_no_time_never_raises(text: str) -> None:
    metadata = secret_metadata(OURS)
    metadata["annotations"]["ecr.mobb.redhat.com/token-expires-at"] = text
    assert view_secret(metadata).times is None
