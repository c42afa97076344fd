"""The record of a ServiceAccount: what the watch shows, what is kept of it, and when it is dropped."""

import json
import math
from typing import Any

import pytest
import structlog.testing

from ecr_operator.api.outcome import ResourceKey
from ecr_operator.links.plan import LABEL, LINKS, view_account
from ecr_operator.links.state import LinkStates, ServiceAccountStore
from tests.builders import NAMESPACE, relist, service_account, transient

OURS = {LABEL: "true"}
A, B = (NAMESPACE, "a"), (NAMESPACE, "b")


class Watch:
    """A store, and a note of what it reported: `relisted` with the name where a list showed it."""

    def __init__(self, scope: str = "") -> None:
        self.changed: list[tuple[tuple[str, str], bool]] = []
        self.states = LinkStates()
        self.store = ServiceAccountStore(scope, self.states, lambda *said: self.changed.append(said))

    def see(self, name: str, **metadata: Any) -> None:
        """Read a labelled ServiceAccount."""
        self.states.see(view_account(service_account(name, labels=OURS, **metadata)))

    def labelled(self) -> set[tuple[str, str]]:
        """The ServiceAccounts that are known."""
        return {name for name in self.states.names() if self.states.peek(name).account.labelled}


def key(name: str, namespace: str = NAMESPACE) -> ResourceKey:
    """Names a resource."""
    return ResourceKey(kind="Secret", namespace=namespace, name=name)


def recording(*resources: str) -> dict[str, Any]:
    """Annotations that record a link of each resource."""
    return {LINKS: json.dumps({f"{name}-pull": {"pull": name} for name in resources})}


def test_a_list_replaces_what_was_known_of_its_scope_whatever_the_versions() -> None:
    watch = Watch(NAMESPACE)
    watch.see("gone", resourceVersion="90")
    watch.see("a", resourceVersion="90")
    watch.see("x", namespace="other")
    relist(watch.store, [service_account("a", labels=OURS), service_account("b", labels=OURS)])
    assert watch.labelled() == {A, B, ("other", "x")}
    assert watch.changed == [((NAMESPACE, name), True) for name in ("gone", "a", "b")]


def test_the_echo_of_an_own_write_is_no_change() -> None:
    watch = Watch()
    watch.see("a", resourceVersion="10")
    watch.store.changed(service_account("a", labels=OURS, version="10"))
    watch.store.changed(service_account("a", labels=OURS, version="9"))
    watch.store.deleted(service_account("a", labels=OURS, version="9"))
    assert watch.changed == []
    watch.store.changed(service_account("a", labels=OURS, version="11"))
    watch.store.deleted(service_account("a", labels=OURS, version="12"))
    assert watch.changed == [(A, False)] * 2
    assert watch.labelled() == set()


def test_one_that_was_made_again_has_changed_whatever_its_version() -> None:
    watch = Watch()
    watch.see("a", resourceVersion="10")
    watch.store.changed(service_account("a", labels=OURS, version="3", uid="new"))
    assert watch.changed == [(A, False)]


def test_labelled_accounts_are_found_by_the_resources_that_their_record_names_now() -> None:
    watch = Watch()
    watch.see("a", annotations=recording("web", "shop"))
    watch.see("b", annotations=recording("web"))
    watch.states.see(view_account(service_account("c", annotations=recording("web"))))
    assert watch.states.recorded_for(key("web")) == {A, B}
    assert watch.states.recorded_for(key("web", "other")) == set()
    watch.see("a", annotations=recording("shop"))
    watch.states.see(view_account(service_account("b", annotations=recording("web"))))
    assert watch.states.recorded_for(key("web")) == set()
    assert watch.states.recorded_for(key("shop")) == {A}


def test_of_long_lists_what_is_recorded_or_desired_is_kept_and_some_others() -> None:
    watch = Watch()
    names = [f"other-{number}" for number in range(5000)]
    watch.states.get(A).desired = {("mine", "pull"), ("absent", "pull")}
    raw = service_account("a", pull=[*names, "web-pull", "mine"], labels=OURS, annotations=recording("web"))
    watch.states.see(view_account(raw))
    kept = watch.states.peek(A).account
    assert {("web-pull", "pull"), ("mine", "pull"), ("other-0", "pull")} < kept.places
    assert (len(kept.places), kept.entries) == (202, {})


@pytest.mark.parametrize(("links", "kept"), [(0, 2999), (1, 2857), (500, 116)])
def test_of_accounts_that_no_resource_names_a_namespace_keeps_a_number_of_links(
    links: int, kept: int
) -> None:
    watch = Watch()
    watch.states.get((NAMESPACE, "named"))
    record = recording(*(f"r{number}" for number in range(links)))
    for number in range(kept + 10):
        watch.store.changed(service_account(f"a{number}", labels=OURS, annotations=record))
    watch.store.changed(service_account("named", labels=OURS))
    watch.store.changed(service_account("b", labels=OURS, namespace="other"))
    assert len(watch.labelled()) == len(watch.changed) == kept + 2
    assert {(NAMESPACE, "named"), ("other", "b")} < watch.labelled()


def test_a_record_that_is_ignored_is_reported_once() -> None:
    watch = Watch()
    with structlog.testing.capture_logs() as logs:
        watch.see("a", annotations={LINKS: "x" * 20_000})
        watch.states.begin_term()
        watch.see("a", annotations={LINKS: "y" * 20_000})
    (line,) = logs
    assert (line["log_level"], line["namespace"], line["service_account"]) == ("warning", NAMESPACE, "a")


def test_a_state_is_dropped_when_nothing_of_it_is_worth_remembering() -> None:
    states = LinkStates()
    state = states.get(A)
    state.repairs = (100.0,)
    state.requested_at = 130.0
    states.set_error(A, transient())
    assert states.prune(A, 200.0) == math.inf
    states.set_error(A, None)
    assert states.prune(A, 200.0) == math.inf
    state.requested_at = math.inf
    assert states.prune(A, 120.0) == 40.0
    assert states.prune(A, 160.0) == math.inf
    assert states.names() == []
    assert states.prune(A, 160.0) == math.inf


def test_the_state_of_a_labelled_account_stays_and_a_term_begins_with_what_was_seen() -> None:
    watch = Watch()
    watch.see("a")
    watch.states.get(A).repairs = (1.0,)
    assert (watch.states.prune(A, 1e9), watch.states.names()) == (math.inf, [A])
    watch.states.set_error(A, transient())
    watch.states.set_error(B, transient())
    watch.states.begin_term()
    assert watch.states.names() == [A]
    assert (watch.states.peek(A).error, watch.states.peek(A).repairs) == (None, ())
    assert watch.states.failing[NAMESPACE] == 0
