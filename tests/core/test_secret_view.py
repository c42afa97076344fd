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
from tests.builders import (
    cases,
    desired,
    foreign_metadata,
    owner_reference,
    resource,
    secret_metadata,
    times,
    token,
    view,
    without,
)

CONTROLLER: Final = owner_reference()
GONE: Final = owner_reference(uid="older")
THEIRS: Final = owner_reference("Certificate", uid="c", api_version="cert-manager.io/v1")
BESIDE: Final = {**THEIRS, "controller": False}
GROUP: Final = "ecr.mobb.redhat.com"
HUGE: Final = 250_000
ADOPT: Final = {"annotations": {"ecr.mobb.redhat.com/adopt": "true"}}
OURS: Final = resource()


def owned(*references: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The metadata of a Secret that bears our label and entry, with those owners."""
    return secret_metadata(OURS) | {"ownerReferences": list(references)} | more


def foreign(*references: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return foreign_metadata(ownerReferences=list(references), **more)


@cases(
    "metadata, gone, expected",
    {
        "controlled by this very resource": (owned(CONTROLLER), False, Relation.OURS),
        "controlled by it, without our label and entry": (foreign(CONTROLLER), False, Relation.OURS),
        "beside an owner that is not the controller": (owned(BESIDE, CONTROLLER), False, Relation.OURS),
        "of a deleted resource": (owned(GONE), True, Relation.OURS),
        "of a resource that exists": (owned(GONE), False, Relation.FOREIGN),
        "of a deleted one, without our label and entry": (foreign(GONE), True, Relation.FOREIGN),
        "of a deleted one, without our label": (owned(GONE, labels={}), True, Relation.FOREIGN),
        "of a deleted one, without our entry": (owned(GONE, managedFields=[]), True, Relation.FOREIGN),
        "of another controller": (owned(THEIRS), True, Relation.FOREIGN),
        "of another kind in our group": (owned({**GONE, "kind": "Other"}), True, Relation.FOREIGN),
        "without an owner, by our annotation": (owned(), False, Relation.OURS),
        "our label without any owner": (owned(annotations={}), False, Relation.FOREIGN),
        "made by hand": (foreign(), False, Relation.FOREIGN),
        "made by hand, to be adopted": (foreign(**ADOPT), False, Relation.ADOPT),
        "of another controller, to be adopted": (foreign(THEIRS, **ADOPT), False, Relation.FOREIGN),
        "of a deleted one, to be adopted": (foreign(GONE, **ADOPT), True, Relation.ADOPT),
        "of a resource that exists, to be adopted": (foreign(GONE, **ADOPT), False, Relation.FOREIGN),
    },
)
def test_the_relation_of_a_secret(metadata: Mapping[str, Any], *, gone: bool, expected: Relation) -> None:
    assert relation_of(view_secret(metadata), OURS, owner_is_gone=gone) is expected


def orphaned(**more: Any) -> dict[str, Any]:
    """The metadata of a Secret that outlives its resource."""
    return secret_metadata(resource(deletion_policy="Orphan")) | more


def test_a_secret_that_outlives_its_resource_is_found_by_our_annotations() -> None:
    assert "ownerReferences" not in orphaned()
    owner = view_secret(orphaned()).owner
    assert owner == Owner(uid="uid-of-web", kind="Secret", name="web", of_ours=True, controller=False)
    assert owner.key("team") == OURS.key


@cases(
    "change",
    {
        "no label": {"labels": {}},
        "no entry": {"managedFields": []},
        "no name": {"annotations": {f"{GROUP}/owner-uid": "uid-of-web"}},
        "no uid": {"annotations": {f"{GROUP}/owner": "Secret/web"}},
        "another kind": {"annotations": {f"{GROUP}/owner": "Pod/web", f"{GROUP}/owner-uid": "u"}},
        "not a name": {"annotations": {f"{GROUP}/owner": "Secret/W b", f"{GROUP}/owner-uid": "u"}},
    },
)
def test_annotations_name_an_owner_only_with_our_label_and_entry(change: Mapping[str, Any]) -> None:
    assert view_secret(orphaned(**change)).owner is None


def writes(*managers: str, field: str = "f:data") -> dict[str, Any]:
    return {"managedFields": [{"manager": name, "fieldsV1": {field: {}}} for name in managers]}


NULLS: Final[dict[str, Any]] = dict.fromkeys(("managedFields", "annotations", "ownerReferences", "labels"))


@cases(
    "metadata, words",
    {
        "the controller": (foreign(THEIRS), "Certificate web"),
        "who wrote data": (foreign(), "field manager kubectl-create"),
        "each of several": (foreign(**writes("helm", "vim", "helm")), "field manager helm, vim"),
        "not who wrote the type": (foreign(**writes("x", field="f:type")), "no owner"),
        "nulls": (foreign_metadata(**NULLS), "no owner"),
    },
)
def test_the_owner_in_words_is(metadata: Mapping[str, Any], words: str) -> None:
    assert view_secret(metadata).owner_in_words == words


def test_a_view_of_our_own_secret_has_all_that_decides_and_no_data() -> None:
    seen = view(OURS, token("s3cret"), version="42")
    assert (seen.resource_version, seen.times, seen.managed, seen.writers) == ("42", times(), True, ())
    assert seen.owner == Owner(uid="uid-of-web", kind="Secret", name="web", of_ours=True, controller=True)
    assert seen.entry is not None
    assert seen.entry.time == "2026-03-01T12:00:00Z"
    assert "f:data/f:.dockerconfigjson" in seen.entry.fields
    assert "s3cret" not in repr(seen)


OUR_LABEL: Final = {"app.kubernetes.io/managed-by": "ecr-secret-operator"}
HELM: Final = {"labels": {"app.kubernetes.io/managed-by": "Helm"}}


@cases(
    "metadata, labelled, managed",
    {
        "as we wrote it": (owned(), True, True),
        "overwritten by an admission webhook": (owned(**HELM), False, True),
        "overwritten by somebody else": (without(owned(), "f:metadata") | HELM, False, False),
        "removed": (owned(labels={}), False, False),
        "without our entry": (foreign(labels=owned()["labels"]), True, False),
    },
)
def test_our_label_may_be_overwritten_by_an_admission_webhook_only(
    metadata: Mapping[str, Any], *, labelled: bool, managed: bool
) -> None:
    seen = view_secret(metadata)
    assert (seen.labelled, seen.managed) == (labelled, managed)


def test_adoption_needs_the_exact_word() -> None:
    words = ("true", "replace", "", "True", "false", "yes", "replace ", None, 1, ["true"])
    found = [view_secret(foreign(annotations={f"{GROUP}/adopt": word})).adopt for word in words]
    assert found == ["true", "replace", *[None] * 8]


def test_only_an_apply_under_our_name_is_our_entry() -> None:
    ours, empty = "ecr-secret-operator", AppliedEntry(time="", fields=frozenset())
    for manager, operation, entry in (
        ("kubectl", "Apply", None),
        (ours, "Update", None),
        (ours, "Apply", empty),
    ):
        managed = [{"manager": manager, "operation": operation}]
        assert view_secret(foreign_metadata(managedFields=managed)).entry == entry


def test_fields_are_paths_to_the_leaves() -> None:
    noted = {"f:data": {".": {}, "f:a": {}}, "f:type": {}, "f:metadata": {"f:labels": {"f:x/y": {}}}}
    assert applied_fields(noted) == frozenset(
        {"f:data/.", "f:data/f:a", "f:type", "f:metadata/f:labels/f:x/y"}
    )


@cases(
    "change",
    {
        "a long name": {"name": "x" * HUGE},
        "control characters": {"name": "web\n\x1b[31mroot"},
        "a capital letter": {"name": "Web"},
        "a number": {"name": 7},
        "a long uid": {"uid": "uid-of-web" + "x" * HUGE},
        "a long kind": {"kind": "Secret" * HUGE},
        "no kind": {"kind": None},
    },
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


BOUNDS: Final = {"tokens": 4096, "owner": 316} | dict.fromkeys(
    ("spec-fingerprint", "owner-uid", "refresh-requested-at", "access-key-hash"), 64
)


@pytest.mark.parametrize(("mark", "most"), BOUNDS.items())
def test_no_more_of_an_annotation_is_kept_than_the_operator_writes(mark: str, most: int) -> None:
    metadata = secret_metadata(resource(deletion_policy="Orphan"))
    metadata["annotations"][f"{GROUP}/{mark}"] = "Secret/" + "x" * HUGE
    assert largest_text(view_secret(metadata)) <= most


def test_a_secret_that_only_bears_our_label_needs_little_memory() -> None:
    annotations = {f"{GROUP}/{mark}": "x" * HUGE for mark in ("tokens", "owner", "spec-fingerprint", "adopt")}
    seen = view_secret(foreign_metadata(labels=OUR_LABEL, annotations=annotations))
    assert (seen.owner, seen.entry, seen.fingerprint, seen.tokens) == (None, None, None, None)
    assert len(repr(seen)) < 500


def largest_text(seen: object) -> int:
    """The length of the longest text in a view, at any depth."""
    if isinstance(seen, str):
        return len(seen)
    inner = getattr(type(seen), "__dataclass_fields__", None)
    parts = [getattr(seen, name) for name in inner] if inner else seen if isinstance(seen, tuple) else ()
    return max(map(largest_text, parts), default=0)


def nested(depth: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for _ in range(depth):
        fields = {"f:a": fields}
    return fields


@cases(
    "fields",
    {
        "more than 500": {f"f:{number}": {} for number in range(501)},
        "more than 128 KiB of them": {f"f:{number:0500}": {} for number in range(300)},
        "a long one": {"f:" + "x" * 600: {}},
        "deeper than 8": nested(9),
        "deeper than any stack": nested(50_000),
    },
)
def test_an_entry_with_more_fields_than_we_apply_counts_as_absent(fields: Mapping[str, Any]) -> None:
    metadata = secret_metadata(OURS)
    metadata["managedFields"][0]["fieldsV1"] = fields
    seen = view_secret(metadata)
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
    apiVersion=st.just(CONTROLLER["apiVersion"]),
    kind=texts,
    name=texts,
    uid=texts,
    controller=st.just(value=True),
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


@settings(max_examples=60)
@given(
    objects(
        ownerReferences=lists_of(references),
        managedFields=lists_of(entries),
        annotations=annotations,
        labels=st.just(OUR_LABEL),
    )
)
def test_any_metadata_makes_a_view(metadata: Mapping[str, Any]) -> None:
    seen = view_secret(foreign_metadata(**metadata))
    assert relation_of(seen, OURS, owner_is_gone=True) in Relation
    assert seen.owner_in_words.isprintable()
    assert len(seen.owner_in_words) <= 400
    assert largest_text(seen) <= 4096
