"""plan: only the operator's own entries change, and undoing leaves a ServiceAccount as it was."""

# ruff: noqa: S106, S107 - names of Secrets

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecr_operator.api.desired import Resource
from ecr_operator.api.names import LINK_FIELDS
from ecr_operator.api.text import mapping_in
from ecr_operator.links.plan import LABEL, LINKS, Facts, is_linked, merge_patch, plan, view_account
from tests.api.json_values import json_values, lists_of, objects, texts
from tests.builders import cases, merge, resource, service_account

# A busy machine is no failure.
UNHURRIED: Final = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
USES: Final = tuple(LINK_FIELDS)
Record = Mapping[str, Mapping[str, str]]


def linking(*uses: str, name: str = "web", secret: str = "login", **spec: Any) -> Resource:
    """A resource that asks for links of its Secret to builder."""
    links = [{"name": "builder", "for": list(uses)}] if uses else None
    return resource(name=name, generated_secret_name=secret, **({"link_service_accounts": links} | spec))


def facts(
    raw: Mapping[str, Any], *resources: Resource, without: Collection[str] = (), **more: Collection[str]
) -> Facts:
    """Facts of resources, each with its Secret but for the names `without`."""
    named = {each.key.name: each for each in resources}
    return Facts(account=view_account(raw), resources=named, with_secret=named.keys() - set(without), **more)


def done(raw: Mapping[str, Any], *resources: Resource, **more: Collection[str]) -> Any:
    """The ServiceAccount after its plan was written; without resources all links are undone."""
    gathered = facts(raw, *resources, **more)
    change = plan(gathered)
    return merge(raw, merge_patch(gathered.account, change)) if change else raw


def recorded(record: Record | None = None) -> dict[str, Any]:
    """The metadata of a ServiceAccount with links of the operator."""
    found = {"login": {"pull": "web"}} if record is None else record
    return {"labels": {LABEL: "true"}, "annotations": {LINKS: json.dumps(found)} if found else {}}


def record_of(raw: Mapping[str, Any]) -> Any:
    return json.loads(raw["metadata"]["annotations"].get(LINKS, "{}"))


