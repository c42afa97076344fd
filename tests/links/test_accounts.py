"""Which event of a ServiceAccount is worth a look, and what is kept of it."""

from ecr_operator.links.accounts import LinkedAccounts, LinkedAccountStore
from ecr_operator.links.plan import LABEL, LINKS, view_account
from tests.builders import NAMESPACE, relist, service_account

OURS = {LABEL: "true"}


class Desk:
    """A store, and a note of what it told."""

    def __init__(self, scope: str = "") -> None:
        self.told: list[tuple[str, str] | str] = []
        self.accounts = LinkedAccounts()
        self.store = LinkedAccountStore(scope, self.accounts, self.told.append, self.told.append)


def test_a_list_takes_the_place_of_what_was_known() -> None:
    desk = Desk()
    desk.accounts.put(view_account(service_account("gone", labels=OURS, version="90")))
    relist(desk.store, [service_account("a", labels=OURS), service_account("b", labels=OURS)])
    assert desk.accounts.names() == {("team", "a"), ("team", "b")}
    assert desk.told == [("team", "a"), ("team", "b"), ("team", "gone"), ""]


def test_a_list_of_one_namespace_leaves_the_others() -> None:
    desk = Desk("other")
    desk.accounts.put(view_account(service_account("a", labels=OURS)))
    relist(desk.store, [service_account("b", labels=OURS, namespace="other")])
    assert desk.accounts.names() == {("team", "a"), ("other", "b")}
    assert desk.accounts.names("other") == {("other", "b")}


def test_the_echo_of_our_own_write_is_no_news() -> None:
    desk = Desk()
    desk.accounts.put(view_account(service_account("a", labels=OURS, version="10")))
    desk.store.changed(service_account("a", labels=OURS, version="10"))
    desk.store.changed(service_account("a", labels=OURS, version="9"))
    desk.store.deleted(service_account("a", labels=OURS, version="9"))
    assert desk.told == []
    desk.store.changed(service_account("a", labels=OURS, version="11"))
    desk.store.deleted(service_account("a", labels=OURS, version="12"))
    assert desk.told == [("team", "a")] * 2
    assert desk.accounts.names() == set()


def test_one_that_was_made_anew_is_news_whatever_its_version() -> None:
    desk = Desk()
    desk.accounts.put(view_account(service_account("a", labels=OURS, version="10")))
    desk.store.changed(service_account("a", labels=OURS, version="3", uid="new"))
    assert desk.told == [("team", "a")]


def test_only_what_bears_the_label_is_kept_and_found_by_who_linked_it() -> None:
    accounts = LinkedAccounts()
    noted = {LINKS: '{"login":{"pull":"web"}}'}
    accounts.put(view_account(service_account("a", labels=OURS, annotations=noted)))
    accounts.put(view_account(service_account("b", labels=OURS)))
    accounts.put(view_account(service_account("c", annotations=noted)))
    assert accounts.names() == {("team", "a"), ("team", "b")}
    assert accounts.linked_by("team", "web") == {("team", "a")}
    assert accounts.linked_by("team", "shop") == accounts.linked_by("other", "web") == set()
    accounts.put(view_account(service_account("a")))
    accounts.drop(("other", "x"))
    assert accounts.names() == {("team", "b")}
    assert accounts.get(("team", "a")) is None


def test_a_record_that_changes_is_found_by_the_resources_that_it_names_now() -> None:
    accounts = LinkedAccounts()
    for record in ('{"login":{"pull":"web"}}', '{"login":{"pull":"shop"}}'):
        noted = {LINKS: record}
        accounts.put(view_account(service_account("a", labels=OURS, annotations=noted)))
    assert accounts.linked_by("team", "web") == set()
    assert accounts.linked_by("team", "shop") == {("team", "a")}
    index = accounts.index(("team", "a"))
    assert index is not None
    assert {name: [link.place for link in links] for name, links in index.by_resource.items()} == {
        "shop": [("login", "pull")]
    }
    accounts.drop(("team", "a"))
    assert accounts.linked_by("team", "shop") == set()
    assert accounts.index(("team", "a")) is None


def test_of_long_lists_what_is_recorded_is_kept_and_some_others() -> None:
    names = [f"other-{number}" for number in range(5000)]
    raw = service_account(
        pull=[*names, "web-pull"],
        labels={"ecr.mobb.redhat.com/linked": "true"},
        annotations={"ecr.mobb.redhat.com/links": '{"web-pull":{"pull":"web"}}'},
    )
    kept = LinkedAccounts()
    kept.put(view_account(raw))
    account = kept.get((NAMESPACE, "builder"))
    assert account
    assert account.entries["pull"][0] == {"name": "web-pull"}
    assert len(account.entries["pull"]) == 101


def test_a_namespace_has_a_bound() -> None:
    kept = LinkedAccounts()
    for number in range(600):
        kept.put(view_account(service_account(f"a{number}", labels={"ecr.mobb.redhat.com/linked": "true"})))
    assert len(kept.names(NAMESPACE)) == 500


def test_the_bound_is_for_those_that_no_resource_names() -> None:
    kept = LinkedAccounts()
    for number in range(500):
        kept.put(view_account(service_account(f"a{number}", labels=OURS)))
    kept.put(view_account(service_account("named", labels=OURS)), named=True)
    kept.put(view_account(service_account("named", labels=OURS, version="11")))
    kept.put(view_account(service_account("other", labels=OURS)))
    assert kept.get((NAMESPACE, "named"))
    assert len(kept.names(NAMESPACE)) == 501
