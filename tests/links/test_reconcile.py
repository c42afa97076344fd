"""LinkReconciler: when ServiceAccounts are linked and unlinked, what is retried, and at whose cost."""

# ruff: noqa: S106 - names of Secrets

import copy
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.core.state import Result
from ecr_operator.links.plan import LABEL, LINKS, Account
from tests.builders import HOUR, permanent, transient
from tests.core.world import World
from tests.fakes import FakeAccounts, settle

LOGIN = "web-pull"
BUILDER = [{"name": "builder", "for": ["pull", "mount"]}]
# Whether links are left of deleted resources: once in a term.
LIST = "list "
READ, WRITE = "read team/builder", "patch team/builder"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An empty cluster without workers."""
    made = World()
    yield made
    await made.tokens.close()


def see(world: World, **said: Any) -> Resource:
    """Show a resource that links to builder."""
    return world.see(**({"link_service_accounts": BUILDER} | said))


def served(world: World, **said: Any) -> Resource:
    """Show one with an up-to-date Secret."""
    of = see(world, **said)
    world.has_secret(of, age=HOUR)
    return of


def to(*names: str) -> list[dict[str, Any]]:
    """Links to ServiceAccounts."""
    return [{"name": name, "for": ["pull"]} for name in names]


def linked(world: World, name: str = "builder") -> tuple[list[str], list[str]]:
    """What pods of a ServiceAccount pull with and mount."""
    raw = world.accounts.objects["team", name]
    pulls, mounts = ([each["name"] for each in raw.get(key) or []] for key in ("imagePullSecrets", "secrets"))
    return pulls, mounts


def noted(record: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a ServiceAccount with a record."""
    return {"labels": {LABEL: "true"}, "annotations": {LINKS: json.dumps(record)}}


def put_linked(world: World, by: str = "web") -> dict[str, Any]:
    """Add the ServiceAccount as it was linked before."""
    return world.accounts.put(pull=[LOGIN], mount=[LOGIN], **noted({LOGIN: {"mount": by, "pull": by}}))


def edit(world: World) -> None:
    """Remove the links as another client, and show it by the watch."""
    world.show_account(world.accounts.change(imagePullSecrets=[], secrets=[]))


def refreshed(world: World, of: Resource) -> str:
    """The reason of the condition."""
    return world.condition(of, "Refreshed")[1]


async def test_links_are_made_after_the_secret_with_one_read_and_one_write(world: World) -> None:
    world.accounts.put(pull=["mine"])
    of = see(world)
    async with world.working():
        assert (linked(world), refreshed(world, of)) == ((["mine", LOGIN], [LOGIN]), "Refreshed")
    assert (world.accounts.calls, len(world.resources.written)) == ([LIST, READ, WRITE], 1)


async def test_existing_links_cost_one_read_and_none_once_the_watch_shows_them(world: World) -> None:
    of = served(world)
    put_linked(world)
    async with world.working():
        world.queue.schedule_now(of.key)
        await settle()
    world.restart()
    served(world)
    world.show_accounts()
    async with world.working():
        await world.clock.advance(60)
    assert world.accounts.calls == [LIST, READ, LIST]


async def test_without_links_service_accounts_are_looked_for_once(world: World) -> None:
    world.accounts.put()
    world.see()
    world.see("ArgoHelmRepoSecret", name="charts")
    async with world.working():
        await world.clock.advance(60)
    assert (world.accounts.calls, world.links.scopes[""].linked.is_set()) == ([LIST], False)


async def test_an_absent_service_account_is_reported_retried_and_linked_when_it_appears(world: World) -> None:
    of = served(world)
    async with world.working():
        assert world.accounts.calls == [LIST, READ]
        await world.clock.advance(0.5)
        assert (world.condition(of), refreshed(world, of)) == (("True", "Refreshed"), "LinkFailed")
        assert world.condition(of, "Stalled") == ("", "")
        await world.clock.advance(6.5)
        assert world.accounts.calls == [LIST, *[READ] * 4]
        await world.clock.advance(600)
        reads = len(world.accounts.calls)
        await world.clock.advance(300)
        assert 10 <= len(world.accounts.calls) - reads <= 13
        written = len(world.resources.written)
        world.accounts.put()
        await world.clock.advance(31)
        assert (linked(world), refreshed(world, of)) == (([LOGIN], [LOGIN]), "Refreshed")
    assert (written, len(world.resources.written)) == (2, 3)


