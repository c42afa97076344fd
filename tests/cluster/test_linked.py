"""Links to ServiceAccounts on a real API server: merge patches, the watch by label, permissions, races."""

import asyncio
import json
from typing import Any

import pytest

from lab.api import ECR_SECRETS, ApiError
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
from tests.cluster.scene import SECRET_WRITE, Scene

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
        # Not of the status, which shows Pending too where AWS takes its time.
        await scene.writes_are({ACCOUNT_WRITE: 1}, "builder")
        await scene.writes_are({SECRET_WRITE: 1}, LOGIN)
        await scene.change("pull", {"link_service_accounts": [link("builder", "mount")]})
        await until_linked(scene, pull=["builder-dockercfg", "mine"], mount=["builder-dockercfg", LOGIN])
        await scene.change("pull", {"link_service_accounts": None})
        await until_linked(scene, pull=["builder-dockercfg", "mine"], mount=["builder-dockercfg"])
    assert linked.essence(await get_account(scene)) == before


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


DAMAGES: dict[str, dict[str, Any]] = {
    "unlinked": {"imagePullSecrets": [{"name": "mine"}]},
    "unlabelled": {"metadata": {"labels": {LABEL: None}}, "imagePullSecrets": None},
    "emptied": {"metadata": {"labels": {LABEL: None}, "annotations": {LINKS: None}}, "imagePullSecrets": []},
}


async def test_a_link_that_somebody_removes_is_restored(scene: Scene) -> None:
    await scene.create(*map(account, DAMAGES))
    await scene.create(ecr_secret(link_service_accounts=[link(name, "pull") for name in DAMAGES]))
    async with scene.operator():
        for name in DAMAGES:
            await until_linked(scene, name, pull=[LOGIN], mount=[])
        await scene.watching(4)
        for name, damage in DAMAGES.items():
            await edit(scene, damage, name)
        for name, theirs in {"unlinked": ["mine"], "unlabelled": [], "emptied": []}.items():
            await until_linked(scene, name, pull=[*theirs, LOGIN], mount=[])


async def test_the_schema_requires_the_fields_and_their_types(scene: Scene) -> None:
    for links in (
        [{"name": "builder"}],
        [{"for": ["pull"]}],
        [{"name": "builder", "for": "pull"}],
        "builder",
    ):
        with pytest.raises(ApiError, match=r"spec\.link_service_accounts"):
            await scene.create(ecr_secret(link_service_accounts=links))
