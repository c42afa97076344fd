"""Cache: which event enqueues which key, and what is known of resources and Secrets."""

from dataclasses import replace
from typing import Any, Final

import pytest
import structlog

from ecr_operator.api.desired import Resource
from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.api.parsing import REFRESH_REQUESTED
from ecr_operator.core.cache import MOST_RESOURCES, Cache
from ecr_operator.core.manifest import MANAGED_BY, MANAGER
from ecr_operator.core.named_objects import NamedObjects
from ecr_operator.core.secret_view import SecretView, view_secret
from ecr_operator.core.stores import ResourceStore, SecretViewStore
from tests.builders import (
    HOUR,
    NAMESPACE,
    cases,
    desired,
    foreign_metadata,
    raw_resource,
    relist,
    resource,
    secret_metadata,
    view,
    without,
)
from tests.fakes import FakeClock, FakeIssuer

WEB = resource().key
SHOP = resource(name="shop").key
ONE: dict[str, Any] = {"generated_secret_name": "one"}


class Bench:
    """A cache, its stores, and the keys that were enqueued and removed."""

    def __init__(self, most: int = MOST_RESOURCES) -> None:
        self.enqueued: list[ResourceKey] = []
        self.removed: list[ResourceKey] = []
        self.cache = Cache(
            self.enqueued.append,
            lambda state: self.removed.append(state.key),
            NamedObjects(FakeIssuer(FakeClock()).basis, [""], lambda *_: None),
            most=most,
        )
        self.resources = ResourceStore("Secret", "", self.cache)
        self.secrets = SecretViewStore("", self.cache)

    def show(self, **fields: Any) -> None:
        """Show a resource by its watch."""
        self.resources.changed(raw_resource(**fields))

    def lists(self, *names: str) -> None:
        """List resources of these names."""
        relist(self.resources, [raw_resource(name=name) for name in names])

    def news(self) -> list[ResourceKey]:
        """The keys that were enqueued since the last call, in order of their names."""
        news = sorted(self.enqueued, key=str)
        self.enqueued.clear()
        return news

    @property
    def secret(self) -> SecretView | None:
        """The Secret of the resource as known."""
        return self.cache.secret("team", "web-pull")

    @property
    def resource(self) -> Resource:
        """The resource as known."""
        known = self.cache.resource(WEB)
        assert known is not None
        return known

    def known(self, **fields: Any) -> None:
        """Add a resource with its up-to-date Secret."""
        self.show(**fields)
        self.cache.store_secret(view(resource(**fields)))
        self.news()


@pytest.fixture
def bench() -> Bench:
    """An empty cache."""
    return Bench()


def secret(**metadata: Any) -> dict[str, Any]:
    return {"metadata": secret_metadata(resource()) | metadata}


@cases(
    "changes, enqueued",
    {
        "the same again": ({}, False),
        "a status alone": ({"status": {"phase": "Updated"}}, False),
        "a new spec": ({"generation": 2, "frequency": "1h"}, True),
        "another object of the same name": ({"uid": "u2"}, True),
        "the start of its deletion": ({"deleting": True}, True),
        "a request for a fresh token": ({"annotations": {REFRESH_REQUESTED: "now"}}, True),
        "another annotation": ({"annotations": {"other": "x"}}, False),
    },
)
def test_a_changed_resource_is_enqueued_for(bench: Bench, changes: dict[str, Any], *, enqueued: bool) -> None:
    bench.show()
    assert bench.news() == [WEB]
    bench.show(**changes)
    assert bench.news() == ([WEB] if enqueued else [])
    assert bench.resource.status == changes.get("status", {})


def test_a_status_that_we_wrote_is_kept_before_its_echo(bench: Bench) -> None:
    bench.show()
    bench.cache.remember_status(WEB, "uid-of-web", {"phase": "Failed"})
    bench.cache.remember_status(WEB, "older object", {"phase": "Pending"})
    bench.cache.remember_status(SHOP, "unknown", {"phase": "Pending"})
    assert (bench.resource.status, len(bench.cache)) == ({"phase": "Failed"}, 1)


