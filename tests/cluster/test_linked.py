"""Links to ServiceAccounts on a real API server: merge patches, the watch by label, permissions, races."""

import asyncio
import json
from typing import Any

import pytest

from lab.api import ECR_SECRETS, ApiError
from lab.audit import Request
from lab.waiting import wait_for
from tests.cluster import linked, reading
from tests.cluster.builders import ecr_secret
from tests.cluster.linked import (
    ACCOUNT_WRITE,
    LABEL,
    LINKS,
    account,
    edit,
    get_account,
    link,
    until_linked,
)
from tests.cluster.scene import QUIET, SECRET_WRITE, STATUS_WRITE, Scene

LOGIN = "pull-login"
BOTH = [link("builder", "pull", "mount")]


# With links of its platform and of a person.
ACCOUNT = account(pull=("builder-dockercfg", "mine"), mount=("builder-dockercfg",))


async def test_links_follow_the_spec_and_leave_a_service_account_as_it_was(scene: Scene) -> None:
    await scene.create(ACCOUNT)
    before = linked.essence(await get_account(scene))
    await scene.create(ecr_secret(link_service_accounts=BOTH))
    async with scene.operator():
        await scene.ready("pull")
        after = await until_linked(
            scene, pull=["builder-dockercfg", "mine", LOGIN], mount=["builder-dockercfg", LOGIN]
        )
        assert json.loads(after["metadata"]["annotations"][LINKS]) == {
            LOGIN: {"mount": "pull", "pull": "pull"}
        }
        await scene.writes_are({ACCOUNT_WRITE: 1, SECRET_WRITE: 1, STATUS_WRITE: 1})
        await scene.change("pull", {"link_service_accounts": [link("builder", "mount")]})
        await until_linked(scene, pull=["builder-dockercfg", "mine"], mount=["builder-dockercfg", LOGIN])
        await scene.change("pull", {"link_service_accounts": None})
        await until_linked(scene, pull=["builder-dockercfg", "mine"], mount=["builder-dockercfg"])
    assert linked.essence(await get_account(scene)) == before


async def test_a_restart_with_links_in_place_costs_no_write(scene: Scene) -> None:
    await scene.create(ACCOUNT)
    await scene.create(account("default"), ecr_secret(link_service_accounts=[*BOTH, link("default", "pull")]))
    await scene.create(account("person", pull=("other-login",)))
    await scene.create(ecr_secret("other", link_service_accounts=[link("person", "pull")]))
    async with scene.operator():
        await scene.ready("pull", "other")
        await until_linked(
            scene, pull=["builder-dockercfg", "mine", LOGIN], mount=["builder-dockercfg", LOGIN]
        )
        await until_linked(scene, "default", pull=[LOGIN], mount=[])
        # A label alone marks a link that a person made.
        await scene.writes_are({ACCOUNT_WRITE: 3, SECRET_WRITE: 2, STATUS_WRITE: 2})
    scene.mark()
    scene.aws.calls.clear()
    async with scene.operator():
        await scene.watching(4)
        await scene.writes_are({})
        scene.mark()
        await asyncio.sleep(QUIET)
        assert {request.verb for request in scene.requests()} <= {"watch"}
    assert scene.aws.count() == 0


async def test_a_missing_permission_names_the_component_which_then_suffices(scene: Scene) -> None:
    await linked.limited(scene)
    await scene.create(account(), ecr_secret(link_service_accounts=BOTH), ecr_secret("other"))
    async with scene.operator() as operator:
        resource = await scene.told("pull", "False", "KubernetesForbidden")
        await scene.ready("other")
        assert reading.verdict(resource, "Ready") == ("True", "Refreshed")
        assert "config/rbac/link-service-accounts" in reading.condition(resource, "Refreshed")["message"]
        assert reading.verdict(resource, "Stalled") == ("True", "KubernetesForbidden")
        await linked.grant_component(scene)
        await until_linked(scene, pull=[LOGIN], mount=[LOGIN])
        await scene.ready("pull")
        await scene.delete("pull", ECR_SECRETS)
        await until_linked(scene, pull=[], mount=[])
        assert "unexpected error" not in operator.log.read_text()


