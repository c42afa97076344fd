"""With its resource goes the generated Secret: by ownerReference and Kubernetes' own garbage collector."""

import asyncio

import pytest

from lab.api import ECR_SECRETS
from lab.control_plane import ControlPlane
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.scene import QUIET, Scene

# The collector looks for new kinds every 30 s, and it may just have been started.
COLLECTED = 45.0


@pytest.fixture
async def collected(garbage_collector: ControlPlane, scene: Scene) -> Scene:
    """A stage where a resource `pull` with its Secret is ready to go."""
    assert scene.plane is garbage_collector
    await scene.create(ecr_secret("pull"))
    return scene


async def test_a_secret_is_collected_with_its_resource_and_not_made_again(collected: Scene) -> None:
    async with collected.operator() as operator:
        await collected.ready("pull")
        await collected.delete("pull", ECR_SECRETS)
        await wait_for(lambda: _is_gone(collected), COLLECTED, "the Secret collected")
        await asyncio.sleep(QUIET)
        assert await _is_gone(collected)
        assert '"level": "warning"' not in operator.log.read_text()


async def test_a_resource_made_again_under_its_old_name_has_a_secret_of_its_own(collected: Scene) -> None:
    async with collected.operator():
        await collected.ready("pull")
        await collected.delete("pull", ECR_SECRETS)
        await collected.create(ecr_secret("pull"))
        (resource,) = await collected.ready("pull", within=COLLECTED)
        (owner,) = (await collected.secret("pull-login"))["metadata"]["ownerReferences"]
    assert owner["uid"] == resource["metadata"]["uid"]
    assert collected.aws.count() == 1


async def test_a_secret_goes_while_no_operator_runs(collected: Scene) -> None:
    async with collected.operator():
        await collected.ready("pull")
    await collected.delete("pull", ECR_SECRETS)
    await wait_for(lambda: _is_gone(collected), COLLECTED, "the Secret collected")
    collected.mark()
    async with collected.operator():
        await collected.watching()
        await collected.writes_are({})
    assert await _is_gone(collected)


async def _is_gone(scene: Scene) -> bool:
    return await scene.find_secret("pull-login") is None
