"""Which event has which resource looked at."""

# ruff: noqa: S106 - names of Secrets and made-up tokens

from typing import Any

import pytest
import structlog

from ecr_operator.api.outcome import ResourceKey
from ecr_operator.core.cache import Cache
from ecr_operator.core.named_objects import NamedObjects
from ecr_operator.core.secret import MANAGED_BY, MANAGER
from ecr_operator.core.secret_view import SecretView, view_secret
from ecr_operator.core.state import ResourceState
from ecr_operator.core.stores import ResourceStore, SecretViewStore
from tests.builders import (
    HOUR,
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


def nobody_named() -> NamedObjects:
    """Make a register of named objects that reads none."""
    return NamedObjects(FakeIssuer(FakeClock()).basis, [""], lambda *_: None)


class Desk:
    """An inventory, its stores, and a note of what was looked at and forgotten."""

    def __init__(self) -> None:
        self.looked_at: list[ResourceKey] = []
        self.forgotten: list[ResourceKey] = []
        self.cache = Cache(self.looked_at.append, self._note, nobody_named())
        self.resources = ResourceStore("Secret", "", self.cache)
        self.secrets = SecretViewStore("", self.cache)

    def _note(self, state: ResourceState) -> None:
        self.forgotten.append(state.key)

    def news(self) -> list[ResourceKey]:
        """Return what was looked at since the last call."""
        news = list(self.looked_at)
        self.looked_at.clear()
        return news

    def known(self, **said: Any) -> None:
        """Have a resource with a healthy Secret there."""
        self.resources.changed(raw_resource(**said))
        self.cache.put_secret(view(resource(**said)))
        self.news()


@pytest.fixture
def desk() -> Desk:
    """An empty inventory."""
    return Desk()


def secret(**metadata: Any) -> dict[str, Any]:
    return {"metadata": secret_metadata(resource()) | metadata}


@pytest.mark.parametrize(
    ("changes", "looked_at"),
    [
        pytest.param({}, False, id="the same again"),
        pytest.param({"status": {"phase": "Updated"}}, False, id="a status alone"),
        pytest.param({"generation": 2, "frequency": "1h"}, True, id="a new spec"),
        pytest.param({"uid": "u2"}, True, id="another object of the same name"),
        pytest.param({"deleting": True}, True, id="the begin of its deletion"),
        pytest.param({"annotations": {REQUEST: "now"}}, True, id="a request for a fresh token"),
        pytest.param({"annotations": {"other": "x"}}, False, id="an annotation of others"),
    ],
)
def test_a_known_resource_is_looked_at_for(desk: Desk, changes: dict[str, Any], looked_at: bool) -> None:  # noqa: FBT001 - a table
    desk.resources.changed(raw_resource())
    assert desk.news() == [WEB]
    desk.resources.changed(raw_resource(**changes))
    assert desk.news() == ([WEB] if looked_at else [])


def test_a_status_from_outside_is_kept(desk: Desk) -> None:
    desk.resources.changed(raw_resource())
    desk.resources.changed(raw_resource(status={"phase": "Updated"}))
    known = desk.cache.resource(WEB)
    assert known is not None
    assert known.status == {"phase": "Updated"}
    assert known.desired is not None


def test_a_status_that_we_wrote_is_kept_before_its_echo(desk: Desk) -> None:
    desk.resources.changed(raw_resource())
    desk.cache.remember_status(WEB, "uid-of-web", {"phase": "Failed"})
    desk.cache.remember_status(WEB, "older object", {"phase": "Pending"})
    desk.cache.remember_status(SHOP, "unknown", {"phase": "Pending"})
    known = desk.cache.resource(WEB)
    assert known is not None
    assert known.status == {"phase": "Failed"}
    assert len(desk.cache) == 1


def test_a_deleted_resource_is_forgotten_once(desk: Desk) -> None:
    desk.resources.changed(raw_resource())
    desk.resources.deleted(raw_resource())
    desk.resources.deleted(raw_resource())
    assert (desk.forgotten, desk.cache.resource(WEB)) == ([WEB], None)


def test_a_resource_that_never_made_sense_can_go_too(desk: Desk) -> None:
    desk.resources.changed(raw_resource(spec=[]))
    desk.resources.deleted(raw_resource())
    assert desk.forgotten == [WEB]


def test_a_list_forgets_what_is_not_in_it_and_looks_at_what_is_new(desk: Desk) -> None:
    relist(desk.resources, [raw_resource(), raw_resource(name="gone")])
    desk.news()
    relist(desk.resources, [raw_resource(), raw_resource(name="shop")])
    assert (desk.forgotten, desk.news()) == ([resource(name="gone").key], [SHOP])


def test_a_list_of_one_namespace_or_kind_says_nothing_of_others(desk: Desk) -> None:
    desk.resources.changed(raw_resource(namespace="other"))
    relist(ResourceStore("Secret", "team", desk.cache), [])
    relist(ResourceStore("ArgoHelmRepoSecret", "", desk.cache), [])
    assert desk.forgotten == []


def test_after_a_restored_etcd_the_spec_is_what_the_list_says_even_at_the_same_generation(desk: Desk) -> None:
    relist(desk.resources, [raw_resource(generation=2, frequency="2h")])
    desk.news()
    relist(desk.resources, [raw_resource(generation=2, frequency="1h")])
    known = desk.cache.resource(WEB)
    assert known is not None
    assert known.desired is not None
    assert known.desired.frequency == HOUR
    assert desk.news() == [WEB]


@pytest.mark.parametrize(
    ("changed", "looked_at"),
    [
        pytest.param(secret(resourceVersion="10"), False, id="the echo of our own write"),
        pytest.param(secret(resourceVersion="9"), False, id="what came before it"),
        pytest.param(
            secret(resourceVersion="11", labels={"theirs": "x", MANAGED_BY: MANAGER}),
            False,
            id="a label of others",
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
def test_a_secret_has_its_resource_looked_at_for(
    desk: Desk,
    changed: dict[str, Any],
    looked_at: bool,  # noqa: FBT001 - a table
) -> None:
    desk.known()
    desk.secrets.changed(changed)
    assert desk.news() == ([WEB] if looked_at else [])


def test_a_change_of_others_moves_the_version_that_we_write_against(desk: Desk) -> None:
    desk.known()
    desk.secrets.changed(secret(resourceVersion="11"))
    seen = desk.cache.secret("team", "web-pull")
    assert seen is not None
    assert seen.resource_version == "11"


def test_versions_are_numbers_not_text(desk: Desk) -> None:
    desk.known()
    desk.secrets.changed(secret(resourceVersion="9"))
    desk.secrets.changed(secret(resourceVersion="100"))
    seen = desk.cache.secret("team", "web-pull")
    assert seen is not None
    assert seen.resource_version == "100"


def test_a_deleted_secret_has_its_resource_looked_at(desk: Desk) -> None:
    desk.known()
    desk.secrets.deleted(secret())
    assert (desk.news(), desk.cache.secret("team", "web-pull")) == ([WEB], None)
    assert desk.cache.owned_by("uid-of-web") == []


def test_the_late_word_of_an_older_secrets_deletion_changes_nothing(desk: Desk) -> None:
    desk.known()
    desk.secrets.deleted(secret(uid="older"))
    assert desk.news() == []
    assert desk.cache.secret("team", "web-pull") is not None


def test_a_list_of_secrets_notices_lost_deletions(desk: Desk) -> None:
    desk.known()
    desk.known(name="shop")
    relist(desk.secrets, [secret()])
    assert desk.news() == [SHOP]
    relist(SecretViewStore("other", desk.cache), [])
    assert desk.news() == []


def test_a_list_from_an_etcd_that_went_backwards_is_believed(desk: Desk) -> None:
    desk.known()
    relist(
        desk.secrets,
        [{"metadata": secret_metadata(resource(), version="3", applied_at=resource().created_at)}],
    )
    seen = desk.cache.secret("team", "web-pull")
    assert seen is not None
    assert (seen.resource_version, desk.news()) == ("3", [WEB])


def test_a_secret_that_nobody_wants_has_nobody_looked_at(desk: Desk) -> None:
    desk.known()
    desk.secrets.changed({"metadata": foreign_metadata("stranger")})
    desk.secrets.deleted({"metadata": foreign_metadata("stranger")})
    assert desk.news() == []


def test_of_all_that_want_a_secret_the_oldest_two_are_looked_at_and_its_owner(desk: Desk) -> None:
    ages = {"b": 2, "a": 1, "c": 3, "owner": 0}
    raws = [
        raw_resource(name=name, age=age * HOUR, generated_secret_name="one") for name, age in ages.items()
    ]
    relist(desk.resources, raws)
    desk.news()
    desk.cache.see_secret(view_secret(foreign_metadata("one")))
    assert [key.name for key in desk.news()] == ["c", "b"]
    desk.cache.see_secret(view(resource(name="owner", generated_secret_name="one")))
    assert [key.name for key in desk.news()] == ["c", "b", "owner"]
    contenders = {
        name: desk.cache.is_contender(resource(name=name, age=age * HOUR, generated_secret_name="one"))
        for name, age in ages.items()
    }
    assert contenders == {"a": False, "b": True, "c": True, "owner": False}


def test_beyond_the_bound_of_a_namespace_the_name_alone_is_kept_until_there_is_room() -> None:
    looked_at: list[ResourceKey] = []
    cache = Cache(looked_at.append, lambda _: None, nobody_named(), most=2)
    store = ResourceStore("Secret", "", cache)
    with structlog.testing.capture_logs() as logs:
        relist(store, [raw_resource(name=name) for name in ("a", "b", "c", "d")])
        store.changed(raw_resource(namespace="other"))
    assert [key.name for key in looked_at] == ["a", "b", "web"]
    assert [line["namespace"] for line in logs] == ["team"]
    beyond = resource(name="c").key
    assert cache.is_beyond(beyond)
    store.deleted(raw_resource(name="a"))
    assert looked_at[-1] == beyond
    cache.read_beyond(beyond, raw_resource(name="c"))
    assert cache.resource(beyond)
    assert not cache.is_beyond(beyond)
    relist(store, [raw_resource(name="c")])
    assert len(cache) == 1
    assert not cache.is_beyond(resource(name="d").key)


def test_those_beyond_the_bound_get_their_turn_whoever_goes_meanwhile() -> None:
    looked_at: list[ResourceKey] = []
    cache = Cache(looked_at.append, lambda _: None, nobody_named(), most=1)
    store = ResourceStore("Secret", "", cache)
    relist(store, [raw_resource(name=name) for name in ("a", "b", "c", "d")])
    store.deleted(raw_resource(name="a"))
    assert looked_at[-1].name == "b"
    store.deleted(raw_resource(name="b"))
    assert looked_at[-1].name == "c"
    cache.read_beyond(looked_at[-1], None)
    assert looked_at[-1].name == "d"


def test_secrets_that_merely_bear_our_label_are_kept_up_to_a_bound() -> None:
    cache = Cache(lambda _: None, lambda _: None, nobody_named(), most=2)
    for number in range(5):
        cache.see_secret(view_secret(foreign_metadata(f"stranger-{number}")))
    assert len(cache.secret_names("")) == 2


def test_a_rename_has_those_looked_at_that_waited_for_the_old_name(desk: Desk) -> None:
    desk.resources.changed(raw_resource(generated_secret_name="one"))
    desk.resources.changed(raw_resource(name="shop", generated_secret_name="one"))
    desk.news()
    desk.resources.changed(raw_resource(generation=2, generated_secret_name="two"))
    assert sorted(desk.news(), key=str) == [SHOP, WEB]


def test_a_deleted_resource_leaves_its_name_to_the_next(desk: Desk) -> None:
    desk.resources.changed(raw_resource(generated_secret_name="one"))
    desk.resources.changed(raw_resource(name="shop", generated_secret_name="one"))
    desk.news()
    desk.resources.deleted(raw_resource())
    assert desk.news() == [SHOP]


def test_a_resource_that_is_being_deleted_claims_no_name_and_its_secret_is_the_next_ones_when_it_is_gone(
    desk: Desk,
) -> None:
    desk.known(generated_secret_name="one", age=2 * HOUR)
    desk.resources.changed(raw_resource(name="shop", generated_secret_name="one"))
    assert desk.cache.older_claimant(resource(name="shop", generated_secret_name="one"), "one")
    desk.news()
    desk.resources.changed(raw_resource(generated_secret_name="one", age=2 * HOUR, deleting=True))
    assert sorted(desk.news(), key=str) == [SHOP, WEB]
    assert desk.cache.older_claimant(resource(name="shop", generated_secret_name="one"), "one") is None
    desk.resources.deleted(raw_resource())
    assert desk.news() == [SHOP]


def overwritten(**metadata: Any) -> SecretView:
    """Make the view of a Secret of ours as a read shows it whose label an admission has overwritten."""
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    return view_secret(secret_metadata(resource()) | {"labels": labels} | metadata)


def test_the_watch_says_nothing_of_a_secret_that_has_lost_our_label(desk: Desk) -> None:
    desk.known()
    desk.cache.put_secret(overwritten())
    desk.secrets.deleted(secret())
    relist(desk.secrets, [])
    assert desk.cache.secret("team", "web-pull") == overwritten()
    desk.secrets.changed(secret(resourceVersion="90"))
    assert desk.news() == [WEB]
    desk.secrets.deleted(secret())
    assert desk.cache.secret("team", "web-pull") is None


def test_a_secret_that_no_watch_shows_is_dropped_with_its_resource(desk: Desk) -> None:
    desk.known()
    desk.cache.put_secret(overwritten())
    desk.resources.deleted(raw_resource())
    assert desk.cache.secret("team", "web-pull") is None


def test_a_resource_whose_new_spec_makes_no_sense_wants_nothing(desk: Desk) -> None:
    desk.known()
    desk.resources.changed(raw_resource(generation=2, spec={}))
    desk.news()
    desk.secrets.deleted(secret())
    assert desk.news() == [WEB], "as its owner only"


@pytest.mark.parametrize(
    ("mine", "theirs", "older"),
    [
        pytest.param({"age": HOUR}, {"age": 2 * HOUR}, True, id="the older one comes first"),
        pytest.param({"age": 2 * HOUR}, {"age": HOUR}, False, id="a younger one does not"),
        pytest.param({"uid": "b"}, {"uid": "a"}, True, id="of the same age the smaller uid does"),
        pytest.param({}, {"age": 2 * HOUR, "namespace": "other"}, False, id="of another namespace none does"),
        pytest.param(
            {},
            {"age": 2 * HOUR, "generated_secret_name": "other"},
            False,
            id="that wants another Secret none does",
        ),
    ],
)
def test_of_two_that_want_one_secret(
    desk: Desk,
    mine: dict[str, Any],
    theirs: dict[str, Any],
    older: bool,  # noqa: FBT001 - a table
) -> None:
    name = {"generated_secret_name": "one"}
    relist(
        desk.resources, [raw_resource(**(name | mine)), raw_resource(**(name | {"name": "rival"} | theirs))]
    )
    found = desk.cache.older_claimant(resource(**(name | mine)), "one")
    assert (found is not None and found.key.name == "rival") is older


def test_a_resource_that_wants_nothing_has_no_rival(desk: Desk) -> None:
    desk.known()
    assert desk.cache.older_claimant(resource(name="x", spec={}), "one") is None


def test_a_list_is_known_whole_before_any_of_it_is_looked_at() -> None:
    rivals: list[bool] = []

    def enqueue(key: ResourceKey) -> None:
        if key == SHOP:
            shop = resource(name="shop", age=HOUR, generated_secret_name="one")
            rivals.append(cache.older_claimant(shop, "one") is not None)

    cache = Cache(enqueue, lambda _: None, nobody_named())
    raws = [
        raw_resource(name="shop", age=HOUR, generated_secret_name="one"),
        raw_resource(age=2 * HOUR, generated_secret_name="one"),
    ]
    relist(ResourceStore("Secret", "", cache), raws)
    assert rivals == [True]


def test_what_a_resource_owns_follows_the_controller(desk: Desk) -> None:
    desk.cache.put_secret(view(resource(), name="two"))
    desk.cache.put_secret(view(resource(), name="one"))
    assert [seen.name for seen in desk.cache.owned_by("uid-of-web")] == ["one", "two"]
    desk.cache.put_secret(view(resource(name="shop"), name="one"))
    assert [seen.name for seen in desk.cache.owned_by("uid-of-web")] == ["two"]
    assert [seen.name for seen in desk.cache.owned_by("uid-of-shop")] == ["one"]


def test_who_names_a_service_account_follows_the_spec(desk: Desk) -> None:
    def linking(account: str) -> list[str]:
        return [of.key.name for of in desk.cache.linking(("team", account))]

    def links(*names: str) -> list[dict[str, object]]:
        return [{"name": name, "for": ["pull"]} for name in names]

    desk.resources.changed(raw_resource(link_service_accounts=links("a", "b")))
    desk.resources.changed(raw_resource(name="shop", link_service_accounts=links("b")))
    assert (linking("a"), linking("b"), linking("c")) == (["web"], ["shop", "web"], [])
    desk.resources.changed(raw_resource(generation=2, link_service_accounts=links("c")))
    assert (linking("a"), linking("b"), linking("c")) == ([], ["shop"], ["web"])
    desk.resources.changed(raw_resource(generation=3, link_service_accounts=[{}]))
    desk.resources.deleted(raw_resource(name="shop"))
    assert (linking("a"), linking("b"), linking("c")) == ([], [], [])