async def test_a_deleted_service_account_is_reported(world: World) -> None:
    of = served(world)
    raw = put_linked(world)
    async with world.working():
        world.show_accounts()
        del world.accounts.objects["team", "builder"]
        world.show_account(raw | {"metadata": raw["metadata"] | {"resourceVersion": "900"}}, deleted=True)
        await world.clock.advance(0.5)
        assert refreshed(world, of) == "LinkFailed"


async def test_a_permanent_one_of_several_failures_gives_the_reason(world: World) -> None:
    of = served(world, link_service_accounts=[*BUILDER, *to("other")])
    async with world.working():
        await world.clock.advance(0.5)
        assert refreshed(world, of) == "LinkFailed"
        assert "ServiceAccount builder does not" in world.message(of)
        assert "ServiceAccount other does not" in world.message(of)
        world.accounts.failing = permanent(Reason.KUBERNETES_FORBIDDEN)
        await world.clock.advance(2.5)
        assert refreshed(world, of) == "KubernetesForbidden"
        assert world.condition(of, "Stalled") == ("True", "KubernetesForbidden")


async def test_a_change_between_read_and_write_is_kept(world: World) -> None:
    served(world)
    world.accounts.put(pull=["mine"])
    theirs = [{"name": "mine"}, {"name": "theirs"}]
    world.accounts.meanwhile = [lambda: world.accounts.change(imagePullSecrets=theirs)]
    async with world.working():
        assert linked(world) == (["mine", "theirs", LOGIN], [LOGIN])
    assert world.accounts.calls == [LIST, READ, WRITE, READ, WRITE]


async def test_a_change_that_the_watch_shows_during_the_read_is_undone(world: World) -> None:
    served(world)
    put_linked(world)
    world.accounts.meanwhile = [lambda: edit(world)]
    async with world.working():
        assert linked(world) == ([LOGIN], [LOGIN])


async def test_after_eight_stale_writes_the_link_fails_and_is_retried(world: World) -> None:
    of = served(world)
    world.accounts.put()
    world.accounts.meanwhile = [world.accounts.change] * 8
    async with world.working():
        assert len(world.accounts.calls) == 1 + 16
        await world.clock.advance(0.5)
        assert refreshed(world, of) == "LinkFailed"
        await world.clock.advance(1.5)
        assert refreshed(world, of) == "Refreshed"


async def test_links_of_a_resource_that_is_deleted_are_undone(world: World) -> None:
    world.accounts.put()
    of, other, during = served(world), served(world, name="shop"), served(world, name="during")
    world.accounts.meanwhile = [lambda: world.see_deleted(during)]
    async with world.working():
        assert linked(world)[0] == ["shop-pull", LOGIN]
        world.see_deleted(of)
        await settle()
        assert linked(world) == (["shop-pull"], ["shop-pull"])
        world.see_deleted(other)
        await settle()
        assert linked(world) == ([], [])


async def test_an_orphaned_secret_keeps_its_links_until_it_is_deleted(world: World) -> None:
    world.accounts.put()
    of = served(world, deletion_policy="Orphan")
    async with world.working():
        world.see_deleted(of)
        await settle()
        assert linked(world) == ([LOGIN], [LOGIN])
        world.delete()
        await settle()
        assert linked(world) == ([], [])


async def test_service_accounts_are_watched_only_in_the_namespaces_whose_resources_name_some() -> None:
    world = World(scopes=("team", "other"))
    served(world)
    async with world.working():
        await settle()
    assert [world.links.scopes[scope].linked.is_set() for scope in ("team", "other")] == [True, False]


async def test_a_service_account_that_is_gone_needs_no_undoing(world: World) -> None:
    put_linked(world, "gone")
    async with world.working():
        world.show_accounts()
        del world.accounts.objects["team", "builder"]
        await world.clock.advance(60)
    assert world.accounts.calls == [LIST, READ]


