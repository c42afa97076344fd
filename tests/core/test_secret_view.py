"""Whose a Secret is, and what is kept of it."""

from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_operator.core.secret_view import (
    AppliedEntry,
    Owner,
    Relation,
    applied_fields,
    relation_of,
    view_secret,
)
from tests.api.json_values import json_values, lists_of, objects, texts
from tests.builders import desired, foreign_metadata, resource, secret_metadata, times, token, view, without

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
GROUP: Final = "ecr.mobb.redhat.com"
HUGE: Final = 250_000
UNHURRIED: Final = settings(deadline=None)
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
        pytest.param(owned(CONTROLLER), False, Relation.OURS, id="controlled by this very object it is ours"),
        pytest.param(foreign(CONTROLLER), False, Relation.OURS, id="that is enough, whatever else it bears"),
        pytest.param(
            owned({**THEIRS, "controller": False}, CONTROLLER),
            False,
            Relation.OURS,
            id="beside an owner that does not control it",
        ),
        pytest.param(owned(GONE), True, Relation.TAKE_OVER, id="of a resource that is gone it is taken over"),
        pytest.param(owned(GONE), False, Relation.FOREIGN, id="of a resource that is there it is not"),
        pytest.param(
            foreign(GONE), True, Relation.FOREIGN, id="without our label and entry it is not taken over"
        ),
        pytest.param(owned(GONE, labels={}), True, Relation.FOREIGN, id="without our label alone neither"),
        pytest.param(
            owned(GONE, managedFields=[]), True, Relation.FOREIGN, id="without our entry alone neither"
        ),
        pytest.param(owned(THEIRS), True, Relation.FOREIGN, id="the controller of others keeps it"),
        pytest.param(
            owned({**GONE, "kind": "Other"}),
            True,
            Relation.FOREIGN,
            id="another kind of our group is of others",
        ),
        pytest.param(owned(), False, Relation.OURS, id="without an owner our annotation tells whose it is"),
        pytest.param(
            owned(annotations={}), False, Relation.FOREIGN, id="our label without any owner proves nothing"
        ),
        pytest.param(foreign(), False, Relation.FOREIGN, id="what somebody made by hand is theirs"),
        pytest.param(foreign(**ADOPT), False, Relation.ADOPT, id="unless they say that it may be adopted"),
        pytest.param(
            foreign(annotations={"ecr.mobb.redhat.com/adopt": "yes"}),
            False,
            Relation.FOREIGN,
            id="in the very word",
        ),
        pytest.param(
            foreign(THEIRS, **ADOPT), False, Relation.FOREIGN, id="a controller's Secret can't be given away"
        ),
        pytest.param(foreign(GONE, **ADOPT), True, Relation.ADOPT, id="but one whose controller is gone can"),
        pytest.param(foreign(GONE, **ADOPT), False, Relation.FOREIGN, id="and not while it is there"),
    ],
)
def test_what_a_resource_may_do(metadata: Mapping[str, Any], gone: bool, expected: Relation) -> None:  # noqa: FBT001 - a table
    assert relation_of(view_secret(metadata), OURS, owner_is_gone=gone) is expected


def orphaned(**more: Any) -> dict[str, Any]:
    """Return the metadata of a Secret that outlives its resource."""
    return secret_metadata(resource(deletion_policy="Orphan")) | more


def test_a_secret_that_outlives_its_resource_is_known_by_our_annotations() -> None:
    metadata = orphaned()
    assert "ownerReferences" not in metadata
    owner = view_secret(metadata).owner
    assert owner == Owner(uid="uid-of-web", kind="Secret", name="web", of_ours=True, controller=False)
    assert owner.key("team") == OURS.key
    assert relation_of(view_secret(metadata), OURS, owner_is_gone=False) is Relation.OURS


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


HELM: Final = {"labels": {"app.kubernetes.io/managed-by": "Helm"}}


