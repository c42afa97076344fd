"""A Secret that is somebody else's is never touched."""

import asyncio

import pytest

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Json
from lab.control_plane import ControlPlane
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, config_map, core_secret, ecr_secret
from tests.cluster.scene import STATUS_WRITE, Scene

OURS = {"app.kubernetes.io/managed-by": "ecr-secret-operator"}
SHARED = {"generated_secret_name": "shared"}
# What stands in a conflict is looked at again every 30 s.
LOOKED_AT_AGAIN = 31.5


async def test_foreign_secrets_stay_as_they_are_to_the_byte_and_their_names_are_taken_once_free(
    scene: Scene,
) -> None:
    await scene.create(config_map("chart"))
    foreign = {
        "plain": (core_secret("plain-login"), "kubectl-create"),
        "owned": (core_secret("owned-login", ownerReferences=[await _controller(scene)]), "ConfigMap chart"),
        "labelled": (core_secret("labelled-login", labels=OURS), "kubectl-create"),
    }
    for name, (manifest, _) in foreign.items():
        await _create_as(scene, "kubectl-create", manifest)
        await scene.create(ecr_secret(name))
    before = {name: await scene.secret(f"{name}-login") for name in foreign}
    async with scene.operator():
        for name, (_, owner) in foreign.items():
            resource = await scene.told(name, "False", "SecretConflict")
            assert owner in reading.condition(resource, "Refreshed")["message"]
            assert reading.verdict(resource, "Ready") == ("False", "SecretConflict")
            assert reading.verdict(resource, "Stalled") == ("True", "SecretConflict")
        assert scene.writes()[STATUS_WRITE] == len(foreign)
        assert {name: await scene.secret(f"{name}-login") for name in foreign} == before
        for name in foreign:
            await scene.delete(f"{name}-login")
        await scene.ready("labelled", within=1)
        await scene.ready("plain", "owned", within=LOOKED_AT_AGAIN)
    assert scene.aws.count() == 1


async def _create_as(scene: Scene, manager: str, manifest: Json) -> None:
    path = SECRETS.path(None, scene.namespace)
    await scene.api.request("POST", path, body=manifest, query={"fieldManager": manager})


async def _controller(scene: Scene) -> Json:
    owner = await scene.api.request("GET", f"/api/v1/namespaces/{scene.namespace}/configmaps/chart")
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "chart",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }


async def test_a_rename_onto_a_foreign_secret_touches_neither_it_nor_the_old_one(scene: Scene) -> None:
    await scene.create(core_secret("taken"), ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        before = [await scene.secret(name) for name in ("taken", "pull-login")]
        await scene.change("pull", {"generated_secret_name": "taken"})
        await scene.told("pull", "False", "SecretConflict", within=2)
        assert [await scene.secret(name) for name in ("taken", "pull-login")] == before
        await scene.change("pull", {"generated_secret_name": "pull-login"})
        await scene.ready("pull", within=1)
    assert await scene.secret("pull-login") == before[1]


async def test_of_two_resources_with_one_secret_the_older_gets_it_and_the_younger_follows(
    garbage_collector: ControlPlane, scene: Scene
) -> None:
    assert scene.plane is garbage_collector
    await scene.create(argo_secret("older", **SHARED))
    await asyncio.sleep(1.1)  # creationTimestamp has seconds
    await scene.create(ecr_secret("younger", **SHARED))
    async with scene.operator():
        await scene.ready("older", kind=ARGO_SECRETS)
        younger = await scene.told("younger", "False", "SecretConflict")
        assert "ArgoHelmRepoSecret older" in reading.condition(younger, "Refreshed")["message"]
        await scene.delete("older", ARGO_SECRETS)
        await scene.ready("younger", within=45)
    assert (await scene.secret("shared"))["type"] == "kubernetes.io/dockerconfigjson"


async def test_a_younger_resource_does_not_take_a_name_from_the_one_that_has_it(scene: Scene) -> None:
    await scene.create(ecr_secret("first", **SHARED))
    async with scene.operator():
        await scene.ready("first")
        # Ages are in whole seconds, and equals are ordered by uid.
        await asyncio.sleep(1.1)
        await scene.create(ecr_secret("second", **SHARED, region="eu-west-1"))
        await scene.told("second", "False", "SecretConflict", within=2)
        before = reading.essence(await scene.secret("shared"))
        await scene.delete("shared")
        restored = await wait_for(lambda: scene.find_secret("shared"), 1, "the Secret made again")
        assert reading.essence(restored) == before
        await scene.delete("second", ECR_SECRETS)
    assert reading.token(await scene.secret("shared")).region == "us-east-1"


@pytest.mark.parametrize("name", ["default-token", "pull-login"])
async def test_a_foreign_secret_without_a_resource_is_never_read(scene: Scene, name: str) -> None:
    await scene.create(core_secret(name, labels=OURS))
    async with scene.operator():
        await scene.watching()
        await scene.writes_are({})
    # The namespace in WATCH_NAMESPACE is read, whose absence would be told.
    assert {request.resource for request in scene.requests() if request.verb == "get"} == {"namespaces"}