async def test_a_list_retries_what_failed_in_its_namespace_only(world: World) -> None:
    served(world)
    async with world.working():
        for scope, calls in (("other", [LIST, READ]), ("team", [LIST, READ, READ])):
            world.links.store(scope).replaced([])
            await settle()
            assert world.accounts.calls == calls


async def test_links_stay_while_the_api_server_has_the_resource(world: World) -> None:
    of = world.see()
    world.restart()
    put_linked(world)
    async with world.working():
        world.show_accounts()
        await world.clock.advance(20)
        assert linked(world) == ([LOGIN], [LOGIN])
        assert len(world.accounts.calls) <= 7
        del world.resources.uids[of.key]
        await world.clock.advance(5)
        assert linked(world) == ([], [])


async def test_links_of_a_cluster_secret_go_where_it_no_longer_serves_and_stay_until_that_is_known(
    world: World,
) -> None:
    key = ResourceKey(kind=CLUSTER, namespace="", name="all")
    world.resources.uids[key] = "uid-of-all"
    put_linked(world, "ClusterSecret/all")
    async with world.working():
        world.show_accounts()
        world.show(CLUSTER, name="all", namespaces={"names": ["other"]})
        await world.clock.advance(20)
        assert linked(world) == ([LOGIN], [LOGIN])
        world.clusters.set_namespaces({"team": {}})
        await world.clock.advance(20)
        assert linked(world) == ([], [])


async def test_a_cluster_secret_links_beside_a_resource_of_its_name(world: World) -> None:
    world.accounts.put()
    world.clusters.set_namespaces({"team": {}})
    world.resources.uids[ResourceKey(kind=CLUSTER, namespace="", name="web")] = "uid-of-all"
    async with world.working():
        await world.apply(link_service_accounts=to("builder"))
        world.show(
            CLUSTER,
            name="web",
            uid="uid-of-all",
            generated_secret_name="all-pull",
            link_service_accounts=to("builder"),
        )
        await settle()
        await world.clock.advance(5)
        assert linked(world)[0] == [LOGIN, "all-pull"]
        annotations = world.accounts.objects["team", "builder"]["metadata"]["annotations"]
        assert json.loads(annotations[LINKS]) == {
            LOGIN: {"pull": "web"},
            "all-pull": {"pull": "ClusterSecret/web"},
        }


def noting(number: int) -> dict[str, Any]:
    """The metadata of a ServiceAccount whose record names that many resources."""
    return noted({f"login-{each}": {"pull": f"gone-{each}"} for each in range(number)})


@pytest.mark.parametrize("number", [1, 250])
async def test_links_of_resources_that_were_deleted_before_the_start_are_undone(
    world: World, number: int
) -> None:
    world.accounts.put(pull=["mine", *(f"login-{each}" for each in range(number))], **noting(number))
    async with world.working():
        assert world.links.scopes[""].linked.is_set()
        world.show_accounts()
        await world.clock.advance(60)
        assert linked(world) == (["mine"], [])
    assert len(world.resources.looked_for) == number
    assert world.accounts.calls.count(READ) <= 50


async def test_a_record_that_others_fill_costs_a_bounded_number_of_requests(world: World) -> None:
    raw = world.accounts.put(**noting(500))
    async with world.working():
        for _ in range(300):
            world.show_account(world.accounts.change(metadata=copy.deepcopy(raw["metadata"])))
            await world.clock.advance(0.2)
        # In one minute; each change of the record may set off one look for a few names, one second later.
        assert world.accounts.calls.count(READ) <= 15
        assert len(world.resources.looked_for) <= 5 * 15
        see(world, link_service_accounts=to("deployer"))
        world.accounts.put("deployer")
        await settle()
        assert linked(world, "deployer") == ([LOGIN], [])


