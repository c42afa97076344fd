"""Links to service accounts: made, kept, undone, and never at somebody else's cost."""

import asyncio
import json
from typing import Any

import pytest

from lab.api import ECR_SECRETS, SERVICE_ACCOUNTS, ApiError
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


@pytest.fixture
async def plain(scene: Scene) -> Scene:
    """A stage with a ServiceAccount that has links of its platform and of a person."""
    await scene.create(account(pull=("builder-dockercfg", "mine"), mount=("builder-dockercfg",)))
    return scene


async def test_a_secret_is_linked_as_asked_and_unlinked_when_that_is_taken_out(plain: Scene) -> None:
    before = linked.essence(await get_account(plain))
    await plain.create(ecr_secret(link_service_accounts=BOTH))
    async with plain.operator():
        await plain.ready("pull")
        after = await until_linked(
            plain, pull=["builder-dockercfg", "mine", LOGIN], mount=["builder-dockercfg", LOGIN]
        )
        assert json.loads(after["metadata"]["annotations"][LINKS]) == {
            LOGIN: {"mount": "pull", "pull": "pull"}
        }
        await plain.writes_are({ACCOUNT_WRITE: 1, SECRET_WRITE: 1, STATUS_WRITE: 1})
        await plain.change("pull", {"link_service_accounts": [link("builder", "mount")]})
        await until_linked(
            plain, pull=["builder-dockercfg", "mine"], mount=["builder-dockercfg", LOGIN], within=2
        )
        await plain.change("pull", {"link_service_accounts": None})
        await until_linked(plain, pull=["builder-dockercfg", "mine"], mount=["builder-dockercfg"], within=2)
    assert linked.essence(await get_account(plain)) == before


async def test_a_link_that_a_person_made_is_never_taken_away(scene: Scene) -> None:
    await scene.create(account(mount=(LOGIN,)), ecr_secret(link_service_accounts=BOTH))
    async with scene.operator():
        await scene.ready("pull")
        await until_linked(scene, pull=[LOGIN], mount=[LOGIN])
        await scene.change("pull", {"link_service_accounts": None})
        await until_linked(scene, pull=[], mount=[LOGIN])
        await scene.change("pull", {"link_service_accounts": [link("builder", "mount")]})
        await scene.ready("pull")
        await scene.delete("pull", ECR_SECRETS)
        await asyncio.sleep(QUIET)
        assert linked.mounts(await get_account(scene)) == [LOGIN]


async def test_a_persons_link_that_is_taken_out_by_hand_is_made_again_as_the_operators(scene: Scene) -> None:
    await scene.create(account(pull=(LOGIN,)), ecr_secret(link_service_accounts=[link("builder", "pull")]))
    async with scene.operator():
        await scene.ready("pull")
        await scene.watching(4)
        await scene.writes_are({ACCOUNT_WRITE: 1, SECRET_WRITE: 1, STATUS_WRITE: 1})
        assert LINKS not in (await get_account(scene))["metadata"].get("annotations", {})
        await edit(scene, {"imagePullSecrets": []})
        await until_linked(scene, pull=[LOGIN], mount=[], within=2)
        await scene.delete("pull", ECR_SECRETS)
        await until_linked(scene, pull=[], mount=[])


async def test_links_of_v0_6_0s_guide_go_on_without_a_word_in_the_spec(scene: Scene) -> None:
    await scene.create(account(mount=(LOGIN,)), ecr_secret())
    async with scene.operator():
        await scene.ready("pull")
        await scene.writes_are({SECRET_WRITE: 1, STATUS_WRITE: 1})
    assert linked.mounts(await get_account(scene)) == [LOGIN]


async def test_links_go_with_their_resource(plain: Scene) -> None:
    await plain.create(
        ecr_secret(link_service_accounts=BOTH), ecr_secret("other", link_service_accounts=BOTH)
    )
    async with plain.operator():
        await plain.ready("pull", "other")
        await plain.delete("pull", ECR_SECRETS)
        await until_linked(
            plain,
            pull=["builder-dockercfg", "mine", "other-login"],
            mount=["builder-dockercfg", "other-login"],
        )