@cases("fields", {"valid": {}, "invalid": {"spec": []}})
def test_a_deleted_resource_is_removed_once(bench: Bench, fields: dict[str, Any]) -> None:
    bench.show(**fields)
    bench.resources.deleted(raw_resource())
    bench.resources.deleted(raw_resource())
    assert (bench.removed, bench.cache.resource(WEB)) == ([WEB], None)


def test_a_list_removes_what_it_lacks_in_its_scope_and_kind_and_enqueues_what_is_new(bench: Bench) -> None:
    bench.lists("web", "gone")
    bench.show(namespace="other")
    bench.news()
    relist(ResourceStore("Secret", "team", bench.cache), [raw_resource(), raw_resource(name="shop")])
    relist(ResourceStore("ArgoHelmRepoSecret", "", bench.cache), [])
    assert (bench.removed, bench.news()) == ([resource(name="gone").key], [SHOP])


def test_a_list_replaces_a_spec_of_the_same_generation_as_after_a_restored_etcd(bench: Bench) -> None:
    relist(bench.resources, [raw_resource(generation=2, frequency="2h")])
    bench.news()
    relist(bench.resources, [raw_resource(generation=2, frequency="1h")])
    assert (desired(bench.resource).frequency, bench.news()) == (HOUR, [WEB])


EARLIER: Final = {"metadata": secret_metadata(resource(), version="11", applied_at=resource().created_at)}
EDITED: Final = {"metadata": without(secret_metadata(resource(), version="11"), "f:data")}


@cases(
    "changed, enqueued",
    {
        "not the echo of our own write": (secret(resourceVersion="10"), False),
        "not an earlier version, as a number": (secret(resourceVersion="9"), False),
        "not another label": (secret(resourceVersion="11", labels={"x": "x", MANAGED_BY: MANAGER}), False),
        "changed data": (EDITED, True),
        "wiped managed fields": (secret(resourceVersion="100", managedFields=[]), True),
        "our label lost": (secret(resourceVersion="11", labels={}), True),
        "a lost owner": (secret(resourceVersion="11", ownerReferences=[]), True),
        "lost annotations": (secret(resourceVersion="11", annotations={}), True),
        "an apply under our name at another time": (EARLIER, True),
        "another Secret of the same name": (secret(resourceVersion="1", uid="another"), True),
    },
)
def test_a_changed_secret_enqueues_its_resource_for(
    bench: Bench, changed: dict[str, Any], *, enqueued: bool
) -> None:
    bench.known()
    bench.secrets.changed(changed)
    assert bench.news() == ([WEB] if enqueued else [])
    version = changed["metadata"]["resourceVersion"]
    assert bench.secret
    assert bench.secret.resource_version == ("10" if version == "9" else version)


def test_a_deleted_secret_enqueues_its_resource_but_not_the_deletion_of_an_older_one(bench: Bench) -> None:
    bench.known()
    bench.secrets.deleted(secret(uid="older"))
    assert (bench.news(), bench.secret is None) == ([], False)
    bench.secrets.deleted(secret())
    assert (bench.news(), bench.secret, bench.cache.owned_by("uid-of-web", NAMESPACE)) == ([WEB], None, [])


def test_a_list_of_secrets_finds_missed_deletions_in_its_scope(bench: Bench) -> None:
    bench.known()
    bench.known(name="shop")
    relist(SecretViewStore("other", bench.cache), [])
    assert bench.news() == []
    relist(bench.secrets, [secret()])
    assert bench.news() == [SHOP]


def test_a_list_replaces_a_secret_of_a_newer_version_as_after_a_restored_etcd(bench: Bench) -> None:
    bench.known()
    relist(bench.secrets, [{"metadata": EARLIER["metadata"] | {"resourceVersion": "3"}}])
    assert bench.secret
    assert (bench.secret.resource_version, bench.news()) == ("3", [WEB])


