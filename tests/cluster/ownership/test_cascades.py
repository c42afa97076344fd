"""While a resource is being deleted nothing is written for it, whichever way it is deleted."""

import asyncio

import pytest

from lab.api import ARGO_SECRETS, ECR_SECRETS, Json, Resource
from lab.control_plane import ControlPlane
from lab.waiting import wait_for
from tests.cluster import linked
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.linked import account, get_account, link, until_linked
from tests.cluster.ownership.conflicts import accepted, owner_reference, secret_writes
from tests.cluster.scene import QUIET, SECRET_WRITE, STATUS_WRITE, Scene

# The collector may just have been started, and looks for new kinds every 30 s.
COLLECTED = 45.0
MANY = [f"pull{number}" for number in range(20)]
HOLD = "example.com/hold"


@pytest.fixture
async def stage(garbage_collector: ControlPlane, scene: Scene) -> Scene:
    """A stage on the plane with the garbage collector, which knows our kinds."""
    assert scene.plane is garbage_collector
    await scene.create(ecr_secret("first"))
    async with scene.operator():
        await scene.ready("first")
        await _delete(scene, "first", "Background")
        await wait_for(lambda: _are_gone(scene, "first-login"), COLLECTED, "the collector at work")
    return scene


async def _delete(scene: Scene, name: str, propagation: str, kind: Resource = ECR_SECRETS) -> None:
    path = kind.path(name, scene.namespace)
    await scene.api.request("DELETE", path, query={"propagationPolicy": propagation})


async def _are_gone(scene: Scene, *secrets: str) -> bool:
    return not any([await scene.find_secret(name) for name in secrets])


async def _resources_are_gone(scene: Scene) -> bool:
    return not await scene.api.list(ECR_SECRETS, scene.namespace)


async def _until_gone(scene: Scene) -> None:
    await wait_for(lambda: _resources_are_gone(scene), COLLECTED, "the resources gone")


def _kept(secret: Json) -> tuple[str, Json]:
    return secret["metadata"]["uid"], secret["data"]


async def test_with_cascade_orphan_every_secret_stays_and_is_taken_back_by_a_resource_of_that_name(
    stage: Scene,
) -> None:
    await stage.create(*(ecr_secret(name) for name in MANY))
    async with stage.operator():
        await stage.ready(*MANY)
        before = {name: _kept(await stage.secret(f"{name}-login")) for name in MANY}
        stage.mark()
        await asyncio.gather(*(_delete(stage, name, "Orphan") for name in MANY))
        await _until_gone(stage)
        # What the collector would take it takes now.
        await asyncio.sleep(2 * QUIET)
        left = {name: await stage.secret(f"{name}-login") for name in MANY}
        assert {name: _kept(secret) for name, secret in left.items()} == before
        assert not any("ownerReferences" in secret["metadata"] for secret in left.values())
        assert not accepted(stage)
        await stage.create(*(ecr_secret(name) for name in MANY))
        resources = await stage.ready(*MANY)
    for name, resource in zip(MANY, resources, strict=True):
        after = await stage.secret(f"{name}-login")
        assert _kept(after) == before[name]
        assert after["metadata"]["ownerReferences"] == [owner_reference(resource)]
    assert stage.aws.count() == 2


async def test_with_cascade_orphan_while_tokens_are_renewed_every_secret_stays(stage: Scene) -> None:
    stage.aws.token_life = 3
    await stage.create(*(ecr_secret(name) for name in MANY))
    async with stage.operator():
        await stage.ready(*MANY)
        for name in MANY:
            await _delete(stage, name, "Orphan")
            await asyncio.sleep(0.1)
        await _until_gone(stage)
        await asyncio.sleep(2 * QUIET)
        left = [await stage.secret(f"{name}-login") for name in MANY]
    assert not any("ownerReferences" in secret["metadata"] for secret in left)


@pytest.mark.parametrize("propagation", ["Foreground", "Background"])
async def test_what_the_collector_deletes_is_never_made_again(stage: Scene, propagation: str) -> None:
    await stage.create(*(ecr_secret(name) for name in MANY), argo_secret("charts"))
    async with stage.operator():
        await stage.ready(*MANY)
        await stage.ready("charts", kind=ARGO_SECRETS)
        stage.mark()
        await _delete(stage, "charts", propagation, ARGO_SECRETS)
        await asyncio.gather(*(_delete(stage, name, propagation) for name in MANY))
        await _until_gone(stage)
        secrets = [f"{name}-login" for name in (*MANY, "charts")]
        await wait_for(lambda: _are_gone(stage, *secrets), COLLECTED, "the Secrets collected")
        await asyncio.sleep(QUIET)
        assert await _are_gone(stage, *secrets)
    assert secret_writes(stage) == []
    assert not accepted(stage)


async def test_a_resource_that_a_finalizer_keeps_is_neither_renewed_nor_repaired_nor_reported(
    stage: Scene,
) -> None:
    held = ecr_secret(link_service_accounts=[link()])
    held["metadata"]["finalizers"] = [HOLD]
    await stage.create(account(), held, ecr_secret("other"))
    stage.aws.token_life = 4
    async with stage.operator():
        await stage.ready("pull", "other")
        await until_linked(stage, pull=["pull-login"], mount=[])
        await _delete(stage, "pull", "Background")
        await asyncio.sleep(QUIET)
        before = await stage.resource("pull")
        stage.mark()
        await stage.delete("pull-login")
        await linked.edit(stage, {"imagePullSecrets": []})
        # Past its token's end.
        await wait_for(lambda: stage.writes("other")[STATUS_WRITE] >= 2, 20, "two renewals of the other")
        assert await stage.find_secret("pull-login") is None
        assert (await stage.resource("pull"))["status"] == before["status"]
        assert set(stage.writes()) == {SECRET_WRITE, STATUS_WRITE}
        assert not stage.writes("pull")
        assert linked.pulls(await get_account(stage)) == []
        patch = {"metadata": {"finalizers": None}}
        await stage.api.merge_patch(ECR_SECRETS, "pull", patch, stage.namespace)
        await wait_for(lambda: _is_unrecorded(stage), 5, "the record of the link gone")
    assert await stage.find_secret("pull-login") is None


async def _is_unrecorded(scene: Scene) -> bool:
    return linked.LINKS not in (await get_account(scene))["metadata"].get("annotations", {})


async def test_after_a_restart_a_resource_in_deletion_is_left_alone(stage: Scene) -> None:
    held = ecr_secret()
    held["metadata"]["finalizers"] = [HOLD]
    await stage.create(held)
    async with stage.operator():
        await stage.ready("pull")
    await _delete(stage, "pull", "Background")
    await stage.delete("pull-login")
    before = await stage.resource("pull")
    stage.mark()
    async with stage.operator():
        await stage.watching()
        await stage.writes_are({})
        assert await stage.resource("pull") == before
    await stage.api.merge_patch(ECR_SECRETS, "pull", {"metadata": {"finalizers": None}}, stage.namespace)
