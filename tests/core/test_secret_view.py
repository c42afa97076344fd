"""Whose a Secret is by its metadata, and how much of that is kept."""

from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_operator.core.ownership import Relation, relation_of
from ecr_operator.core.secret_view import (
    AppliedEntry,
    Owner,
    applied_fields,
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


RELATIONS: Final[dict[str, tuple[dict[str, Any], bool, Relation]]] = {
    "controlled by this very resource": (owned(CONTROLLER), False, Relation.OURS),
    "controlled by it, without our label and entry": (foreign(CONTROLLER), False, Relation.OURS),
    "beside an owner that is not the controller": (
        owned({**THEIRS, "controller": False}, CONTROLLER),
        False,
        Relation.OURS,
    ),
    "of a deleted resource": (owned(GONE), True, Relation.TAKE_OVER),
    "of a resource that exists": (owned(GONE), False, Relation.FOREIGN),
    "of a deleted resource, without our label and entry": (foreign(GONE), True, Relation.FOREIGN),
    "of a deleted resource, without our label": (owned(GONE, labels={}), True, Relation.FOREIGN),
    "of a deleted resource, without our entry": (owned(GONE, managedFields=[]), True, Relation.FOREIGN),
    "of another controller": (owned(THEIRS), True, Relation.FOREIGN),
    "of another kind in our group": (owned({**GONE, "kind": "Other"}), True, Relation.FOREIGN),
    "without an owner, by our annotation": (owned(), False, Relation.OURS),
    "our label without any owner": (owned(annotations={}), False, Relation.FOREIGN),
    "made by hand": (foreign(), False, Relation.FOREIGN),
    "made by hand, to be adopted": (foreign(**ADOPT), False, Relation.ADOPT),
    "of another controller, to be adopted": (foreign(THEIRS, **ADOPT), False, Relation.FOREIGN),
    "of a deleted resource, to be adopted": (foreign(GONE, **ADOPT), True, Relation.ADOPT),
    "of a resource that exists, to be adopted": (foreign(GONE, **ADOPT), False, Relation.FOREIGN),
}


@pytest.mark.parametrize(("metadata", "gone", "expected"), RELATIONS.values(), ids=RELATIONS)
def test_a_resource_may_write_its_own_orphaned_or_given_secrets_only(
    metadata: Mapping[str, Any], *, gone: bool, expected: Relation
) -> None:
    assert relation_of(view_secret(metadata), OURS, owner_is_gone=gone) is expected


def orphaned(**more: Any) -> dict[str, Any]:
    """Return the metadata of a Secret that outlives its resource."""
    return secret_metadata(resource(deletion_policy="Orphan")) | more


def test_a_secret_that_outlives_its_resource_is_found_by_our_annotations() -> None:
    metadata = orphaned()
    assert "ownerReferences" not in metadata
    owner = view_secret(metadata).owner
    assert owner == Owner(uid="uid-of-web", kind="Secret", name="web", of_ours=True, controller=False)
    assert owner.key("team") == OURS.key
    assert relation_of(view_secret(metadata), OURS, owner_is_gone=False) is Relation.OURS


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {}},
        {"managedFields": []},
        {"annotations": {f"{GROUP}/owner-uid": "uid-of-web"}},
        {"annotations": {f"{GROUP}/owner": "Secret/web"}},
        {"annotations": {f"{GROUP}/owner": "Pod/web", f"{GROUP}/owner-uid": "u"}},
        {"annotations": {f"{GROUP}/owner": "Secret/W b", f"{GROUP}/owner-uid": "u"}},
    ],
)
def test_annotations_name_an_owner_only_with_our_label_and_entry(change: Mapping[str, Any]) -> None:
    assert view_secret(orphaned(**change)).owner is None


def writes(*managers: str, field: str = "f:data") -> dict[str, Any]:
    return {"managedFields": [{"manager": name, "fieldsV1": {field: {}}} for name in managers]}


NULLS: Final[dict[str, Any]] = dict.fromkeys(("managedFields", "annotations", "ownerReferences", "labels"))


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (foreign(THEIRS), "Certificate web"),
        (foreign(), "field manager kubectl-create"),
        (foreign(**writes("helm", "vim", "helm")), "field manager helm, vim"),
        (foreign(**writes("x", field="f:type")), "no owner"),
        (foreign_metadata(**NULLS), "no owner"),
    ],
)
def test_the_owner_in_words_is_the_controller_or_who_wrote_data(
    metadata: Mapping[str, Any], words: str
) -> None:
    assert view_secret(metadata).owner_in_words == words