async def test_what_was_deleted_while_nobody_looked_is_swept_at_the_start(plain: Scene) -> None:
    before = linked.essence(await get_account(plain))
    await plain.create(ecr_secret(link_service_accounts=BOTH))
    async with plain.operator():
        await until_linked(
            plain, pull=["builder-dockercfg", "mine", LOGIN], mount=["builder-dockercfg", LOGIN]
        )
    await plain.delete("pull", ECR_SECRETS)
    plain.mark()
    async with plain.operator():
        await until_linked(plain, pull=["builder-dockercfg", "mine"], mount=["builder-dockercfg"])
        await plain.writes_are({ACCOUNT_WRITE: 1})
    assert linked.essence(await get_account(plain)) == before


async def test_a_restart_with_links_in_place_costs_no_write(plain: Scene) -> None:
    await plain.create(account("default"), ecr_secret(link_service_accounts=[*BOTH, link("default", "pull")]))
    await plain.create(account("person", pull=("other-login",)))
    await plain.create(ecr_secret("other", link_service_accounts=[link("person", "pull")]))
    async with plain.operator():
        await plain.ready("pull", "other")
        await until_linked(
            plain, pull=["builder-dockercfg", "mine", LOGIN], mount=["builder-dockercfg", LOGIN]
        )
        await until_linked(plain, "default", pull=[LOGIN], mount=[])
        # A label alone marks a link that a person made.
        await plain.writes_are({ACCOUNT_WRITE: 3, SECRET_WRITE: 2, STATUS_WRITE: 2})
    plain.mark()
    plain.aws.calls.clear()
    async with plain.operator():
        await plain.watching(4)
        await plain.writes_are({})
        plain.mark()
        await asyncio.sleep(QUIET)
        assert {request.verb for request in plain.requests()} <= {"watch"}
    assert plain.aws.count() == 0


async def test_without_links_service_accounts_are_not_asked_for_but_once(scene: Scene) -> None:
    await scene.create(account(), ecr_secret())
    async with scene.operator():
        await scene.ready("pull")
        await asyncio.sleep(QUIET)
    asked = {request: count for request, count in scene.requests().items() if request[1] == "serviceaccounts"}
    assert asked == {Request("list", "serviceaccounts", ""): 1}


async def test_a_service_account_that_appears_later_is_linked_then(scene: Scene) -> None:
    await scene.create(ecr_secret(link_service_accounts=BOTH))
    async with scene.operator():
        resource = await scene.told("pull", "False", "LinkFailed")
        assert reading.verdict(resource, "Ready") == ("True", "Refreshed")
        assert reading.condition(resource, "Stalled") == {}
        assert resource["status"]["phase"] == "Updated"
        said = reading.condition(resource, "Refreshed")["message"]
        assert "ServiceAccount builder" in said
        assert "it is linked when it appears" in said
        await scene.create(account())
        await until_linked(scene, pull=[LOGIN], mount=[LOGIN], within=6)
        await scene.ready("pull", within=2)
        await scene.delete("builder", SERVICE_ACCOUNTS)
        await scene.told("pull", "False", "LinkFailed", within=2)
        await scene.create(account())
        await until_linked(scene, pull=[LOGIN], mount=[LOGIN], within=6)
        await scene.ready("pull", within=2)


