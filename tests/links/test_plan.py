"""What a ServiceAccount needs: its own entries alone change, and undoing leaves it as it was."""

# ruff: noqa: S106 - names of Secrets

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_operator.api.names import LINK_FIELDS
from ecr_operator.api.text import mapping_in
from ecr_operator.links.plan import LABEL, LINKS, Change, Link, link_specs, plan, stays, view_account
from tests.api.json_values import json_values, lists_of, objects, texts
from tests.builders import merge, resource, service_account

# A busy machine is no failure.
UNHURRIED: Final = settings(deadline=None)
NONE: Final[frozenset[Link]] = frozenset()
PULL: Final = Link(secret="login", use="pull", by="web")
MOUNT: Final = Link(secret="login", use="mount", by="web")
LABELS: Final = {LABEL: "true"}
USES: Final = tuple(LINK_FIELDS)


def annotation(*links: Link) -> dict[str, str]:
    """Write a record, as the operator does."""
    written: dict[str, dict[str, str]] = {}
    for link in sorted(links):
        written.setdefault(link.secret, {})[link.use] = link.by
    return {LINKS: json.dumps(written, separators=(",", ":"))}


def needs(
    raw: Mapping[str, Any], *wished: Link, kept: frozenset[Link] = NONE, named: bool = True
) -> Change | None:
    return plan(view_account(raw), frozenset(wished), kept, named=named)


def done(raw: dict[str, Any], *wished: Link, kept: frozenset[Link] = NONE, named: bool = True) -> Any:
    """Return the ServiceAccount after what it needs was done."""
    change = needs(raw, *wished, kept=kept, named=named)
    return merge(raw, change.patch) if change else raw


def undone(raw: dict[str, Any]) -> Any:
    return done(raw, named=False)


