"""Cache: which event enqueues which key, and what is known of resources and Secrets."""

# ruff: noqa: S106 - names of Secrets and made-up tokens

from typing import Any

import pytest
import structlog

from ecr_operator.api.desired import Resource
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.core.cache import Cache
from ecr_operator.core.identity_watch import IdentityWatch
from ecr_operator.core.manifest import MANAGED_BY, MANAGER
from ecr_operator.core.secret_view import SecretView, view_secret
from ecr_operator.core.state import ResourceState
from ecr_operator.core.stores import ResourceStore, SecretViewStore
from tests.builders import (
    HOUR,
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

REQUEST = "ecr.mobb.redhat.com/refresh-requested-at"
WEB = resource().key
SHOP = resource(name="shop").key


def no_identity_watch() -> IdentityWatch:
    """Named objects of which none is read."""
    return IdentityWatch(FakeIssuer(FakeClock()).basis, [""], lambda *_: None)


class Bench:
    """A cache, its stores, and the keys that were enqueued and removed."""

    def __init__(self) -> None:
        self.enqueued: list[ResourceKey] = []
        self.removed: list[ResourceKey] = []
        self.cache = Cache(self.enqueued.append, self._note, no_identity_watch())
        self.resources = ResourceStore("Secret", "", self.cache)
        self.secrets = SecretViewStore("", self.cache)

    def _note(self, state: ResourceState) -> None:
        self.removed.append(state.key)

    def news(self) -> list[ResourceKey]:
        """The keys that were enqueued since the last call."""
        news = list(self.enqueued)
        self.enqueued.clear()
        return news

    def version(self) -> str:
        """The resourceVersion of the known Secret; empty without one."""
        seen = self.cache.secret("team", "web-pull")
        return seen.resource_version if seen else ""

    def resource(self) -> Resource:
        """The resource as known."""
        known = self.cache.resource(WEB)
        assert known is not None
        return known

    def known(self, **fields: Any) -> None:
        """Add a resource with its up-to-date Secret."""
        self.resources.changed(raw_resource(**fields))
        self.cache.store_secret(view(resource(**fields)))
        self.news()


@pytest.fixture
def bench() -> Bench:
    """An empty cache."""
    return Bench()


def secret(**metadata: Any) -> dict[str, Any]:
    return {"metadata": secret_metadata(resource()) | metadata}


@pytest.mark.parametrize(
    ("changes", "enqueued"),
    [
        pytest.param({}, False, id="the same again"),
        pytest.param({"status": {"phase": "Updated"}}, False, id="a status alone"),
        pytest.param({"generation": 2, "frequency": "1h"}, True, id="a new spec"),
        pytest.param({"uid": "u2"}, True, id="another object of the same name"),
        pytest.param({"deleting": True}, True, id="the start of its deletion"),
        pytest.param({"annotations": {REQUEST: "now"}}, True, id="a request for a fresh token"),
        pytest.param({"annotations": {"other": "x"}}, False, id="another annotation"),
    ],
)
def test_a_changed_resource_is_enqueued_for(bench: Bench, changes: dict[str, Any], enqueued: bool) -> None:  # noqa: FBT001 - a table
    bench.resources.changed(raw_resource())
    assert bench.news() == [WEB]
    bench.resources.changed(raw_resource(**changes))
    assert bench.news() == ([WEB] if enqueued else [])


def test_a_status_that_another_client_wrote_is_kept(bench: Bench) -> None:
    bench.resources.changed(raw_resource())
    bench.resources.changed(raw_resource(status={"phase": "Updated"}))
    assert bench.resource().status == {"phase": "Updated"}
    assert bench.resource().desired is not None


def test_a_status_that_we_wrote_is_kept_before_its_echo(bench: Bench) -> None:
    bench.resources.changed(raw_resource())
    bench.cache.remember_status(WEB, "uid-of-web", {"phase": "Failed"})
    bench.cache.remember_status(WEB, "older object", {"phase": "Pending"})
    bench.cache.remember_status(SHOP, "unknown", {"phase": "Pending"})
    assert bench.resource().status == {"phase": "Failed"}
    assert len(bench.cache) == 1


@pytest.mark.parametrize("fields", [{}, {"spec": []}], ids=["valid", "invalid"])
def test_a_deleted_resource_is_removed_once(bench: Bench, fields: dict[str, Any]) -> None:
    bench.resources.changed(raw_resource(**fields))
    bench.resources.deleted(raw_resource())
    bench.resources.deleted(raw_resource())
    assert (bench.removed, bench.cache.resource(WEB)) == ([WEB], None)


def test_a_list_removes_what_it_lacks_and_enqueues_what_is_new(bench: Bench) -> None:
    relist(bench.resources, [raw_resource(), raw_resource(name="gone")])
    bench.news()
    relist(bench.resources, [raw_resource(), raw_resource(name="shop")])
    assert (bench.removed, bench.news()) == ([resource(name="gone").key], [SHOP])


def test_a_list_of_one_namespace_or_kind_removes_no_others(bench: Bench) -> None:
    bench.resources.changed(raw_resource(namespace="other"))
    relist(ResourceStore("Secret", "team", bench.cache), [])
    relist(ResourceStore("ArgoHelmRepoSecret", "", bench.cache), [])
    assert bench.removed == []


def test_a_list_replaces_a_spec_of_the_same_generation_as_after_a_restored_etcd(bench: Bench) -> None:
    relist(bench.resources, [raw_resource(generation=2, frequency="2h")])
    bench.news()
    relist(bench.resources, [raw_resource(generation=2, frequency="1h")])
    assert desired(bench.resource()).frequency == HOUR
    assert bench.news() == [WEB]


@pytest.mark.parametrize(
    ("changed", "enqueued"),
    [
        pytest.param(secret(resourceVersion="10"), False, id="the echo of our own write"),
        pytest.param(secret(resourceVersion="9"), False, id="an earlier version"),
        pytest.param(
            secret(resourceVersion="11", labels={"theirs": "x", MANAGED_BY: MANAGER}),
            False,
            id="another label",
        ),
        pytest.param(
            {"metadata": without(secret(resourceVersion="11")["metadata"], "f:data")}, True, id="changed data"
        ),
        pytest.param(secret(resourceVersion="11", managedFields=[]), True, id="wiped managed fields"),
        pytest.param(secret(resourceVersion="11", labels={}), True, id="our label lost"),
        pytest.param(secret(resourceVersion="11", ownerReferences=[]), True, id="a lost owner"),
        pytest.param(secret(resourceVersion="11", annotations={}), True, id="lost annotations"),
        pytest.param(
            {"metadata": secret_metadata(resource(), version="11", applied_at=resource().created_at)},
            True,
            id="an apply under our name at another time",
        ),
        pytest.param(secret(resourceVersion="1", uid="another"), True, id="another Secret of the same name"),
    ],
)
def test_a_changed_secret_enqueues_its_resource_for(
    bench: Bench,
    changed: dict[str, Any],
    enqueued: bool,  # noqa: FBT001 - a table
) -> None:
    bench.known()
    bench.secrets.changed(changed)
    assert bench.news() == ([WEB] if enqueued else [])


def test_resource_versions_are_compared_as_numbers(bench: Bench) -> None:
    bench.known()
    bench.secrets.changed(secret(resourceVersion="9"))
    assert bench.version() == "10"
    bench.secrets.changed(secret(resourceVersion="100"))
    assert bench.version() == "100"


def test_a_deleted_secret_enqueues_its_resource(bench: Bench) -> None:
    bench.known()
    bench.secrets.deleted(secret())
    assert (bench.news(), bench.cache.secret("team", "web-pull")) == ([WEB], None)
    assert bench.cache.owned_by("uid-of-web") == []


def test_a_late_deletion_of_an_older_secret_changes_nothing(bench: Bench) -> None:
    bench.known()
    bench.secrets.deleted(secret(uid="older"))
    assert bench.news() == []
    assert bench.cache.secret("team", "web-pull") is not None


def test_a_list_of_secrets_finds_missed_deletions(bench: Bench) -> None:
    bench.known()
    bench.known(name="shop")
    relist(bench.secrets, [secret()])
    assert bench.news() == [SHOP]
    relist(SecretViewStore("other", bench.cache), [])
    assert bench.news() == []


def test_a_list_replaces_a_secret_of_a_newer_version_as_after_a_restored_etcd(bench: Bench) -> None:
    bench.known()
    relist(
        bench.secrets,
        [{"metadata": secret_metadata(resource(), version="3", applied_at=resource().created_at)}],
    )
    assert (bench.version(), bench.news()) == ("3", [WEB])


def test_a_secret_that_no_resource_names_enqueues_none(bench: Bench) -> None:
    bench.known()
    bench.secrets.changed({"metadata": foreign_metadata("stranger")})
    bench.secrets.deleted({"metadata": foreign_metadata("stranger")})
    assert bench.news() == []


def test_a_secret_enqueues_its_two_oldest_contenders_and_its_owner(bench: Bench) -> None:
    ages = {"b": 2, "a": 1, "c": 3, "owner": 0}
    raws = [
        raw_resource(name=name, age=age * HOUR, generated_secret_name="one") for name, age in ages.items()
    ]
    relist(bench.resources, raws)
    bench.news()
    bench.cache.observe_secret(view_secret(foreign_metadata("one")))
    assert [key.name for key in bench.news()] == ["c", "b"]
    bench.cache.observe_secret(view(resource(name="owner", generated_secret_name="one")))
    assert [key.name for key in bench.news()] == ["c", "b", "owner"]
    contenders = {
        name: bench.cache.is_contender(resource(name=name, age=age * HOUR, generated_secret_name="one"))
        for name, age in ages.items()
    }
    assert contenders == {"a": False, "b": True, "c": True, "owner": False}


def test_beyond_the_bound_of_a_namespace_only_names_are_kept_until_there_is_room() -> None:
    enqueued: list[ResourceKey] = []
    cache = Cache(enqueued.append, lambda _: None, no_identity_watch(), most=2)
    store = ResourceStore("Secret", "", cache)
    with structlog.testing.capture_logs() as logs:
        relist(store, [raw_resource(name=name) for name in ("a", "b", "c", "d")])
        store.changed(raw_resource(namespace="other"))
    assert [key.name for key in enqueued] == ["a", "b", "web"]
    assert [line["namespace"] for line in logs] == ["team"]
    beyond = resource(name="c").key
    assert cache.is_over_limit(beyond)
    store.deleted(raw_resource(name="a"))
    assert enqueued[-1] == beyond
    cache.put_over_limit(beyond, raw_resource(name="c"))
    assert cache.resource(beyond)
    assert not cache.is_over_limit(beyond)
    relist(store, [raw_resource(name="c")])
    assert len(cache) == 1
    assert not cache.is_over_limit(resource(name="d").key)


def test_resources_beyond_the_bound_are_enqueued_one_after_another() -> None:
    enqueued: list[ResourceKey] = []
    cache = Cache(enqueued.append, lambda _: None, no_identity_watch(), most=1)
    store = ResourceStore("Secret", "", cache)
    relist(store, [raw_resource(name=name) for name in ("a", "b", "c", "d")])
    store.deleted(raw_resource(name="a"))
    assert enqueued[-1].name == "b"
    store.deleted(raw_resource(name="b"))
    assert enqueued[-1].name == "c"
    cache.put_over_limit(enqueued[-1], None)
    assert enqueued[-1].name == "d"


def test_unowned_secrets_with_our_label_are_kept_up_to_a_bound() -> None:
    cache = Cache(lambda _: None, lambda _: None, no_identity_watch(), most=2)
    for number in range(5):
        cache.observe_secret(view_secret(foreign_metadata(f"stranger-{number}")))
    assert len(cache.secret_names("")) == 2


def test_a_rename_enqueues_the_contenders_of_the_old_name(bench: Bench) -> None:
    bench.resources.changed(raw_resource(generated_secret_name="one"))
    bench.resources.changed(raw_resource(name="shop", generated_secret_name="one"))
    bench.news()
    bench.resources.changed(raw_resource(generation=2, generated_secret_name="two"))
    assert sorted(bench.news(), key=str) == [SHOP, WEB]


def test_a_deleted_resource_enqueues_the_next_contender(bench: Bench) -> None:
    bench.resources.changed(raw_resource(generated_secret_name="one"))
    bench.resources.changed(raw_resource(name="shop", generated_secret_name="one"))
    bench.news()
    bench.resources.deleted(raw_resource())
    assert bench.news() == [SHOP]


def test_a_resource_that_is_being_deleted_is_no_contender(
    bench: Bench,
) -> None:
    bench.known(generated_secret_name="one", age=2 * HOUR)
    bench.resources.changed(raw_resource(name="shop", generated_secret_name="one"))
    assert bench.cache.older_claimant(resource(name="shop", generated_secret_name="one"), "one")
    bench.news()
    bench.resources.changed(raw_resource(generated_secret_name="one", age=2 * HOUR, deleting=True))
    assert sorted(bench.news(), key=str) == [SHOP, WEB]
    assert bench.cache.older_claimant(resource(name="shop", generated_secret_name="one"), "one") is None
    bench.resources.deleted(raw_resource())
    assert bench.news() == [SHOP]


def overwritten(**metadata: Any) -> SecretView:
    """Our Secret as a read shows it after an admission webhook has overwritten its label."""
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    return view_secret(secret_metadata(resource()) | {"labels": labels} | metadata)


def test_a_secret_without_our_label_is_not_removed_by_the_watch(bench: Bench) -> None:
    bench.known()
    bench.cache.store_secret(overwritten())
    bench.secrets.deleted(secret())
    relist(bench.secrets, [])
    assert bench.cache.secret("team", "web-pull") == overwritten()
    bench.secrets.changed(secret(resourceVersion="90"))
    assert bench.news() == [WEB]
    bench.secrets.deleted(secret())
    assert bench.cache.secret("team", "web-pull") is None


def test_a_secret_without_our_label_is_dropped_with_its_resource(bench: Bench) -> None:
    bench.known()
    bench.cache.store_secret(overwritten())
    bench.resources.deleted(raw_resource())
    assert bench.cache.secret("team", "web-pull") is None


def test_a_resource_with_an_invalid_spec_is_enqueued_as_owner_only(bench: Bench) -> None:
    bench.known()
    bench.resources.changed(raw_resource(generation=2, spec={}))
    bench.news()
    bench.secrets.deleted(secret())
    assert bench.news() == [WEB], "as the owner"


@pytest.mark.parametrize(
    ("mine", "theirs", "older"),
    [
        pytest.param({"age": HOUR}, {"age": 2 * HOUR}, True, id="the older one"),
        pytest.param({"age": 2 * HOUR}, {"age": HOUR}, False, id="no younger one"),
        pytest.param({"uid": "b"}, {"uid": "a"}, True, id="at the same age the smaller uid"),
        pytest.param({}, {"age": 2 * HOUR, "namespace": "other"}, False, id="none of another namespace"),
        pytest.param(
            {},
            {"age": 2 * HOUR, "generated_secret_name": "other"},
            False,
            id="none that names another Secret",
        ),
    ],
)
def test_older_claimant_is(
    bench: Bench,
    mine: dict[str, Any],
    theirs: dict[str, Any],
    older: bool,  # noqa: FBT001 - a table
) -> None:
    name = {"generated_secret_name": "one"}
    relist(
        bench.resources, [raw_resource(**(name | mine)), raw_resource(**(name | {"name": "rival"} | theirs))]
    )
    found = bench.cache.older_claimant(resource(**(name | mine)), "one")
    assert (found is not None and found.key.name == "rival") is older


def test_a_resource_with_an_invalid_spec_has_no_older_claimant(bench: Bench) -> None:
    bench.known()
    assert bench.cache.older_claimant(resource(name="x", spec={}), "one") is None


def test_a_list_is_stored_whole_before_any_key_is_enqueued() -> None:
    claimants: list[bool] = []

    def enqueue(key: ResourceKey) -> None:
        if key == SHOP:
            shop = resource(name="shop", age=HOUR, generated_secret_name="one")
            claimants.append(cache.older_claimant(shop, "one") is not None)

    cache = Cache(enqueue, lambda _: None, no_identity_watch())
    raws = [
        raw_resource(name="shop", age=HOUR, generated_secret_name="one"),
        raw_resource(age=2 * HOUR, generated_secret_name="one"),
    ]
    relist(ResourceStore("Secret", "", cache), raws)
    assert claimants == [True]


def test_owned_by_follows_the_controller_reference(bench: Bench) -> None:
    bench.cache.store_secret(view(resource(), name="two"))
    bench.cache.store_secret(view(resource(), name="one"))
    assert [seen.name for seen in bench.cache.owned_by("uid-of-web")] == ["one", "two"]
    bench.cache.store_secret(view(resource(name="shop"), name="one"))
    assert [seen.name for seen in bench.cache.owned_by("uid-of-web")] == ["two"]
    assert [seen.name for seen in bench.cache.owned_by("uid-of-shop")] == ["one"]


def test_linking_follows_the_spec(bench: Bench) -> None:
    def linking(account: str) -> list[str]:
        return [of.key.name for of in bench.cache.linking(("team", account))]

    def links(*names: str) -> list[dict[str, object]]:
        return [{"name": name, "for": ["pull"]} for name in names]

    bench.resources.changed(raw_resource(link_service_accounts=links("a", "b")))
    bench.resources.changed(raw_resource(name="shop", link_service_accounts=links("b")))
    assert (linking("a"), linking("b"), linking("c")) == (["web"], ["shop", "web"], [])
    bench.resources.changed(raw_resource(generation=2, link_service_accounts=links("c")))
    assert (linking("a"), linking("b"), linking("c")) == ([], ["shop"], ["web"])
    bench.resources.changed(raw_resource(generation=3, link_service_accounts=[{}]))
    bench.resources.deleted(raw_resource(name="shop"))
    assert (linking("a"), linking("b"), linking("c")) == ([], [], [])
