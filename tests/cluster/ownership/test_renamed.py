"""A new generated_secret_name: the new Secret is created before the old one is deleted."""

import asyncio

from lab.api import ARGO_SECRETS, SECRETS
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, core_secret, ecr_secret
from tests.cluster.ownership.conflicts import controller, secret_writes
from tests.cluster.scene import Scene

ROUNDS = 3
FIRST = {"generated_secret_name": "name-0"}


async def _names(scene: Scene) -> set[str]:
    return {each["metadata"]["name"] for each in await scene.api.list(SECRETS, scene.namespace)}


async def _only(scene: Scene, *names: str) -> None:
    """Wait until the namespace holds these Secrets and no other."""

    async def so() -> bool:
        return await _names(scene) == set(names)

    await wait_for(so, what=f"the Secrets {names} and no other")


async def test_both_kinds_and_both_policies_make_the_new_secret_before_the_old_one_goes(scene: Scene) -> None:
    await scene.create(
        ecr_secret("pull"), ecr_secret("kept", deletion_policy="Orphan"), argo_secret("charts")
    )
    async with scene.operator():
        await scene.ready("pull", "kept")
        await scene.ready("charts", kind=ARGO_SECRETS)
        scene.mark()
        await scene.change("pull", {"generated_secret_name": "pull-new"})
        await scene.change("kept", {"generated_secret_name": "kept-new"})
        await scene.change("charts", {"generated_secret_name": "charts-new"}, ARGO_SECRETS)
        await _only(scene, "pull-new", "kept-new", "charts-new")
    for name in ("pull", "kept", "charts"):
        expected = [("patch", f"{name}-new"), ("delete", f"{name}-login")]
        await wait_for(lambda name=name, expected=expected: _writes(scene, name) == expected, what=name)


def _writes(scene: Scene, name: str) -> list[tuple[str, str]]:
    return [write for write in secret_writes(scene) if write[1].startswith(name)]


async def test_an_operator_that_is_killed_between_leaves_an_old_secret_that_the_next_one_deletes(
    scene: Scene,
) -> None:
    await scene.create(ecr_secret("pull", **FIRST))
    for number in range(1, ROUNDS + 1):
        async with scene.operator() as operator:
            # What the one before has left behind is deleted.
            await _only(scene, f"name-{number - 1}")
            await scene.ready("pull")
            await scene.change("pull", {"generated_secret_name": f"name-{number}"})
            await _appears(scene, f"name-{number}")
            await operator.kill()
    async with scene.operator():
        await _only(scene, f"name-{ROUNDS}")
        await scene.ready("pull")


async def _appears(scene: Scene, name: str) -> None:
    """Wait for a Secret without a pause, so that the kill comes as soon after it as can be."""
    path = f"/api/v1/namespaces/{scene.namespace}/secrets"
    one = {"fieldSelector": f"metadata.name={name}", "limit": "1"}
    for _ in range(10_000):
        if (await scene.api.request("GET", path, query=one))["items"]:
            return
    raise TimeoutError(name)


async def test_an_old_secret_that_belongs_to_somebody_else_by_now_is_not_deleted(scene: Scene) -> None:
    await scene.create(ecr_secret("given"), ecr_secret("replaced"))
    async with scene.operator():
        await scene.ready("given", "replaced")
    given = {"metadata": {"ownerReferences": [await controller(scene)]}}
    before = [await scene.patch_secret("given-login", given)]
    await scene.delete("replaced-login")
    before.append(await scene.api.create(core_secret("replaced-login"), scene.namespace))
    for name in ("given", "replaced"):
        await scene.change(name, {"generated_secret_name": f"{name}-new"})
    async with scene.operator():
        await scene.ready("given", "replaced")
        await asyncio.sleep(1)
    assert await scene.secrets("given-login", "replaced-login") == before
    assert await _names(scene) == {"given-login", "given-new", "replaced-login", "replaced-new"}