async def test_a_missing_right_names_the_component_which_then_suffices(scene: Scene) -> None:
    await linked.limited(scene)
    await scene.create(account(), ecr_secret(link_service_accounts=BOTH), ecr_secret("other"))
    async with scene.operator() as operator:
        resource = await scene.told("pull", "False", "KubernetesForbidden")
        await scene.ready("other")
        assert reading.verdict(resource, "Ready") == ("True", "Refreshed")
        assert "config/rbac/link-service-accounts" in reading.condition(resource, "Refreshed")["message"]
        assert reading.verdict(resource, "Stalled") == ("True", "KubernetesForbidden")
        await linked.grant_component(scene)
        await until_linked(scene, pull=[LOGIN], mount=[LOGIN], within=15)
        await scene.ready("pull")
        await scene.delete("pull", ECR_SECRETS)
        await until_linked(scene, pull=[], mount=[])
        assert "unexpected error" not in operator.log.read_text()


async def test_without_links_a_missing_right_is_taken_calmly(scene: Scene) -> None:
    await linked.limited(scene)
    await scene.create(ecr_secret())
    async with scene.operator() as operator:
        await scene.ready("pull")
        await asyncio.sleep(QUIET)
        assert "serviceaccounts" not in operator.log.read_text()
        assert '"level": "warning"' not in operator.log.read_text()


async def test_no_entry_is_lost_between_competing_writers(plain: Scene) -> None:
    names = [f"r{number}" for number in range(8)]
    await plain.create(*(ecr_secret(name, link_service_accounts=BOTH) for name in names))
    async with plain.operator():
        theirs = await asyncio.gather(
            linked.add_as_somebody(plain, "alpha", 40), linked.add_as_somebody(plain, "beta", 40)
        )
        await plain.ready(*names)
        linked_names = {f"{name}-login" for name in names}
        foreign = {"builder-dockercfg", *theirs[0], *theirs[1]}

        async def all_linked() -> Any:
            found = await get_account(plain)
            return found if linked_names <= set(linked.pulls(found)) else None

        found = await wait_for(all_linked, 10, "all of them linked")
        assert sorted(linked.pulls(found)) == sorted(foreign | linked_names | {"mine"})
        assert sorted(linked.mounts(found)) == sorted(foreign | linked_names)
        more = asyncio.create_task(linked.add_as_somebody(plain, "gamma", 40))
        for name in names:
            await plain.delete(name, ECR_SECRETS)
        foreign |= set(await more)

        async def undone() -> bool:
            return not linked_names & set(linked.pulls(await get_account(plain)))

        await wait_for(undone, 10, "all of them unlinked")
    found = await get_account(plain)
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
async def test_a_link_that_somebody_takes_out_is_put_back(scene: Scene, damage: dict[str, Any]) -> None:
    await scene.create(account(), ecr_secret(link_service_accounts=[link("builder", "pull")]))
    async with scene.operator():
        await until_linked(scene, pull=[LOGIN], mount=[])
        await scene.watching(4)
        await edit(scene, damage)
        theirs = [entry["name"] for entry in damage["imagePullSecrets"] or ()]
        await until_linked(scene, pull=[*theirs, LOGIN], mount=[], within=2)
        await scene.change("pull", {"link_service_accounts": None})
        await until_linked(scene, pull=theirs, mount=[], within=2)


async def test_a_fight_over_a_link_is_had_at_a_bounded_rate(scene: Scene) -> None:
    await scene.create(account(), ecr_secret(link_service_accounts=BOTH))
    async with scene.operator():
        await scene.ready("pull")

        async def contested() -> bool:
            await edit(scene, {"imagePullSecrets": [], "secrets": []})
            said = reading.condition(await scene.resource("pull"), "Refreshed")
            return bool(said["reason"] == "LinkFailed" and "bounded rate" in said["message"])

        await wait_for(contested, 20, "the fight told")
        assert reading.verdict(await scene.resource("pull"), "Ready") == ("True", "Refreshed")
        assert scene.writes()[ACCOUNT_WRITE] <= 7