async def test_without_links_the_operator_looks_for_some_once_and_needs_no_permission(scene: Scene) -> None:
    await linked.limited(scene)
    # The link that v0.6.0's guide tells to make by hand.
    await scene.create(account(mount=(LOGIN,)), ecr_secret())
    async with scene.operator() as operator:
        await scene.ready("pull")
        await asyncio.sleep(QUIET)
        assert "serviceaccounts" not in operator.log.read_text()
        assert '"level": "warning"' not in operator.log.read_text()
    asked = {request: count for request, count in scene.requests().items() if request[1] == "serviceaccounts"}
    assert asked == {Request("list", "serviceaccounts", ""): 1}
    assert linked.mounts(await get_account(scene)) == [LOGIN]


async def test_no_entry_is_lost_between_competing_writers(scene: Scene) -> None:
    await scene.create(ACCOUNT)
    names = [f"r{number}" for number in range(8)]
    await scene.create(*(ecr_secret(name, link_service_accounts=BOTH) for name in names))
    async with scene.operator():
        theirs = await asyncio.gather(
            linked.add_as_somebody(scene, "alpha", 40), linked.add_as_somebody(scene, "beta", 40)
        )
        await scene.ready(*names)
        linked_names = {f"{name}-login" for name in names}
        foreign = {"builder-dockercfg", *theirs[0], *theirs[1]}

        async def all_linked() -> Any:
            found = await get_account(scene)
            return found if linked_names <= set(linked.pulls(found)) else None

        found = await wait_for(all_linked, what="all of them linked")
        assert sorted(linked.pulls(found)) == sorted(foreign | linked_names | {"mine"})
        assert sorted(linked.mounts(found)) == sorted(foreign | linked_names)
        more = asyncio.create_task(linked.add_as_somebody(scene, "gamma", 40))
        for name in names:
            await scene.delete(name, ECR_SECRETS)
        foreign |= set(await more)

        async def undone() -> bool:
            return not linked_names & set(linked.pulls(await get_account(scene)))

        await wait_for(undone, what="all of them unlinked")
    found = await get_account(scene)
    assert sorted(linked.pulls(found)) == sorted(foreign | {"mine"})
    assert sorted(linked.mounts(found)) == sorted(foreign)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"imagePullSecrets": [{"name": "mine"}]}, id="the link taken out"),
        pytest.param({"metadata": {"labels": {LABEL: None}}, "imagePullSecrets": None}, id="the label too"),
        pytest.param(
            {"metadata": {"labels": {LABEL: None}, "annotations": {LINKS: None}}, "imagePullSecrets": []},
            id="all of it",
        ),
    ],
)
async def test_a_link_that_somebody_removes_is_restored(scene: Scene, damage: dict[str, Any]) -> None:
    await scene.create(account(), ecr_secret(link_service_accounts=[link("builder", "pull")]))
    async with scene.operator():
        await until_linked(scene, pull=[LOGIN], mount=[])
        await scene.watching(4)
        await edit(scene, damage)
        theirs = [entry["name"] for entry in damage["imagePullSecrets"] or ()]
        await until_linked(scene, pull=[*theirs, LOGIN], mount=[])
        await scene.change("pull", {"link_service_accounts": None})
        await until_linked(scene, pull=theirs, mount=[])


@pytest.mark.parametrize(
    "links", [[{"name": "builder"}], [{"for": ["pull"]}], [{"name": "builder", "for": "pull"}], "builder"]
)
async def test_the_schema_requires_the_fields_and_their_types(scene: Scene, links: object) -> None:
    with pytest.raises(ApiError, match=r"spec\.link_service_accounts"):
        await scene.create(ecr_secret(link_service_accounts=links))
