"""A scene as the swap of the image leaves it: v0.6.0's CRDs, and an operator with v0.6.0's rights."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from lab.api import Api
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.cluster.ownership import v060
from tests.cluster.scene import Scene

OPERATORS_NAMESPACE = "ecr-secret-operator"


@pytest.fixture(scope="module")
def old_plane() -> Iterator[ControlPlane]:
    """A control plane for v0.6.0's CRDs."""
    with ControlPlane() as plane:
        yield plane


@pytest.fixture
async def old(old_plane: ControlPlane, aws: LocalAws) -> AsyncIterator[Scene]:
    """A scene on that plane, whose operators have v0.6.0's rights and no other."""
    async with old_plane.api() as api:
        await _install(api)
        await asyncio.to_thread(old_plane.start_controller_manager)
        scene = Scene(plane=old_plane, api=api, aws=aws, namespace=await api.create_namespace("old"))
        for manifest in v060.rights(scene.user):
            await api.apply(manifest)
        scene.kubeconfig = old_plane.write_kubeconfig(scene.user, namespace=OPERATORS_NAMESPACE)
        yield scene
        await scene.clear()


async def _install(api: Api) -> None:
    """Apply the CRDs and create the operator's namespace, and wait until all of it is served."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATORS_NAMESPACE}}
    for manifest in (namespace, *v060.crds()):
        await api.apply(manifest)
    await api.crds_served(each["metadata"]["name"] for each in v060.crds())