def test_a_secret_that_no_resource_names_enqueues_none(bench: Bench) -> None:
    bench.known()
    bench.secrets.changed({"metadata": foreign_metadata("stranger")})
    bench.secrets.deleted({"metadata": foreign_metadata("stranger")})
    assert bench.news() == []


def test_a_secret_enqueues_its_two_oldest_contenders_and_its_owner(bench: Bench) -> None:
    ages = {"b": 2, "a": 1, "c": 3, "owner": 0}
    rivals = {name: {"name": name, "age": age * HOUR, **ONE} for name, age in ages.items()}
    relist(bench.resources, [raw_resource(**said) for said in rivals.values()])
    bench.news()
    bench.cache.observe_secret(view_secret(foreign_metadata("one")))
    assert [key.name for key in bench.enqueued] == ["c", "b"]
    bench.cache.observe_secret(view(resource(name="owner", **ONE)))
    assert [key.name for key in bench.enqueued[2:]] == ["c", "b", "owner"]
    contenders = [name for name, said in rivals.items() if bench.cache.is_contender(resource(**said))]
    assert contenders == ["b", "c"]


def test_beyond_the_bound_of_a_namespace_only_names_are_kept_until_there_is_room() -> None:
    bench, beyond = Bench(most=2), resource(name="c").key
    with structlog.testing.capture_logs() as logs:
        bench.lists("a", "b", "c", "d")
        bench.show(namespace="other")
    assert [key.name for key in bench.enqueued] == ["a", "b", "web"]
    assert [line["namespace"] for line in logs] == ["team"]
    assert bench.cache.is_over_limit(beyond)
    bench.resources.deleted(raw_resource(name="a"))
    assert bench.enqueued[-1] == beyond
    bench.cache.put_over_limit(beyond, raw_resource(name="c"))
    assert bench.cache.resource(beyond)
    assert not bench.cache.is_over_limit(beyond)
    bench.lists("c")
    assert len(bench.cache) == 1
    assert not bench.cache.is_over_limit(resource(name="d").key)


def test_resources_beyond_the_bound_are_enqueued_one_after_another() -> None:
    bench = Bench(most=1)
    bench.lists("a", "b", "c", "d")
    bench.resources.deleted(raw_resource(name="a"))
    bench.resources.deleted(raw_resource(name="b"))
    assert [key.name for key in bench.enqueued] == ["a", "b", "c"]
    bench.cache.put_over_limit(bench.enqueued[-1], None)
    assert bench.enqueued[-1].name == "d"


def test_a_part_of_a_cluster_secret_does_not_count_against_the_bound() -> None:
    bench, whole = Bench(most=1), resource(CLUSTER)
    part = whole.part(replace(whole.key, namespace=NAMESPACE), {})
    bench.cache.put_resources([part])
    bench.lists("a", "b")
    assert len(bench.cache) == 2
    bench.cache.remove_resource(part.key)
    bench.resources.deleted(raw_resource(name="a"))
    bench.lists("c", "d")
    assert len(bench.cache) == 1


def test_unowned_secrets_with_our_label_are_kept_up_to_a_bound() -> None:
    bench = Bench(most=2)
    label = {MANAGED_BY: MANAGER}
    strangers = [{"metadata": foreign_metadata(f"stranger-{number}", labels=label)} for number in range(5)]
    relist(bench.secrets, strangers)
    assert len(bench.cache.secret_names("")) == 2
    relist(bench.secrets, strangers[3:])
    assert bench.cache.secret_names("") == {("team", "stranger-3"), ("team", "stranger-4")}


@cases(
    "then, enqueued",
    {
        "renamed": ({"generation": 2, "generated_secret_name": "two"}, [SHOP, WEB]),
        "being deleted": ({**ONE, "age": 2 * HOUR, "deleting": True}, [SHOP, WEB]),
        "deleted": (None, [SHOP]),
    },
)
def test_contenders_are_enqueued_when_the_oldest_is(
    bench: Bench, then: dict[str, Any] | None, enqueued: list[ResourceKey]
) -> None:
    rival = resource(name="shop", **ONE)
    bench.show(age=2 * HOUR, **ONE)
    bench.show(name="shop", **ONE)
    assert bench.cache.older_claimant(rival, "one") == bench.resource
    bench.news()
    if then is None:
        bench.resources.deleted(raw_resource())
    else:
        bench.show(**then)
    assert bench.news() == enqueued
    assert bench.cache.older_claimant(rival, "one") is None


