"""When service accounts are linked and unlinked, with ports in memory."""

# ruff: noqa: S106 - names of Secrets

import copy
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import structlog.testing

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.core.state import Result
from ecr_operator.links.account import AccountReconciler
from ecr_operator.links.plan import LABEL, LINKS, Link, plan, view_account
from tests.builders import HOUR, permanent, transient
from tests.core.world import World
from tests.fakes import settle

LOGIN = "web-pull"
BUILDER = [{"name": "builder", "for": ["pull", "mount"]}]
READ, WRITE = "read team/builder", "patch team/builder"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An empty cluster."""
    made = World()
    yield made
    await made.tokens.close()


def see(world: World, **said: Any) -> Resource:
    """Have a resource seen that links to builder."""
    return world.see(**({"link_service_accounts": BUILDER} | said))


def served(world: World, **said: Any) -> Resource:
    """Have one with a healthy Secret."""
    of = see(world, **said)
    world.has_secret(of, age=HOUR)
    return of


def linked(world: World, name: str = "builder") -> tuple[list[str], list[str]]:
    """Return what pods of a ServiceAccount pull with and mount."""
    raw = world.accounts.objects["team", name]
    pulls, mounts = (
        [entry["name"] for entry in raw.get(key) or []] for key in ("imagePullSecrets", "secrets")
    )
    return pulls, mounts


def noted(by: str = "web") -> dict[str, Any]:
    """Make the metadata of a ServiceAccount that was linked before."""
    return {
        "labels": {LABEL: "true"},
        "annotations": {LINKS: f'{{"{LOGIN}":{{"mount":"{by}","pull":"{by}"}}}}'},
    }


async def test_the_secret_comes_first_and_then_the_links(world: World) -> None:
    world.accounts.put(pull=["mine"])
    of = see(world)
    async with world.working():
        assert linked(world) == (["mine", LOGIN], [LOGIN])
        assert world.condition(of, "Refreshed") == ("True", "Refreshed")
    assert world.accounts.calls == [READ, WRITE]
    assert len(world.resources.written) == 1


async def test_what_is_linked_costs_a_read_and_with_the_watch_not_even_that(world: World) -> None:
    of = served(world)
    world.accounts.put(pull=[LOGIN], mount=[LOGIN], **noted())
    async with world.working():
        assert world.accounts.calls == [READ]
        world.queue.schedule_now(of.key)
        await settle()
        assert world.accounts.calls == [READ]
    world.restart()
    served(world)
    world.show_accounts()
    async with world.working():
        await world.clock.advance(60)
    assert world.accounts.calls == [READ]


async def test_nothing_is_asked_for_resources_without_links(world: World) -> None:
    world.accounts.put()
    world.see()
    world.see("ArgoHelmRepoSecret", name="charts")
    async with world.working():
        await world.clock.advance(60)
    assert world.accounts.calls == ["list "]
    assert not world.links.used("").is_set()


async def test_nothing_is_linked_to_a_secret_that_is_not_the_resources_own(world: World) -> None:
    world.accounts.put()
    world.has_foreign_secret()
    of = see(world)
    async with world.working():
        assert world.condition(of, "Refreshed") == ("False", "SecretConflict")
    assert linked(world) == ([], [])


async def test_what_failed_of_the_token_comes_before_what_failed_of_a_link(world: World) -> None:
    of = see(world)
    world.aws.failing["us-east-2"] = permanent()
    async with world.working():
        assert world.condition(of, "Refreshed") == ("False", "AccessDenied")


async def test_an_absent_service_account_is_told_tried_again_and_linked_when_it_appears(world: World) -> None:
    of = served(world)
    async with world.working():
        assert world.condition(of, "Ready") == ("True", "Refreshed")
        assert world.condition(of, "Refreshed") == ("False", "LinkFailed")
        assert world.condition(of, "Stalled") == ("", "")
        assert world.accounts.calls == [READ]
        await world.clock.advance(7)
        assert world.accounts.calls == [READ] * 4
        await world.clock.advance(600)
        reads = len(world.accounts.calls)
        await world.clock.advance(300)
        assert 10 <= len(world.accounts.calls) - reads <= 13
        written = len(world.resources.written)
        world.accounts.put()
        await world.clock.advance(30)
        assert linked(world) == ([LOGIN], [LOGIN])
        assert world.condition(of, "Refreshed") == ("True", "Refreshed")
    assert (written, len(world.resources.written)) == (2, 3)


async def test_a_service_account_that_is_deleted_is_missed_at_once(world: World) -> None:
    of = served(world)
    raw = world.accounts.put(pull=[LOGIN], mount=[LOGIN], **noted())
    async with world.working():
        world.show_accounts()
        del world.accounts.objects["team", "builder"]
        raw["metadata"]["resourceVersion"] = "900"
        world.show_account(raw, deleted=True)
        await settle()
        assert world.condition(of, "Refreshed") == ("False", "LinkFailed")


async def test_each_of_several_failures_is_told_and_the_permanent_one_names_the_reason(world: World) -> None:
    of = served(world, link_service_accounts=[*BUILDER, {"name": "other", "for": ["pull"]}])
    async with world.working():
        assert world.condition(of, "Refreshed") == ("False", "LinkFailed")
        (message,) = {
            each["message"] for each in world.status(of)["conditions"] if each["type"] == "Refreshed"
        }
        assert "ServiceAccount builder does not" in message
        assert "ServiceAccount other does not" in message
        world.accounts.failing = permanent(Reason.KUBERNETES_FORBIDDEN)
        await world.clock.advance(2)
        assert world.condition(of, "Refreshed") == ("False", "KubernetesForbidden")
        assert world.condition(of, "Stalled") == ("True", "KubernetesForbidden")


async def test_what_was_forbidden_is_tried_when_the_watch_begins(world: World) -> None:
    of = served(world)
    world.accounts.put()
    world.accounts.failing = permanent(Reason.KUBERNETES_FORBIDDEN)
    async with world.working():
        assert world.condition(of, "Refreshed") == ("False", "KubernetesForbidden")
        world.accounts.failing = None
        world.show_accounts()
        await world.clock.advance(1)
        assert world.condition(of, "Refreshed") == ("True", "Refreshed")
    assert linked(world) == ([LOGIN], [LOGIN])


async def test_another_writer_in_between_loses_nothing(world: World) -> None:
    served(world)
    world.accounts.put(pull=["mine"])
    world.accounts.meanwhile = [
        lambda: world.accounts.change(imagePullSecrets=[{"name": "mine"}, {"name": "theirs"}])
    ]
    async with world.working():
        await settle()
    assert linked(world) == (["mine", "theirs", LOGIN], [LOGIN])
    assert world.accounts.calls == [READ, WRITE, READ, WRITE]


async def test_a_writer_that_never_rests_is_given_way_to_and_tried_again(world: World) -> None:
    of = served(world)
    world.accounts.put()
    world.accounts.meanwhile = [world.accounts.change] * 8
    async with world.working():
        assert world.condition(of, "Refreshed") == ("False", "LinkFailed")
        assert len(world.accounts.calls) == 16
        await world.clock.advance(1)
        assert world.condition(of, "Refreshed") == ("True", "Refreshed")


async def test_many_resources_link_to_one_service_account_one_after_another(world: World) -> None:
    world.accounts.put()
    for number in range(10):
        see(world, name=f"r{number}")
    async with world.working(workers=8):
        await settle()
    assert len(linked(world)[0]) == 10
    assert world.accounts.calls.count(WRITE) <= 10


async def test_what_is_taken_out_of_the_spec_is_unlinked(world: World) -> None:
    world.accounts.put(pull=["mine"])
    served(world)
    async with world.working():
        see(world, generation=2, link_service_accounts=None)
        await settle()
        assert linked(world) == (["mine"], [])
    assert LABEL not in world.accounts.objects["team", "builder"]["metadata"]["labels"]


@pytest.mark.parametrize("change", [{"suspend": True}, {"ecr_registry": ""}, {"link_service_accounts": [{}]}])
async def test_nothing_is_unlinked_while_suspended_or_not_understood(
    world: World, change: dict[str, Any]
) -> None:
    world.accounts.put()
    served(world)
    async with world.working():
        see(world, generation=2, **({"link_service_accounts": None} | change))
        await settle()
        world.show_account(world.accounts.change())
        await settle()
        assert linked(world) == ([LOGIN], [LOGIN])


async def test_a_deleted_resource_leaves_no_link_of_its_own(world: World) -> None:
    world.accounts.put()
    of, other = served(world), served(world, name="shop")
    async with world.working():
        assert linked(world)[0] == ["shop-pull", LOGIN]
        world.see_deleted(of)
        await settle()
        assert linked(world) == (["shop-pull"], ["shop-pull"])
        world.see_deleted(other)
        await settle()
    assert linked(world) == ([], [])


async def test_a_resource_that_goes_while_it_is_linked_leaves_none_either(world: World) -> None:
    world.accounts.put()
    of = served(world)
    world.accounts.meanwhile = [lambda: world.see_deleted(of)]
    async with world.working():
        await settle()
        assert linked(world) == ([], [])


async def test_an_orphaned_secret_keeps_its_links_until_it_goes(world: World) -> None:
    world.accounts.put()
    of = served(world, deletion_policy="Orphan")
    async with world.working():
        world.see_deleted(of)
        await settle()
        assert linked(world) == ([LOGIN], [LOGIN])
        world.delete()
        await settle()
        assert linked(world) == ([], [])


async def test_of_a_resource_that_is_being_deleted_links_are_neither_made_nor_undone(world: World) -> None:
    world.accounts.put()
    served(world)
    async with world.working():
        await settle()
        assert linked(world) == ([LOGIN], [LOGIN])
        of = world.see(link_service_accounts=None, generation=2, deleting=True)
        world.delete()
        world.show_account(world.accounts.change(imagePullSecrets=[]))
        await world.clock.advance(60)
        assert linked(world) == ([], [LOGIN])
        world.see_deleted(of)
        await settle()
        assert linked(world) == ([], [])


async def test_service_accounts_are_watched_only_in_the_namespaces_whose_resources_name_some() -> None:
    world = World(scopes=("team", "other"))
    served(world)
    async with world.working():
        await settle()
    assert [world.links.used(scope).is_set() for scope in ("team", "other")] == [True, False]


async def test_what_was_left_before_the_start_is_found_and_swept(world: World) -> None:
    world.accounts.put(pull=["mine", LOGIN], mount=[LOGIN], **noted("gone"))
    async with world.working():
        assert world.links.used("").is_set()
        world.show_accounts()
        await settle()
        assert linked(world) == (["mine"], [])


async def test_a_service_account_that_goes_before_it_is_swept_is_no_failure(world: World) -> None:
    world.accounts.put(pull=[LOGIN], mount=[LOGIN], **noted("gone"))
    async with world.working():
        world.show_accounts()
        del world.accounts.objects["team", "builder"]
        await world.clock.advance(60)
    assert world.accounts.calls == ["list ", READ]


async def test_a_list_of_another_namespace_tries_nothing_again(world: World) -> None:
    served(world)
    async with world.working():
        assert world.accounts.calls == [READ]
        world.links.store("other").replaced([])
        await settle()
        assert world.accounts.calls == [READ]
        world.links.store("team").replaced([])
        await settle()
        assert world.accounts.calls == [READ, READ]


async def test_nothing_is_swept_of_a_resource_that_the_watch_does_not_show_yet(world: World) -> None:
    of = world.see()
    world.restart()
    world.accounts.put(pull=[LOGIN], mount=[LOGIN], **noted())
    async with world.working():
        world.show_accounts()
        await world.clock.advance(20)
        assert linked(world) == ([LOGIN], [LOGIN])
        assert len(world.accounts.calls) <= 7
        del world.resources.uids[of.key]
        await world.clock.advance(5)
        assert linked(world) == ([], [])


def noting(number: int) -> dict[str, Any]:
    """Make the metadata of a ServiceAccount whose record names that many resources."""
    record = {f"login-{each}": {"pull": f"gone-{each}"} for each in range(number)}
    return {"labels": {LABEL: "true"}, "annotations": {LINKS: json.dumps(record)}}


async def test_many_that_are_gone_are_all_swept(world: World) -> None:
    world.accounts.put(pull=[f"login-{each}" for each in range(250)], **noting(250))
    async with world.working():
        world.show_accounts()
        await world.clock.advance(60)
        assert linked(world) == ([], [])
    assert len(world.resources.looked_for) == 250
    assert world.accounts.calls.count(READ) <= 50


async def test_a_record_that_somebody_fills_again_and_again_costs_a_bounded_number_of_requests(
    world: World,
) -> None:
    raw = world.accounts.put(**noting(500))
    async with world.working():
        for _ in range(300):
            filled = world.accounts.change(metadata=copy.deepcopy(raw["metadata"]))
            world.show_account(filled)
            await world.clock.advance(0.2)
        # In one minute; each change of the record may set off one look for a few names, one second later.
        assert world.accounts.calls.count(READ) <= 15
        assert len(world.resources.looked_for) <= 5 * 15
        see(world, link_service_accounts=[{"name": "deployer", "for": ["pull"]}])
        world.accounts.put("deployer")
        await settle()
        assert linked(world, "deployer") == ([LOGIN], [])


async def test_the_first_look_is_calm_where_it_is_forbidden_and_patient_where_it_fails(world: World) -> None:
    world.accounts.failing = permanent(Reason.KUBERNETES_FORBIDDEN)
    async with world.working():
        await world.clock.advance(60)
    assert world.accounts.calls == ["list "]
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


async def test_a_renamed_secret_is_linked_before_the_old_one_goes(world: World) -> None:
    world.accounts.put()
    served(world)
    async with world.working():
        world.secrets.calls.clear()
        at: list[list[str]] = []
        world.accounts.meanwhile = [lambda: at.append(list(world.secrets.calls))]
        see(world, generation=2, generated_secret_name="renamed")
        await settle()
        assert at == [["apply team/renamed"]]
        assert world.secrets.calls == ["apply team/renamed", f"delete team/{LOGIN}"]
        assert linked(world) == (["renamed"], ["renamed"])


async def test_a_link_that_cannot_be_moved_keeps_no_old_secret(world: World) -> None:
    of = served(world)
    async with world.working():
        see(world, generation=2, generated_secret_name="renamed")
        await settle()
        assert ("team", LOGIN) not in world.secrets.metadata
        assert world.condition(of, "Refreshed") == ("False", "LinkFailed")


async def test_an_old_secret_stays_until_its_links_were_tried_and_delays_nobody(world: World) -> None:
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


async def test_a_fight_is_told_and_had_at_a_bounded_rate(world: World) -> None:
    world.accounts.put()
    of = served(world)
    async with world.working():
        for _ in range(20):
            world.show_account(world.accounts.change(imagePullSecrets=[], secrets=[]))
            await settle()
        assert world.condition(of, "Refreshed") == ("False", "LinkFailed")
        assert world.accounts.calls.count(WRITE) == 7
        reads = len(world.accounts.calls)
        world.show_account(world.accounts.change())
        await settle()
        assert len(world.accounts.calls) == reads
        await world.clock.advance(60)
        assert linked(world) == ([LOGIN], [LOGIN])
        assert world.condition(of, "Refreshed") == ("True", "Refreshed")


async def test_a_fault_of_one_service_account_ends_no_worker(world: World) -> None:
    world.accounts.put(pull=[LOGIN], mount=[LOGIN], **noted("gone"))
    async with world.working():
        world.show_accounts()
        world.accounts.meanwhile = [lambda: 1 / 0]
        await settle()
        assert linked(world) == ([LOGIN], [LOGIN])
        await world.clock.advance(30)
        assert linked(world) == ([], [])


async def test_after_a_time_in_which_another_led_old_failures_and_fights_count_no_more(world: World) -> None:
    of = served(world)
    async with world.working():
        assert world.condition(of, "Refreshed") == ("False", "LinkFailed")
    world.accounts.put()
    async with world.working():
        world.queue.schedule_now(of.key)
        await settle()
        assert linked(world) == ([LOGIN], [LOGIN])
        for _ in range(20):
            world.show_account(world.accounts.change(imagePullSecrets=[], secrets=[]))
            await settle()
        assert linked(world) == ([], [])
    async with world.working():
        assert linked(world) == ([LOGIN], [LOGIN])


async def test_once_closed_nothing_is_begun_that_a_watch_brings(world: World) -> None:
    world.accounts.put(pull=[LOGIN], mount=[LOGIN], **noted("gone"))
    async with world.working():
        world.links.close()
        world.show_accounts()
        await world.clock.advance(60)
        await world.links.idle()
    assert linked(world) == ([LOGIN], [LOGIN])


async def test_the_outcome_of_a_refresh_keeps_all_but_its_success(world: World) -> None:
    of = served(world)
    async with world.working():
        await settle()
    result = await world.refresh(of)
    told = world.links.after(of, result)
    assert result.outcome is not None
    assert told.outcome is not None
    assert (told.outcome.times, told.outcome.fits) == (result.outcome.times, True)
    assert (told.outcome.reason, told.outcome.succeeded) == (Reason.LINK_FAILED, False)
    assert told.refresh_at == result.refresh_at
    unknown = Result(outcome=None, error=TransientError(Reason.PENDING, "x"))
    assert world.links.after(of, unknown) is unknown


def crowd(world: World, resources: int, links: int, namespace: str = "crowd") -> None:
    """Have many resources with many links each, each to a ServiceAccount of its own."""
    for number in range(resources):
        names = [{"name": f"a{number}-{link}", "for": ["pull"]} for link in range(links)]
        served(world, name=f"{namespace}{number}", namespace=namespace, link_service_accounts=names)
        for name in names:
            world.accounts.put(str(name["name"]), namespace=namespace)


async def test_a_namespace_whose_service_accounts_do_not_answer_delays_no_other(world: World) -> None:
    crowd(world, 20, 20)
    world.accounts.hold("crowd")
    async with world.working():
        assert world.accounts.unanswered["crowd"] == 3
        world.accounts.put()
        of = see(world)
        await settle()
        assert linked(world) == ([LOGIN], [LOGIN])
        assert world.condition(of, "Refreshed") == ("True", "Refreshed")
        assert world.accounts.unanswered["crowd"] == 3
        world.accounts.release("crowd")
        await settle()
    pulls = [
        raw.get("imagePullSecrets") for (space, _), raw in world.accounts.objects.items() if space != "team"
    ]
    assert len(pulls) == 400
    assert all(pulls)


async def test_many_links_of_some_namespaces_are_made_in_turn_with_those_of_another(world: World) -> None:
    for namespace in ("crowd", "mob"):
        crowd(world, 5, 40, namespace)
        world.accounts.hold(namespace)
    async with world.working():
        world.accounts.put()
        see(world)
        await settle()
        before = len(world.accounts.calls)
        for namespace in ("crowd", "mob"):
            world.accounts.release(namespace)
        await settle()
    assert world.accounts.calls.index(READ) - before < 12
    assert len(world.accounts.calls) == 2 * (400 + 1)


async def test_many_resources_of_one_service_account_cost_few_passes(world: World) -> None:
    world.accounts.put()
    async with world.working(workers=8):
        for number in range(400):
            see(world, name=f"r{number}", link_service_accounts=[{"name": "builder", "for": ["pull"]}])
            if number % 10 == 0:
                await world.clock.advance(0.01)
        await world.clock.advance(2)
        assert len(linked(world)[0]) == 400
    assert world.accounts.calls.count(WRITE) <= 40
    assert world.accounts.calls.count(READ) == world.accounts.calls.count(WRITE)


async def test_absent_service_accounts_of_one_namespace_are_looked_for_at_a_bounded_rate(
    world: World,
) -> None:
    for number in range(10):
        names = [{"name": f"a{number}-{link}", "for": ["pull"]} for link in range(60)]
        served(world, name=f"r{number}", link_service_accounts=names)
    async with world.working():
        await world.clock.advance(120)
        assert len(set(world.accounts.calls)) == 600
        before = len(world.accounts.calls)
        await world.clock.advance(60)
        assert 300 <= len(world.accounts.calls) - before <= 720


async def test_of_many_links_that_fail_a_resource_is_told_once_a_second(world: World) -> None:
    names = [{"name": f"a{link}", "for": ["pull"]} for link in range(100)]
    of = served(world, link_service_accounts=names)
    async with world.working():
        await world.clock.advance(2)
        assert world.condition(of, "Refreshed") == ("False", "LinkFailed")
        assert len(world.resources.written) <= 4


async def test_more_links_than_can_be_recorded_are_refused_until_there_are_fewer(
    world: World,
) -> None:
    name = "r" * 40
    world.accounts.put()
    for number in range(200):
        of = served(world, name=f"{name}{number}", link_service_accounts=BUILDER)
    async with world.working():
        await settle()
        assert len(linked(world)[0]) == 0
        await world.clock.advance(1)
        assert world.condition(of, "Refreshed") == ("False", "LinkFailed")
        for number in range(100, 200):
            world.see_deleted(served(world, name=f"{name}{number}", link_service_accounts=BUILDER))
        await world.clock.advance(30)
        assert len(linked(world)[0]) == 100


async def test_a_record_that_is_ignored_is_reported_once_and_replaced(world: World) -> None:
    served(world)
    account = view_account(world.accounts.put(**noted("gone")))
    ignored = replace(account, record=frozenset(), annotation=None, record_ignored=True)
    account_reconciler = AccountReconciler(world.cache, world.accounts, world.resources)
    with structlog.testing.capture_logs() as logs:
        account_reconciler.report_ignored(ignored)
        account_reconciler.report_ignored(ignored)
        account_reconciler.report_ignored(account)
    (line,) = logs
    assert (line["log_level"], line["namespace"], line["service_account"]) == ("warning", "team", "builder")
    assert plan(ignored, frozenset(), frozenset(), named=True) is None
    link = Link(secret=LOGIN, use="pull", by="web")
    change = plan(ignored, frozenset({link}), frozenset(), named=True)
    assert change is not None
    assert change.patch["metadata"]["annotations"] == {LINKS: f'{{"{LOGIN}":{{"pull":"web"}}}}'}
