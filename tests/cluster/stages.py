"""What the tests of this folder run on: scenes and neighbours on control planes that many tests share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from typing import Any, NamedTuple

from lab.api import ECR_SECRETS, SECRETS
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.waiting import wait_for
from tests.cluster.attacks.neighbours import Neighbours, install_editors, new_neighbours
from tests.cluster.builders import core_secret, ecr_secret
from tests.cluster.ownership import v060
from tests.cluster.scene import Scene
from tests.conftest import install

Prepare = Callable[[ControlPlane], Awaitable[object]]
Logs = list[str]
OPERATORS_NAMESPACE = "ecr-secret-operator"


class Planes:
    """Control planes by name, each started and prepared once, with its first test."""

    def __init__(self, shared: ControlPlane, stack: ExitStack) -> None:
        """Use a plane that runs as `shared`; the others end with the stack."""
        self.shared = shared
        self._stack = stack
        self._started: dict[str, asyncio.Task[ControlPlane]] = {}

    async def get(self, name: str, prepare: Prepare) -> ControlPlane:
        """Return a plane."""
        if name not in self._started:
            self._started[name] = asyncio.create_task(self._start(name, prepare))
        return await asyncio.shield(self._started[name])

    async def _start(self, name: str, prepare: Prepare) -> ControlPlane:
        plane = self.shared
        if name != COLLECTED:
            plane = await asyncio.to_thread(self._stack.enter_context, ControlPlane())
        await prepare(plane)
        return plane


COLLECTED = "collected"


@asynccontextmanager
async def _scene_on(plane: ControlPlane, logs: Logs, prefix: str = "test") -> AsyncIterator[Scene]:
    async with plane.api() as api, LocalAws() as aws:
        namespace = await api.create_namespace(prefix)
        scene = Scene(plane=plane, api=api, aws=aws, namespace=namespace, show=logs.append)
        yield scene
        await scene.clear()
        await api.end_namespace(namespace)
        assert scene.refusals() == []


@asynccontextmanager
async def _scene(planes: Planes, logs: Logs) -> AsyncIterator[Scene]:
    """A scene on the shared plane; fails if the operator asks for more than its role allows."""
    async with _scene_on(planes.shared, logs) as scene:
        yield scene


@asynccontextmanager
async def _collected(planes: Planes, logs: Logs) -> AsyncIterator[Scene]:
    """The same with the garbage collector at work."""
    async with _scene_on(await planes.get(COLLECTED, _collect), logs) as scene:
        yield scene


async def _collect(plane: ControlPlane) -> None:
    """Start the garbage collector, and wait until it deletes; it looks for new kinds every 30 s."""
    await asyncio.to_thread(plane.start_controller_manager)
    async with plane.api() as api:
        namespace = await api.create_namespace()
        owner = await api.create(ecr_secret(), namespace)
        reference = {"apiVersion": owner["apiVersion"], "kind": "Secret", "name": "pull"}
        reference |= {"uid": owner["metadata"]["uid"]}
        await api.create(core_secret("owned", ownerReferences=[reference]), namespace)
        await api.delete(ECR_SECRETS, "pull", namespace)

        async def gone() -> bool:
            return await api.find(SECRETS, "owned", namespace) is None

        await wait_for(gone, 90, "the garbage collector at work")


@asynccontextmanager
async def _rough(planes: Planes, logs: Logs) -> AsyncIterator[Scene]:
    """A scene on a plane that tests may stop, freeze and strip of its CRDs; they leave it running."""
    plane = await planes.get("rough", install)
    async with plane.api() as api:
        await api.install_crds()
    async with _scene_on(plane, logs, "rough") as scene:
        yield scene


@asynccontextmanager
async def _old(planes: Planes, logs: Logs) -> AsyncIterator[Scene]:
    """A scene as the swap of the image leaves it: v0.6.0's CRDs, and operators with v0.6.0's rights only."""
    plane = await planes.get("old", _install_v060)
    async with _scene_on(plane, logs, "old") as scene:
        for manifest in v060.rights(scene.user):
            await scene.api.apply(manifest)
        scene.kubeconfig = plane.write_kubeconfig(scene.user, namespace=OPERATORS_NAMESPACE)
        yield scene


async def _install_v060(plane: ControlPlane) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATORS_NAMESPACE}}
    async with plane.api() as api:
        for manifest in (namespace, *v060.crds()):
            await api.apply(manifest)
        await api.crds_served(each["metadata"]["name"] for each in v060.crds())
    await asyncio.to_thread(plane.start_controller_manager)


@asynccontextmanager
async def _whole(planes: Planes, logs: Logs) -> AsyncIterator[Scene]:
    """A scene on a plane where an operator may serve all namespaces."""
    async with _scene_on(await planes.get("whole", _install_with_editors), logs, "whole") as scene:
        yield scene


async def _install_with_editors(plane: ControlPlane) -> None:
    await install(plane)
    async with plane.api() as api:
        await install_editors(api)


@asynccontextmanager
async def _neighbours(planes: Planes, logs: Logs) -> AsyncIterator[Neighbours]:
    """Two new namespaces on that plane, one of which attacks the other."""
    async with _whole(planes, logs) as victim, new_neighbours(victim) as neighbours:
        yield neighbours


class Stage(NamedTuple):
    """How a test's stage is set up; those of one lane are used one after another."""

    open: Callable[[Planes, Logs], AbstractAsyncContextManager[Any]]
    lane: str = ""


STAGES = {
    "scene": Stage(_scene),
    "collected": Stage(_collected),
    "rough": Stage(_rough, "rough"),
    "old": Stage(_old, "old"),
    "whole": Stage(_whole, "whole"),
    "neighbours": Stage(_neighbours, "whole"),
}