async def test_a_renamed_secret_takes_its_links_with_it(plain: Scene) -> None:
    await plain.create(ecr_secret(link_service_accounts=BOTH))
    async with plain.operator():
        await until_linked(
            plain, pull=["builder-dockercfg", "mine", LOGIN], mount=["builder-dockercfg", LOGIN]
        )
        plain.mark()
        await plain.change("pull", {"generated_secret_name": "renamed"})
        await until_linked(
            plain, pull=["builder-dockercfg", "mine", "renamed"], mount=["builder-dockercfg", "renamed"]
        )
        await plain.ready("pull")
        assert plain.writes()[ACCOUNT_WRITE] == 1

        async def old_is_gone() -> bool:
            return await plain.find_secret(LOGIN) is None

        await wait_for(old_is_gone, 5, "the old Secret deleted")


async def test_a_suspended_resource_is_neither_linked_nor_unlinked(scene: Scene) -> None:
    await scene.create(account(), account("late"), ecr_secret(link_service_accounts=BOTH))
    async with scene.operator():
        await until_linked(scene, pull=[LOGIN], mount=[LOGIN])
        await scene.change("pull", {"suspend": True, "link_service_accounts": [link("late", "pull")]})
        await scene.told("pull", "Unknown", "Suspended")
        await edit(scene, {"metadata": {"annotations": {"note": "hello"}}})
        await asyncio.sleep(QUIET)
        await until_linked(scene, pull=[LOGIN], mount=[LOGIN])
        assert linked.pulls(await get_account(scene, "late")) == []
        await scene.change("pull", {"suspend": None})
        await until_linked(scene, "late", pull=[LOGIN], mount=[])
        await until_linked(scene, pull=[], mount=[])


async def test_an_orphaned_secret_keeps_its_links(scene: Scene) -> None:
    await scene.create(account(), ecr_secret(link_service_accounts=BOTH, deletion_policy="Orphan"))
    async with scene.operator():
        await until_linked(scene, pull=[LOGIN], mount=[LOGIN])
        await scene.delete("pull", ECR_SECRETS)
        await asyncio.sleep(QUIET)
        await until_linked(scene, pull=[LOGIN], mount=[LOGIN])
    scene.mark()
    async with scene.operator():
        await scene.watching(4)
        await scene.writes_are({})
        await scene.delete(LOGIN)
        await until_linked(scene, pull=[], mount=[])


BAD = [
    pytest.param([link("builder", "push")], '"push" is not valid', id="a use that is none"),
    pytest.param([{"name": "builder", "for": []}], "is empty", id="no use"),
    pytest.param([link("Builder")], "is not a valid ServiceAccount name", id="a name in capitals"),
    pytest.param([link("../default")], "is not a valid ServiceAccount name", id="a name that is a path"),
    pytest.param([link(), link("builder", "mount")], "twice", id="a name twice"),
]


@pytest.mark.parametrize(("links", "words"), BAD)
async def test_bad_links_are_told_while_the_token_is_kept_alive(
    scene: Scene, links: list[dict[str, Any]], words: str
) -> None:
    scene.aws.token_life = 6
    await scene.create(account(), ecr_secret(link_service_accounts=BOTH))
    async with scene.operator():
        await until_linked(scene, pull=[LOGIN], mount=[LOGIN])
        await scene.change("pull", {"link_service_accounts": links})
        told = await scene.told("pull", "False", "InvalidSpec", within=2)
        assert words in reading.condition(told, "Refreshed")["message"]
        first = (await scene.token(LOGIN)).serial

        async def renewed() -> bool:
            return (await scene.token(LOGIN)).serial > first

        await wait_for(renewed, 8, "a refresh by expiry")
        await until_linked(scene, pull=[LOGIN], mount=[LOGIN])


@pytest.mark.parametrize(
    "links", [[{"name": "builder"}], [{"for": ["pull"]}], [{"name": "builder", "for": "pull"}], "builder"]
)
async def test_the_schema_wants_the_fields_and_their_types(scene: Scene, links: object) -> None:
    with pytest.raises(ApiError, match=r"spec\.link_service_accounts"):
        await scene.create(ecr_secret(link_service_accounts=links))