def test_a_view_of_our_own_secret_has_all_that_decides_and_no_data() -> None:
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
        pytest.param(owned(**HELM), False, True, id="overwritten by an admission webhook"),
        pytest.param(
            owned(**HELM, managedFields=without(owned(), "f:metadata")["managedFields"]),
            False,
            False,
            id="overwritten by somebody else",
        ),
        pytest.param(owned(labels={}), False, False, id="removed"),
        pytest.param(foreign(labels=owned()["labels"]), True, False, id="without our entry"),
    ],
)
def test_our_label_may_be_overwritten_by_an_admission_webhook_only(
    metadata: Mapping[str, Any], *, labelled: bool, managed: bool
) -> None:
    seen = view_secret(metadata)
    assert (seen.labelled, seen.managed) == (labelled, managed)


@pytest.mark.parametrize(
    "word", ["true", "replace", "", "True", "false", "yes", "replace ", None, 1, ["true"]], ids=str
)
def test_adoption_needs_the_exact_word(word: object) -> None:
    expected = word if word in ("true", "replace") else None
    assert view_secret(foreign(annotations={f"{GROUP}/adopt": word})).adopt == expected


@pytest.mark.parametrize(
    ("manager", "operation", "entry"),
    [
        ("kubectl", "Apply", None),
        ("ecr-secret-operator", "Update", None),
        ("ecr-secret-operator", "Apply", AppliedEntry(time="", fields=frozenset())),
    ],
)
def test_only_an_apply_under_our_name_is_our_entry(
    manager: str, operation: str, entry: AppliedEntry | None
) -> None:
    managed = [{"manager": manager, "operation": operation}]
    assert view_secret(foreign_metadata(managedFields=managed)).entry == entry


def test_fields_are_paths_to_the_leaves() -> None:
    noted = {"f:data": {".": {}, "f:a": {}}, "f:type": {}, "f:metadata": {"f:labels": {"f:x/y": {}}}}
    assert applied_fields(noted) == frozenset(
        {"f:data/.", "f:data/f:a", "f:type", "f:metadata/f:labels/f:x/y"}
    )


def test_a_value_changed_by_others_leaves_our_entry() -> None:
    entry = view_secret(without(secret_metadata(OURS), "f:data")).entry
    assert entry is not None
    assert not any(field.startswith("f:data") for field in entry.fields)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-14:00", "tomorrow", ""])
def test_an_annotation_that_is_not_a_time_counts_as_absent(text: str) -> None:
    metadata = secret_metadata(OURS)
    metadata["annotations"][f"{GROUP}/token-expires-at"] = text
    assert view_secret(metadata).times is None


@pytest.mark.parametrize(
    "change",
    [
        {"name": "x" * HUGE},
        {"name": "web\n\x1b[31mroot"},
        {"name": "Web"},
        {"name": 7},
        {"uid": "uid-of-web" + "x" * HUGE},
        {"kind": "Secret" * HUGE},
        {"kind": None},
    ],
    ids=lambda change: ascii(change)[:40],
)
def test_a_reference_that_can_not_be_to_a_resource_of_ours_is_foreign(change: Mapping[str, Any]) -> None:
    seen = view_secret(owned({**CONTROLLER, **change}))
    assert seen.owner is not None
    assert (seen.owner.of_ours, seen.owner.uid) == (False, "")
    assert relation_of(seen, OURS, owner_is_gone=True) is Relation.FOREIGN
    assert seen.owner_in_words.isprintable()
    assert len(seen.owner_in_words) <= 130


def test_what_others_wrote_is_quoted_unless_it_is_a_word() -> None:
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
        ("spec-fingerprint", 64),
        ("tokens", 4096),
        ("owner-uid", 64),
        ("owner", 316),
        ("refresh-requested-at", 64),
    ],
)
def test_no_more_of_an_annotation_is_kept_than_the_operator_writes(mark: str, most: int) -> None:
    metadata = secret_metadata(resource(deletion_policy="Orphan"))
    metadata["annotations"][f"{GROUP}/{mark}"] = "Secret/" + "x" * HUGE
    assert largest_text(view_secret(metadata)) <= most


def test_a_secret_that_only_bears_our_label_needs_little_memory() -> None:
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
def test_an_entry_with_more_fields_than_we_apply_counts_as_absent(fields: Mapping[str, Any]) -> None:
    seen = view_secret(with_fields(fields))
    assert (seen.entry, seen.managed) == (None, False)


def test_no_more_paths_are_made_than_are_read() -> None:
    class Counted(dict[str, Any]):
        taken = 0

        def items(self) -> Any:
            for item in super().items():
                Counted.taken += 1
                yield item

    assert applied_fields(Counted({f"f:{number}": {} for number in range(HUGE)})) is None
    assert Counted.taken <= 501


def test_the_entry_of_the_largest_spec_is_kept() -> None:
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
def test_any_metadata_makes_a_view(metadata: Mapping[str, Any]) -> None:
    seen = view_secret(foreign_metadata(**metadata))
    assert relation_of(seen, OURS, owner_is_gone=True) in Relation
    assert seen.owner_in_words.isprintable()
    assert len(seen.owner_in_words) <= 400
    assert largest_text(seen) <= 4096