@pytest.mark.parametrize(
    ("metadata", "labelled", "managed"),
    [
        pytest.param(owned(), True, True, id="as we wrote it"),
        pytest.param(owned(**HELM), False, True, id="overwritten by an admission"),
        pytest.param(
            owned(**HELM, managedFields=without(owned(), "f:metadata")["managedFields"]),
            False,
            False,
            id="overwritten by somebody else",
        ),
        pytest.param(owned(labels={}), False, False, id="taken off"),
        pytest.param(foreign(labels=owned()["labels"]), True, False, id="without our entry"),
    ],
)
def test_our_label(metadata: Mapping[str, Any], *, labelled: bool, managed: bool) -> None:
    seen = view_secret(metadata)
    assert (seen.labelled, seen.managed) == (labelled, managed)


@pytest.mark.parametrize("word", ["true", "replace"])
def test_the_words_of_adoption(word: str) -> None:
    assert view_secret(foreign(annotations={"ecr.mobb.redhat.com/adopt": word})).adopt == word


@pytest.mark.parametrize("word", ["", "True", "false", "yes", "replace ", None, 1, ["true"]], ids=str)
def test_no_other_word_is_one(word: object) -> None:
    assert view_secret(foreign(annotations={"ecr.mobb.redhat.com/adopt": word})).adopt is None


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
    assert applied_fields(noted) == frozenset(
        {"f:data/.", "f:data/f:a", "f:type", "f:metadata/f:labels/f:x/y"}
    )


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


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"name": "x" * HUGE}, id="a name too long"),
        pytest.param({"name": "web\n\x1b[31mroot"}, id="a name with control characters"),
        pytest.param({"name": "Web"}, id="a name with capitals"),
        pytest.param({"name": 7}, id="a number for a name"),
        pytest.param({"uid": "uid-of-web" + "x" * HUGE}, id="a uid too long"),
        pytest.param({"kind": "Secret" * HUGE}, id="a kind too long"),
        pytest.param({"kind": None}, id="no kind"),
    ],
)
def test_a_reference_that_can_not_be_to_one_of_our_resources_is_foreign(change: Mapping[str, Any]) -> None:
    seen = view_secret(owned({**CONTROLLER, **change}))
    assert seen.owner is not None
    assert (seen.owner.of_ours, seen.owner.uid) == (False, "")
    assert relation_of(seen, OURS, owner_is_gone=True) is Relation.FOREIGN
    assert seen.owner_in_words.isprintable()
    assert len(seen.owner_in_words) <= 130


def test_what_others_wrote_is_shown_in_quotes_unless_it_is_a_word() -> None:
    seen = view_secret(foreign({**THEIRS, "kind": "Job; now run", "name": "a b"}))
    assert seen.owner_in_words == '"Job; now run" "a b"'
    names = [f"man ager-{number}" * 20 for number in range(300)]
    managed = [{"manager": name, "fieldsV1": {"f:data": {}}} for name in names]
    writers = view_secret(foreign(managedFields=managed)).writers
    assert len(writers) == 5
    assert {len(name) for name in writers} == {63}


@pytest.mark.parametrize(
    ("mark", "most"),
    [
        pytest.param("spec-fingerprint", 64, id="the fingerprint"),
        pytest.param("tokens", 4096, id="the tokens"),
        pytest.param("owner-uid", 64, id="the owner's uid"),
        pytest.param("owner", 316, id="the owner"),
        pytest.param("refresh-requested-at", 64, id="the request"),
    ],
)
def test_of_an_annotation_no_more_is_kept_than_the_operator_writes(mark: str, most: int) -> None:
    metadata = secret_metadata(resource(deletion_policy="Orphan"))
    metadata["annotations"][f"{GROUP}/{mark}"] = "Secret/" + "x" * HUGE
    assert largest_text(view_secret(metadata)) <= most