def essence(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of a ServiceAccount; what is empty is not there."""
    metadata = {key: raw["metadata"].get(key) or {} for key in ("labels", "annotations")}
    return {**metadata, **{key: raw.get(key) or [] for key in ("imagePullSecrets", "secrets")}}


def names(raw: Mapping[str, Any], use: str) -> list[str]:
    return [entry["name"] for entry in view_account(raw).entries[use]]


def test_a_link_is_put_at_the_end_and_noted() -> None:
    change = needs(service_account(pull=["mine"], mount=["mine"]), PULL)
    assert change is not None
    assert change.patch == {
        "metadata": {
            "resourceVersion": "7",
            "labels": {LABEL: "true"},
            "annotations": {LINKS: '{"login":{"pull":"web"}}'},
        },
        "imagePullSecrets": [{"name": "mine"}, {"name": "login"}],
    }
    assert change.added == {PULL.place}
    assert not change.removed


def test_what_is_there_and_noted_needs_nothing() -> None:
    raw = service_account(pull=["login"], labels=LABELS, annotations=annotation(PULL))
    assert needs(raw, PULL) is None
    assert needs(service_account(), named=True) is None
    assert needs(service_account(), named=False) is None


def test_a_link_that_was_there_before_is_tended_but_not_noted_as_ours() -> None:
    raw = done(service_account(pull=["login"]), PULL)
    assert essence(raw) == essence(service_account(pull=["login"], labels=LABELS))
    assert essence(undone(raw)) == essence(service_account(pull=["login"]))


def test_only_what_was_added_is_undone_where_a_person_made_a_part_of_it() -> None:
    raw = done(service_account(pull=["login"]), PULL, MOUNT)
    assert json.loads(raw["metadata"]["annotations"][LINKS]) == {"login": {"mount": "web"}}
    assert essence(undone(raw)) == essence(service_account(pull=["login"]))


def test_what_somebody_took_out_is_put_back() -> None:
    raw = service_account(labels=LABELS, annotations=annotation(PULL))
    assert names(done(raw, PULL), "pull") == ["login"]


def test_a_move_is_one_patch() -> None:
    raw = service_account(pull=["login", "mine"], labels=LABELS, annotations=annotation(PULL))
    new = Link(secret="renamed", use="pull", by="web")
    change = needs(raw, new)
    assert change is not None
    assert change.patch["imagePullSecrets"] == [{"name": "mine"}, {"name": "renamed"}]
    assert change.added == {new.place}
    assert change.removed == {PULL.place}


def test_another_resource_may_take_a_link_over() -> None:
    raw = service_account(pull=["login"], labels=LABELS, annotations=annotation(PULL))
    taken = done(raw, Link(secret="login", use="pull", by="shop"))
    assert json.loads(taken["metadata"]["annotations"][LINKS]) == {"login": {"pull": "shop"}}
    assert names(undone(taken), "pull") == []


def test_what_is_kept_stays_with_its_note() -> None:
    raw = service_account(pull=["login"], labels=LABELS, annotations=annotation(PULL))
    assert needs(raw, kept=frozenset({PULL}), named=False) is None


@pytest.mark.parametrize(
    ("field", "entries"),
    [
        pytest.param(
            "secrets", [{"name": "login", "kind": "Secret"}], id="an entry that is not as we write it stays"
        ),
        pytest.param("secrets", [], id="one that is gone already is no matter"),
    ],
)
def test_undoing_takes_out_our_own_entry_only(field: str, entries: list[dict[str, str]]) -> None:
    raw = {**service_account(labels=LABELS, annotations=annotation(MOUNT)), field: entries}
    assert undone(raw).get(field) == entries
    assert undone(raw)["metadata"]["annotations"] == {}


def test_of_two_like_entries_one_is_ours() -> None:
    raw = service_account(pull=["login", "x", "login"], labels=LABELS, annotations=annotation(PULL))
    assert names(undone(raw), "pull") == ["login", "x"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "null",
        '{"login": "pull"}',
        '{"login": {"pull": 5}}',
        '{"login": {"push": "web"}}',
        '{"login": {"pull": "../web"}}',
        '{"login": {"pull": ""}}',
        "[" * 100_000,
    ],
)
def test_an_annotation_that_makes_no_sense_says_nothing(text: str) -> None:
    raw = service_account(pull=["login"], labels=LABELS, annotations={LINKS: text})
    assert view_account(raw).record == NONE
    assert essence(undone(raw)) == essence(service_account(pull=["login"]))


def test_a_service_account_without_anything_is_read() -> None:
    raw = service_account() | {"imagePullSecrets": None, "secrets": None}
    assert dict(view_account(raw).entries) == {"pull": (), "mount": ()}


@pytest.mark.parametrize(
    ("said", "has_secret", "expected"),
    [
        pytest.param({}, True, {"pull", "mount"}, id="both uses"),
        pytest.param({}, False, set(), id="not before the Secret is its own"),
        pytest.param({"suspend": True}, True, set(), id="nothing while suspended"),
        pytest.param({"deleting": True}, True, set(), id="nothing while it is being deleted"),
        pytest.param({"ecr_registry": ""}, True, set(), id="nothing of a spec that makes no sense"),
        pytest.param({"link_service_accounts": None}, True, set(), id="nothing that is not asked for"),
        pytest.param(
            {"link_service_accounts": [{"name": "builder", "for": []}]},
            True,
            set(),
            id="nothing of links that make no sense",
        ),
    ],
)
def test_what_a_resource_wishes(said: dict[str, Any], *, has_secret: bool, expected: set[str]) -> None:
    usual = {"link_service_accounts": [{"name": "builder", "for": ["pull", "mount"]}]}
    of = resource(**(usual | said))
    wished = link_specs("builder", [of], lambda _: has_secret)
    assert wished == {Link(secret="web-pull", use=use, by="web") for use in expected}
    assert link_specs("other", [of], lambda _: True) == NONE


OLD = Link(secret="old", use="pull", by="web")
NEW = Link(secret="web-pull", use="pull", by="web")


@pytest.mark.parametrize(
    ("said", "link", "wished", "expected"),
    [
        pytest.param({}, NEW, {NEW}, True, id="what is wished stays"),
        pytest.param({}, NEW, set(), True, id="and while its Secret is made anew"),
        pytest.param({}, OLD, set(), True, id="an old name stays until the new Secret is there"),
        pytest.param({}, OLD, {NEW}, False, id="and goes then"),
        pytest.param({"link_service_accounts": None}, NEW, set(), False, id="what is taken out goes"),
        pytest.param({"suspend": True, "link_service_accounts": None}, NEW, set(), True, id="not suspended"),
        pytest.param(
            {"deleting": True, "link_service_accounts": None}, NEW, set(), True, id="not while being deleted"
        ),
        pytest.param({"ecr_registry": ""}, NEW, set(), True, id="not of a spec that makes no sense"),
        pytest.param(
            {"link_service_accounts": [{"name": "A", "for": ["pull"]}]},
            NEW,
            set(),
            True,
            id="not of links that make no sense",
        ),
    ],
)
def test_what_stays_of_a_resource_that_exists(
    said: dict[str, Any], link: Link, wished: set[Link], *, expected: bool
) -> None:
    usual = {"link_service_accounts": [{"name": "builder", "for": ["pull"]}]}
    assert stays(link, "builder", resource(**(usual | said)), frozenset(wished)) is expected


secrets = st.sampled_from(["a", "b", "c", "d"])
links = st.builds(
    lambda secret, use, by: Link(secret=secret, use=use, by=by),
    secrets,
    st.sampled_from(USES),
    st.sampled_from(["web", "shop"]),
)
# One link at each place, as the API server's resources give them.
wishes = st.lists(links, max_size=6, unique_by=lambda link: link.place)
entries = (
    st.lists(st.fixed_dictionaries({"name": secrets}, optional={"kind": st.just("Secret")}), max_size=6)
    | st.none()
)
lists = st.fixed_dictionaries({"imagePullSecrets": entries, "secrets": entries})
others = st.dictionaries(st.sampled_from(["team", "note"]), st.text(max_size=3), max_size=2)


def account(fields: dict[str, Any], labels: dict[str, str], *record: Link) -> dict[str, Any]:
    ours = {LABEL: "true"} if record else {}
    noted = annotation(*record) if record else {}
    return service_account(labels=labels | ours, annotations=dict(labels) | noted) | fields


class Counted(dict[str, Any]):
    """An entry that counts how often it is looked at."""

    looked_at = 0

    def get(self, *args: Any) -> Any:
        """Count, and answer."""
        Counted.looked_at += 1
        return super().get(*args)


def test_each_entry_is_looked_at_a_few_times_however_many_links_there_are() -> None:
    entries = tuple(Counted(name=f"login-{number}") for number in range(300))
    record = frozenset(Link(secret=f"login-{number}", use="pull", by="gone") for number in range(100))
    wished = frozenset(Link(secret=f"login-{number}", use="pull", by="web") for number in range(200, 500))
    raw = service_account(labels=LABELS, annotations=annotation(*record))
    found = replace(view_account(raw), entries={"pull": entries, "mount": ()})
    change = plan(found, wished, NONE, named=True)
    assert change is not None
    assert (len(change.added), len(change.removed)) == (200, 100)
    assert Counted.looked_at <= 3 * 300


@UNHURRIED
@given(lists, others, wishes)
def test_undoing_after_doing_leaves_everything_as_it_was(
    fields: dict[str, Any], labels: dict[str, str], wished: list[Link]
) -> None:
    before = account(fields, labels)
    after = done(before, *wished)
    for link in wished:
        assert link.secret in names(after, link.use)
    assert essence(undone(after)) == essence(before)


@UNHURRIED
@given(lists, others, wishes, st.lists(st.tuples(st.sampled_from(USES), st.integers(0, 9)), max_size=4))
def test_what_others_add_meanwhile_survives_the_undoing(
    fields: dict[str, Any], labels: dict[str, str], wished: list[Link], additions: list[tuple[str, int]]
) -> None:
    before = account(fields, labels)
    after = done(before, *wished)
    expected = {key: list(value or []) for key, value in fields.items()}
    for number, (use, place) in enumerate(additions):
        field = LINK_FIELDS[use]
        theirs = {"name": f"theirs-{number}"}
        after[field] = list(after.get(field) or [])
        after[field].insert(place, theirs)
        expected[field].append(theirs)
    result = undone(after)
    for field, found in expected.items():
        assert sorted(map(str, result.get(field) or [])) == sorted(map(str, found))


@UNHURRIED
@given(lists, others, wishes, wishes, st.data())
def test_nothing_is_lost_but_what_the_record_says_and_once_is_enough(
    fields: dict[str, Any],
    labels: dict[str, str],
    record: list[Link],
    wished: list[Link],
    data: st.DataObject,
) -> None:
    before = account(fields, labels, *record)
    kept = frozenset(data.draw(st.sets(st.sampled_from(record)) if record else st.just(set())))
    change = needs(before, *wished, kept=kept)
    after = merge(before, change.patch) if change else before
    removed = {link.place for link in record if link not in kept} - {link.place for link in wished}
    for use, field in LINK_FIELDS.items():
        left = list(after.get(field) or [])
        lost = []
        for entry in before.get(field) or []:
            if entry in left:
                left.remove(entry)
            else:
                lost.append(entry["name"])
        assert len(set(lost)) == len(lost)
        assert {(name, use) for name in lost} <= removed
    assert needs(after, *wished, kept=kept & view_account(after).record) is None


def test_a_record_that_is_too_large_is_ignored_and_goes_with_the_next_write() -> None:
    large = json.dumps({f"login-{number}": {"pull": "web"} for number in range(10_000)})
    raw = service_account(pull=["login"], labels=LABELS, annotations={LINKS: large})
    account = view_account(raw)
    assert (account.record, account.annotation, account.record_ignored) == (NONE, None, True)
    assert essence(undone(raw)) == essence(service_account(pull=["login"]))


def test_a_record_that_is_ignored_is_no_reason_to_write() -> None:
    raw = service_account(pull=["login"], annotations={LINKS: "x" * 20_000})
    assert needs(raw) is None


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
def test_whatever_a_service_account_holds_a_plan_is_made_of_it(said: Mapping[str, Any]) -> None:
    raw = service_account() | dict(said)
    raw["metadata"] = dict(mapping_in(said, "metadata")) | service_account()["metadata"]
    needs(raw, Link(secret="login", use="pull", by="web"))