def test_a_secret_without_our_label_goes_with_its_resource_only(bench: Bench) -> None:
    # As a read shows it after an admission webhook has overwritten the label.
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    overwritten = view_secret(secret_metadata(resource()) | {"labels": labels})
    bench.known()
    bench.cache.store_secret(overwritten)
    bench.secrets.deleted(secret())
    relist(bench.secrets, [])
    assert bench.secret == overwritten
    bench.secrets.changed(secret(resourceVersion="90"))
    assert bench.news() == [WEB]
    bench.secrets.deleted(secret())
    assert bench.secret is None
    bench.cache.store_secret(overwritten)
    bench.resources.deleted(raw_resource())
    assert bench.secret is None


def test_a_resource_with_an_invalid_spec_is_enqueued_as_owner_only(bench: Bench) -> None:
    bench.known()
    bench.show(generation=2, spec={})
    bench.news()
    bench.secrets.deleted(secret())
    assert bench.news() == [WEB], "as the owner"


@cases(
    "mine, theirs, older",
    {
        "the older one": ({"age": HOUR}, {"age": 2 * HOUR}, True),
        "no younger one": ({"age": 2 * HOUR}, {"age": HOUR}, False),
        "at the same age the smaller uid": ({"uid": "b"}, {"uid": "a"}, True),
        "none of another namespace": ({}, {"age": 2 * HOUR, "namespace": "other"}, False),
        "none of another Secret": ({}, {"age": 2 * HOUR, "generated_secret_name": "other"}, False),
    },
)
def test_the_older_claimant_is(
    bench: Bench, mine: dict[str, Any], theirs: dict[str, Any], *, older: bool
) -> None:
    relist(bench.resources, [raw_resource(**(ONE | mine)), raw_resource(**(ONE | {"name": "shop"} | theirs))])
    found = bench.cache.older_claimant(resource(**(ONE | mine)), "one")
    assert (found is not None and found.key == SHOP) is older


def test_a_list_is_stored_whole_before_any_key_is_enqueued() -> None:
    sizes: list[int] = []
    named = NamedObjects(FakeIssuer(FakeClock()).basis, [""], lambda *_: None)
    cache = Cache(lambda _: sizes.append(len(cache)), lambda _: None, named)
    relist(ResourceStore("Secret", "", cache), [raw_resource(name="shop"), raw_resource()])
    assert sizes == [2, 2]


def test_owned_by_follows_the_controller_reference(bench: Bench) -> None:
    def owned(uid: str) -> list[str]:
        return [seen.name for seen in bench.cache.owned_by(uid, NAMESPACE)]

    bench.cache.store_secret(view(resource(), name="two"))
    bench.cache.store_secret(view(resource(), name="one"))
    assert owned("uid-of-web") == ["one", "two"]
    bench.cache.store_secret(view(resource(name="shop"), name="one"))
    assert (owned("uid-of-web"), owned("uid-of-shop")) == (["two"], ["one"])


def test_linking_follows_the_spec(bench: Bench) -> None:
    def linking() -> list[list[str]]:
        return [[of.key.name for of in bench.cache.linking(("team", account))] for account in "abc"]

    def show(generation: int, *accounts: str, name: str = "web") -> None:
        links = [{"name": account, "for": ["pull"]} for account in accounts]
        bench.show(name=name, generation=generation, link_service_accounts=links or [{}])

    show(1, "a", "b")
    show(1, "b", name="shop")
    assert linking() == [["web"], ["shop", "web"], []]
    show(2, "c")
    assert linking() == [[], ["shop"], ["web"]]
    show(3)
    bench.resources.deleted(raw_resource(name="shop"))
    assert linking() == [[], [], []]