def test_a_secret_that_merely_bears_our_label_takes_little_memory() -> None:
    annotations = {f"{GROUP}/{mark}": "x" * HUGE for mark in ("tokens", "owner", "spec-fingerprint", "adopt")}
    metadata = foreign_metadata(
        labels={"app.kubernetes.io/managed-by": "ecr-secret-operator"}, annotations=annotations
    )
    seen = view_secret(metadata)
    assert (seen.owner, seen.entry, seen.fingerprint, seen.tokens) == (None, None, None, None)
    assert len(repr(seen)) < 500


def largest_text(seen: object) -> int:
    """Return the length of the longest text in a view, at any depth."""
    if isinstance(seen, str):
        return len(seen)
    inner = getattr(type(seen), "__dataclass_fields__", None)
    parts = [getattr(seen, name) for name in inner] if inner else seen if isinstance(seen, tuple) else ()
    return max(map(largest_text, parts), default=0)


def with_fields(fields: object) -> dict[str, Any]:
    """Return the metadata of a Secret of ours with other fields in our entry."""
    metadata = secret_metadata(OURS)
    metadata["managedFields"][0]["fieldsV1"] = fields
    return metadata


def nested(depth: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for _ in range(depth):
        fields = {"f:a": fields}
    return fields


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({f"f:{number}": {} for number in range(501)}, id="more than 500"),
        pytest.param({f"f:{number:0500}": {} for number in range(300)}, id="more than 128 KiB of them"),
        pytest.param({"f:" + "x" * 600: {}}, id="a long one"),
        pytest.param(nested(9), id="deeper than 8"),
        pytest.param(nested(50_000), id="deeper than any stack"),
    ],
)
def test_an_entry_with_more_fields_than_we_apply_counts_as_none(fields: Mapping[str, Any]) -> None:
    seen = view_secret(with_fields(fields))
    assert (seen.entry, seen.managed) == (None, False)


def test_no_more_paths_are_made_than_are_looked_at() -> None:
    class Counted(dict[str, Any]):
        taken = 0

        def items(self) -> Any:
            for item in super().items():
                Counted.taken += 1
                yield item

    assert applied_fields(Counted({f"f:{number}": {} for number in range(HUGE)})) is None
    assert Counted.taken <= 501


def test_the_entry_of_the_largest_spec_is_kept() -> None:
    """Else a Secret with many labels would count as edited by others for ever."""
    keys = [f"{'p' * 63}.{'q' * 63}.{'r' * 63}.example/{number:063}" for number in range(100)]
    labels = dict.fromkeys(keys, "")
    of = resource(secret_labels=labels, secret_annotations=labels)
    seen = view(of, token())
    assert (of.problem, len(desired(of).labels)) == (None, 100)
    assert seen.entry is not None


references = objects(
    apiVersion=st.just(API_VERSION), kind=texts, name=texts, uid=texts, controller=st.just(value=True)
)
entries = objects(
    manager=st.just("ecr-secret-operator") | texts,
    operation=st.just("Apply"),
    time=texts,
    fieldsV1=st.dictionaries(texts, json_values, max_size=3),
)
annotations = st.dictionaries(
    st.sampled_from([f"{GROUP}/{mark}" for mark in ("owner", "owner-uid", "tokens", "token-issued-at")]),
    json_values,
)


@UNHURRIED
@given(
    objects(
        ownerReferences=lists_of(references),
        managedFields=lists_of(entries),
        annotations=annotations,
        labels=st.just({"app.kubernetes.io/managed-by": "ecr-secret-operator"}),
    )
)
def test_whatever_others_write_into_metadata_a_view_is_made_of_it(metadata: Mapping[str, Any]) -> None:
    seen = view_secret(foreign_metadata(**metadata))
    assert relation_of(seen, OURS, owner_is_gone=True) in Relation
    assert seen.owner_in_words.isprintable()
    assert len(seen.owner_in_words) <= 400
    assert largest_text(seen) <= 4096
