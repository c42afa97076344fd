"""Links to all ServiceAccounts of a namespace, new ones included."""

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog.testing

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from tests.builders import HOUR, relist, service_account
from tests.core.world import World
from tests.fakes import settle

ALL = [{"name": "*", "for": ["pull"]}]
LOGIN = "web-pull"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.tokens.close()


def served(world: World, links: list[dict[str, Any]] | None = None, **said: Any) -> Resource:
    """Have a resource with a healthy Secret that links to all."""
    of = world.see(link_service_accounts=ALL if links is None else links, **said)
    world.has_secret(of, age=HOUR)
    return of


def show(world: World, *names: str) -> None:
    """Have ServiceAccounts there, and the watch of all of them show them."""
    for name in names:
        world.links.scopes[""].changed(world.accounts.put(name))


def pulls(world: World) -> dict[str, list[str]]:
    """The pull secrets of each ServiceAccount."""
    return {
        name: [entry["name"] for entry in raw.get("imagePullSecrets") or []]
        for (_, name), raw in world.accounts.objects.items()
    }


async def test_all_are_linked_and_a_new_one_at_once(world: World) -> None:
    of = served(world)
    relist(world.links.scopes[""], [world.accounts.put(name) for name in ("a", "b")])
    async with world.working():
        assert pulls(world) == {"a": [LOGIN], "b": [LOGIN]}
        show(world, "c")
        await settle()
        assert pulls(world)["c"] == [LOGIN]
        raws = list(world.accounts.objects.values())
        relist(world.links.scopes[""], raws)
        world.links.scopes[""].changed(raws[0])
        assert {world.links.states.peek(("team", name)).requested_at for name in "abc"} == {math.inf}
        calls = list(world.accounts.calls)
        world.show_accounts()
        world.queue.schedule_now(of.key)
        await world.clock.advance(60)
        assert world.accounts.calls == calls, "nothing changes"
        world.see_deleted(of)
        await world.clock.advance(10)
        assert pulls(world) == {"a": [], "b": [], "c": []}


async def test_an_entry_for_one_is_united_with_that_for_all(world: World) -> None:
    of = served(world, [*ALL, {"name": "a", "for": ["mount"]}])
    show(world, "a", "b")
    async with world.working():
        raw = world.accounts.objects["team", "a"]
        assert (raw["imagePullSecrets"], raw["secrets"]) == ([{"name": LOGIN}], [{"name": LOGIN}])
        assert pulls(world)["b"] == [LOGIN]
        world.see(generation=2, status=world.status(of), link_service_accounts=ALL[:0])
        await world.clock.advance(10)
        assert pulls(world) == {"a": [], "b": []}


async def test_a_service_account_that_is_deleted_is_no_failure_and_costs_one_read(world: World) -> None:
    of = served(world)
    show(world, "a")
    async with world.working():
        raw = world.accounts.change("a")
        del world.accounts.objects["team", "a"]
        world.show_account(raw, deleted=True)
        await world.clock.advance(60)
        assert world.condition(of, "Refreshed") == ("True", "Refreshed")
        reads = world.accounts.calls.count("read team/a")
        await world.clock.advance(60)
        assert world.accounts.calls.count("read team/a") == reads
        show(world, "a")
        await settle()
        assert pulls(world) == {"a": [LOGIN]}


async def test_without_the_right_to_list_them_that_is_reported(world: World) -> None:
    world.accounts.failing = PermanentError(Reason.KUBERNETES_FORBIDDEN, "Apply the component.")
    of = served(world)
    async with world.working():
        await world.clock.advance(3)
        assert world.condition(of, "Refreshed") == ("False", "KubernetesForbidden")
        assert not world.links.scopes[""].all.is_set()
        world.accounts.failing = None
        await world.clock.advance(60)
        assert world.links.scopes[""].all.is_set()
        assert world.condition(of, "Refreshed") == ("True", "Refreshed")


async def test_nothing_is_asked_before_a_resource_links_to_all(world: World) -> None:
    served(world, [])
    async with world.working():
        show(world, "a")
        await world.clock.advance(10)
        assert not world.links.scopes[""].all.is_set()
        assert pulls(world) == {"a": []}


def test_too_many_are_reported_once_and_only_where_a_resource_links_to_all(world: World) -> None:
    with structlog.testing.capture_logs() as logs:
        for space in ("other", "team"):
            served(world)
            store = world.links.scopes[""]
            accounts = [service_account(f"a{number}", namespace=space) for number in range(2005)]
            for account in accounts:
                store.changed(account)
            store.deleted(accounts[0])
            relist(store, accounts)
    assert [line["namespace"] for line in logs] == ["team"]


async def test_the_watch_is_needed_until_no_resource_links_to_all(world: World) -> None:
    of = served(world)
    async with world.working():
        show(world, "a")
        everything = world.links.scopes[""]
        await settle()
        assert everything.all.is_set()
        assert everything.is_all_wanted()
        world.see_deleted(of)
        assert not everything.is_all_wanted()
        everything.all_ended()
        await settle()
        assert (everything.all.is_set(), everything.names("team")) == (False, set())
        served(world, uid="another")
        await world.clock.advance(1)
        assert everything.all.is_set()
        everything.all_ended()  # as that resource came
        await settle()
        assert everything.all.is_set()