async def test_the_first_look_ends_where_it_is_forbidden_and_is_retried_where_it_fails(world: World) -> None:
    world.accounts.failing = permanent(Reason.KUBERNETES_FORBIDDEN)
    async with world.working():
        await world.clock.advance(60)
    assert world.accounts.calls == [LIST]
    world.restart()
    world.accounts.failing = transient(Reason.KUBERNETES_UNAVAILABLE)
    async with world.working():
        await world.clock.advance(5)
        assert len(world.accounts.calls) > 2
        world.accounts.failing = None
        await world.clock.advance(10)
        calls = len(world.accounts.calls)
        await world.clock.advance(60)
    assert len(world.accounts.calls) == calls


async def test_a_link_that_fails_does_not_keep_the_old_secret(world: World) -> None:
    of = served(world)
    async with world.working():
        see(world, generation=2, generated_secret_name="renamed")
        await settle()
        assert ("team", LOGIN) not in world.secrets.metadata
        assert refreshed(world, of) == "LinkFailed"


async def test_an_old_secret_stays_until_its_links_were_tried_and_occupies_no_worker(world: World) -> None:
    world.accounts.put()
    served(world)
    async with world.working(workers=1):
        world.accounts.hold()
        of = see(world, generation=2, generated_secret_name="renamed")
        other = world.see(name="shop", namespace="other")
        await settle()
        assert world.condition(of) == world.condition(other) == ("True", "Refreshed")
        assert ("team", LOGIN) in world.secrets.metadata
        world.accounts.release()
        await settle()
        assert ("team", LOGIN) not in world.secrets.metadata
        assert linked(world) == (["renamed"], ["renamed"])


async def test_a_link_of_a_person_among_very_many_entries_needs_one_read(world: World) -> None:
    of = served(world, link_service_accounts=to("builder"))
    others = [f"other-{number}" for number in range(300)]
    world.accounts.put(pull=[*others, LOGIN], labels={LABEL: "true"})
    async with world.working():
        world.show_accounts()
        await world.clock.advance(60)
        world.show_account(world.accounts.change())
        await world.clock.advance(60)
        assert (world.accounts.calls, refreshed(world, of)) == ([LIST, READ], "Refreshed")


class LabelRemover(FakeAccounts):
    """ServiceAccounts behind an admission webhook that removes our label."""

    async def patch(self, account: Account, patch: Mapping[str, Any]) -> Account:
        """Write all but the label."""
        patch["metadata"]["labels"].clear()
        return await super().patch(account, patch)


async def test_a_label_that_is_removed_with_each_write_is_contested(world: World) -> None:
    world.accounts = LabelRemover()
    world.restart()
    of = served(world)
    world.accounts.put()
    async with world.working():
        await world.clock.advance(30)
        assert (refreshed(world, of), world.accounts.calls.count(READ)) == ("LinkFailed", 7)


async def test_nothing_is_remembered_of_service_accounts_that_are_linked_no_more(world: World) -> None:
    put_linked(world, "gone")
    gone = served(world, name="shop", link_service_accounts=to("absent"))
    async with world.working():
        world.show_accounts()
        await world.clock.advance(1)
        world.see_deleted(gone)
        await world.clock.advance(120)
        assert world.links.states.names() == []
    of = served(world)
    world.show_account(put_linked(world))
    world.see_deleted(of)
    assert world.links.states.names() == [("team", "builder")]
    world.show_account(world.accounts.change(), deleted=True)
    assert world.links.states.names() == []


async def test_a_contest_is_reported_and_bounded_and_ends_with_the_term(world: World) -> None:
    world.accounts.put()
    of = served(world)
    async with world.working():
        for _ in range(20):
            edit(world)
            await settle()
        await world.clock.advance(0.5)
        assert refreshed(world, of) == "LinkFailed"
        assert world.accounts.calls.count(WRITE) == 7
        reads = len(world.accounts.calls)
        world.show_account(world.accounts.change())
        await settle()
        assert len(world.accounts.calls) == reads
        await world.clock.advance(60)
        assert (linked(world), refreshed(world, of)) == (([LOGIN], [LOGIN]), "Refreshed")
        for _ in range(20):
            edit(world)
            await settle()
        assert linked(world) == ([], [])
    async with world.working():
        assert linked(world) == ([LOGIN], [LOGIN])