def essence(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What counts of a ServiceAccount; what is empty is not there."""
    metadata = {key: raw["metadata"].get(key) or {} for key in ("labels", "annotations")}
    return {**metadata, **{key: raw.get(key) or [] for key in ("imagePullSecrets", "secrets")}}


def names(raw: Mapping[str, Any], use: str = "pull") -> list[str]:
    return [entry["name"] for entry in view_account(raw).entries[use]]


def test_a_link_is_appended_and_recorded() -> None:
    gathered = facts(service_account(pull=["mine"], mount=["mine"]), linking("pull"))
    change = plan(gathered)
    assert change is not None
    assert merge_patch(gathered.account, change) == {
        "metadata": {
            "resourceVersion": "7",
            "labels": {LABEL: "true"},
            "annotations": {LINKS: '{"login":{"pull":"web"}}'},
        },
        "imagePullSecrets": [{"name": "mine"}, {"name": "login"}],
    }


LINKED: Final = service_account(pull=["login"], **recorded())
UNREAD: Final = service_account(pull=["login"], annotations={LINKS: "x" * 20_000})


@cases(
    "known",
    {
        "linked": facts(LINKED, linking("pull")),
        "not named": facts(service_account()),
        "named before the Secret is there": facts(service_account(), linking("pull"), without=["web"]),
        "an ignored record": facts(UNREAD),
        "of a resource that may exist": facts(LINKED, assumed=["web"]),
        "of a Secret that may exist": facts(LINKED, orphaned=["login"]),
    },
)
def test_nothing_is_written_for_a_service_account_that_is(known: Facts) -> None:
    assert plan(known) is None


def test_a_link_that_a_person_made_is_labelled_and_not_recorded_until_it_is_made_again() -> None:
    raw = done(service_account(pull=["login"]), linking("pull"))
    assert essence(raw) == essence(service_account(pull=["login"], labels={LABEL: "true"}))
    assert essence(done(raw)) == essence(service_account(pull=["login"]))
    again = done(raw | {"imagePullSecrets": []}, linking("pull"))
    assert (names(again), record_of(again)) == (["login"], {"login": {"pull": "web"}})


MOVED: Final = [linking("pull", secret="renamed")]


@cases(
    "pull, resources, names_after, record_after",
    {
        "restored": ([], [linking("pull")], ["login"], {"login": {"pull": "web"}}),
        "moved with its Secret": (
            ["login", "mine"],
            MOVED,
            ["mine", "renamed"],
            {"renamed": {"pull": "web"}},
        ),
        "taken over": (["login"], [linking("pull", name="shop")], ["login"], {"login": {"pull": "shop"}}),
        "removed once, of two equal ones": (["login", "x", "login"], [], ["login", "x"], {}),
    },
)
def test_a_recorded_link_is(
    pull: list[str], resources: list[Resource], names_after: list[str], record_after: Record
) -> None:
    raw = done(service_account(pull=pull, **recorded()), *resources)
    assert (names(raw), record_of(raw)) == (names_after, record_after)


@cases("entries", {"another form": [{"name": "login", "kind": "Secret"}], "removed already": []})
def test_undoing_removes_only_the_operators_own_entry(entries: list[dict[str, str]]) -> None:
    raw = service_account(**recorded({"login": {"mount": "web"}})) | {"secrets": entries}
    assert done(raw)["secrets"] == entries
    assert done(raw)["metadata"]["annotations"] == {}


RECORDS: Final = ["", "hello", "[]", "null", '{"login": "pull"}', '{"login": {"pull": 5}}']
RECORDS.extend(['{"login": {"push": "web"}}', '{"login": {"pull": "../web"}}', '{"login": {"pull": ""}}'])


@pytest.mark.parametrize("annotation", [*RECORDS, "[" * 10_000])
def test_an_invalid_record_is_empty_and_goes_with_the_next_write(annotation: str) -> None:
    raw = service_account(pull=["login"], labels={LABEL: "true"}, annotations={LINKS: annotation})
    assert view_account(raw).record == {}
    assert essence(done(raw)) == essence(service_account(pull=["login"]))


def test_a_record_of_more_than_16_kib_is_ignored_and_replaced_with_the_next_write() -> None:
    large = json.dumps({f"login-{number}": {"pull": "web"} for number in range(10_000)})
    raw = service_account(pull=["login"], labels={LABEL: "true"}, annotations={LINKS: large})
    assert (view_account(raw).record, view_account(raw).record_ignored) == ({}, True)
    assert essence(done(raw)) == essence(service_account(pull=["login"]))
    assert record_of(done(raw, linking("mount"))) == {"login": {"mount": "web"}}


INVALID_LINKS: Final[dict[str, Any]] = {"link_service_accounts": [{"name": "builder", "for": []}]}


@cases(
    "of, without, expected",
    {
        "both uses": (linking("pull", "mount"), [], set(USES)),
        "not before the Secret is its own": (linking("pull"), ["web"], set()),
        "not while suspended": (linking("pull", suspend=True), [], set()),
        "not while being deleted": (linking("pull", deleting=True), [], set()),
        "not of an invalid spec": (linking("pull", ecr_registry=""), [], set()),
        "not without links in the spec": (linking(), [], set()),
        "not of invalid links": (linking(**INVALID_LINKS), [], set()),
    },
)
def test_links_are_desired_for(of: Resource, without: list[str], expected: set[str]) -> None:
    desired = facts(service_account(), of, without=without).desired
    assert desired == {("login", use): "web" for use in expected}
    assert facts(service_account("other"), of).desired == {}


NEW, OLD = "login", "old"


@cases(
    "of, secret, without, expected",
    {
        "desired": (linking("pull"), NEW, [], True),
        "while its Secret is made again": (linking("pull"), NEW, ["web"], True),
        "an old name until the new Secret exists": (linking("pull"), OLD, ["web"], True),
        "no longer then": (linking("pull"), OLD, [], False),
        "not when it is removed from the spec": (linking(), NEW, [], False),
        "not when the use is removed": (linking("mount"), NEW, [], False),
        "while suspended": (linking(suspend=True), NEW, [], True),
        "while being deleted": (linking(deleting=True), NEW, [], True),
        "while the spec is invalid": (linking("pull", ecr_registry=""), NEW, [], True),
        "while the links are invalid": (linking(**INVALID_LINKS), NEW, [], True),
    },
)
def test_a_recorded_link_stays(of: Resource, secret: str, without: list[str], *, expected: bool) -> None:
    raw = service_account(pull=[secret], **recorded({secret: {"pull": "web"}}))
    assert (secret in names(done(raw, of, without=without))) is expected


def test_recorded_links_of_another_resource_and_secret_go() -> None:
    assert names(done(LINKED, assumed=["shop"], orphaned=["other"])) == []


class Counted(dict[str, Any]):
    """An entry that counts how often it is looked at."""

    looked_at = 0

    def get(self, *args: Any) -> Any:
        """Count, and answer."""
        Counted.looked_at += 1
        return super().get(*args)


def test_each_entry_is_looked_at_a_few_times_however_many_links_there_are() -> None:
    entries = [Counted(name=f"login-{number}") for number in range(300)]
    record = {f"login-{number}": {"pull": "gone"} for number in range(100)}
    raw = service_account(**recorded(record)) | {"imagePullSecrets": entries}
    resources = [linking("pull", name=f"web{number}", secret=f"login-{number}") for number in range(200, 400)]
    change = plan(facts(raw, *resources))
    assert change is not None
    merge_patch(view_account(raw), change)
    assert (len(change.added), len(change.removed)) == (100, 100)
    assert Counted.looked_at <= 3 * 300


secrets = st.sampled_from(["a", "b", "c", "d"])
uses = st.lists(st.sampled_from(USES), unique=True)
resources = st.builds(
    lambda uses, both, suspend: tuple(
        linking(*each, name=name, secret=secret, suspend=off)
        for each, name, secret, off in zip(uses, ("web", "shop"), both, suspend, strict=True)
    ),
    st.tuples(uses, uses),
    st.lists(secrets, min_size=2, max_size=2, unique=True),
    st.tuples(st.booleans(), st.booleans()),
)
records = st.dictionaries(
    secrets, st.dictionaries(st.sampled_from(USES), st.sampled_from(["web", "shop", "gone"]), min_size=1)
)
entries = (
    st.lists(st.fixed_dictionaries({"name": secrets}, optional={"kind": st.just("Secret")}), max_size=6)
    | st.none()
)
lists = st.fixed_dictionaries({"imagePullSecrets": entries, "secrets": entries})
others = st.dictionaries(st.sampled_from(["team", "note"]), st.text(max_size=3), max_size=2)
some = st.sets(st.sampled_from(["web", "shop", "gone"]))


@UNHURRIED
@given(lists, others, resources, st.lists(st.tuples(st.sampled_from(USES), st.integers(0, 9)), max_size=4))
def test_undoing_leaves_everything_as_it_was_and_what_others_added_meanwhile(
    fields: dict[str, Any],
    labels: dict[str, str],
    both: tuple[Resource, Resource],
    additions: list[tuple[str, int]],
) -> None:
    before = service_account(labels=labels, annotations=labels) | fields
    after = done(before, *both)
    for name, use in facts(before, *both).desired:
        assert name in names(after, use)
    assert essence(done(after)) == essence(before)
    expected = {key: list(value or []) for key, value in fields.items()}
    for number, (use, place) in enumerate(additions):
        theirs = {"name": f"theirs-{number}"}
        after[LINK_FIELDS[use]] = list(after.get(LINK_FIELDS[use]) or [])
        after[LINK_FIELDS[use]].insert(place, theirs)
        expected[LINK_FIELDS[use]].append(theirs)
    result = done(after)
    for field, found in expected.items():
        assert sorted(map(str, result.get(field) or [])) == sorted(map(str, found))


@UNHURRIED
@given(lists, records, resources, some, some)
def test_only_recorded_entries_are_removed_and_one_write_is_enough(
    fields: dict[str, Any],
    record: Record,
    both: tuple[Resource, Resource],
    without: set[str],
    assumed: set[str],
) -> None:
    before = service_account(**recorded(record)) | fields
    after = done(before, *both, without=without, assumed=assumed)
    for use, field in LINK_FIELDS.items():
        left, lost = list(after.get(field) or []), []
        for entry in before.get(field) or []:
            if entry in left:
                left.remove(entry)
            else:
                lost.append(entry["name"])
        assert len(set(lost)) == len(lost)
        assert {(name, use) for name in lost} <= view_account(before).record.keys()
    assert plan(facts(after, *both, without=without, assumed=assumed)) is None


@UNHURRIED
@given(fields=lists, record=records, both=resources, without=some, seen=st.booleans())
def test_a_resource_is_linked_where_its_part_of_the_plan_is_empty(
    *, fields: dict[str, Any], record: Record, both: tuple[Resource, Resource], without: set[str], seen: bool
) -> None:
    raw = service_account(**(recorded(record) if seen else {})) | fields
    gathered = facts(raw, *both, without=without, assumed=["gone"])
    parts = [
        is_linked(gathered.account, of, has_secret=name in gathered.with_secret)
        for name, of in gathered.resources.items()
    ]
    change = plan(gathered)
    if not all(parts):
        # Otherwise a resource would request what no pass ever does.
        assert change is not None
    elif change:
        # What no resource asks for is the label.
        assert not change.added
        assert not change.removed
        assert json.loads(change.annotation or "{}") == (record if seen else {})


def test_a_resource_is_not_linked_by_the_link_of_another() -> None:
    raw = service_account(pull=["login"], **recorded({"login": {"pull": "shop"}}))
    assert not is_linked(view_account(raw), linking("pull"), has_secret=True)


@UNHURRIED
@given(
    objects(
        metadata=objects(
            annotations=st.dictionaries(
                st.just(LINKS), texts | st.builds(json.dumps, json_values) | json_values
            ),
            labels=st.dictionaries(st.just(LABEL), st.just("true") | json_values),
        ),
        imagePullSecrets=lists_of(objects(name=texts)),
        secrets=lists_of(objects(name=texts)),
    )
)
def test_a_plan_is_made_whatever_a_service_account_holds(said: Mapping[str, Any]) -> None:
    raw = service_account() | dict(said)
    raw["metadata"] = dict(mapping_in(said, "metadata")) | service_account()["metadata"]
    account = replace(view_account(raw), resource_version="8")
    change = plan(replace(facts(raw, linking("pull")), account=account.abridged(())))
    if change:
        merge_patch(account, change)