async def test_an_unexpected_error_ends_no_worker_and_is_retried(world: World) -> None:
    put_linked(world, "gone")
    async with world.working():
        world.show_accounts()
        world.accounts.meanwhile = [lambda: 1 / 0]
        await settle()
        assert linked(world) == ([LOGIN], [LOGIN])
        await world.clock.advance(30)
        assert linked(world) == ([], [])


async def test_no_pass_begins_once_closed(world: World) -> None:
    put_linked(world, "gone")
    async with world.working():
        world.links.queue.close()
        world.show_accounts()
        await world.clock.advance(60)
        await world.links.queue.idle()
    assert linked(world) == ([LOGIN], [LOGIN])


async def test_a_failed_link_changes_a_success_only(world: World) -> None:
    of = served(world)
    async with world.working():
        await settle()
    result = await world.refresh(of)
    reported = world.links.report_links(of, result)
    assert result.outcome is not None
    assert reported.outcome is not None
    assert (reported.outcome.reason, reported.refresh_at) == (Reason.LINK_FAILED, result.refresh_at)
    unknown = Result(outcome=None, error=transient())
    failed = Result(outcome=replace(result.outcome, succeeded=False))
    assert [world.links.report_links(of, each) for each in (unknown, failed)] == [unknown, failed]


def crowd(world: World, resources: int, links: int) -> None:
    """Show many resources of a namespace `crowd`, with many links each to ServiceAccounts of their own."""
    for number in range(resources):
        names = [f"a{number}-{link}" for link in range(links)]
        served(world, name=f"crowd{number}", namespace="crowd", link_service_accounts=to(*names))
        for name in names:
            world.accounts.put(name, namespace="crowd")


async def test_a_namespace_whose_service_accounts_do_not_answer_delays_no_other(world: World) -> None:
    crowd(world, 10, 10)
    world.accounts.hold("crowd")
    async with world.working():
        assert world.accounts.unanswered["crowd"] == 3
        world.accounts.put()
        of = see(world)
        await settle()
        assert (linked(world), refreshed(world, of)) == (([LOGIN], [LOGIN]), "Refreshed")
        assert world.accounts.unanswered["crowd"] == 3
        world.accounts.release("crowd")
        await settle()
    crowded = [raw for (space, _), raw in world.accounts.objects.items() if space == "crowd"]
    assert [bool(raw.get("imagePullSecrets")) for raw in crowded] == [True] * 100


async def test_many_resources_of_one_service_account_cost_few_passes(world: World) -> None:
    world.accounts.put()
    async with world.working(workers=8):
        for number in range(150):
            see(world, name=f"r{number}", link_service_accounts=to("builder"))
            if number % 5 == 0:
                await world.clock.advance(0.01)
        await world.clock.advance(2)
        assert len(linked(world)[0]) == 150
    assert world.accounts.calls.count(READ) == world.accounts.calls.count(WRITE) <= 30


async def test_absent_service_accounts_of_a_namespace_are_read_at_a_bounded_rate(world: World) -> None:
    for number in range(10):
        links = to(*(f"a{number}-{link}" for link in range(60)))
        served(world, name=f"r{number}", link_service_accounts=links)
    async with world.working():
        await world.clock.advance(120)
        assert len(set(world.accounts.calls) - {LIST}) == 600
        before = len(world.accounts.calls)
        await world.clock.advance(60)
        assert 300 <= len(world.accounts.calls) - before <= 720


async def test_many_failing_links_of_a_resource_cost_few_status_writes(world: World) -> None:
    of = served(world, link_service_accounts=to(*(f"a{link}" for link in range(100))))
    async with world.working():
        await world.clock.advance(2)
        assert (refreshed(world, of), len(world.resources.written) <= 4) == ("LinkFailed", True)


async def test_links_beyond_what_a_record_holds_fail_until_there_are_fewer(world: World) -> None:
    world.accounts.put()
    many = [served(world, name=f"{'r' * 40}{number}") for number in range(200)]
    async with world.working():
        assert len(linked(world)[0]) == 0
        await world.clock.advance(1)
        assert refreshed(world, many[-1]) == "LinkFailed"
        for of in many[100:]:
            world.see_deleted(of)
        await world.clock.advance(30)
        assert len(linked(world)[0]) == 100
