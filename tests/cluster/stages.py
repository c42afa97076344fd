"""What the tests of this folder run on: scenes and neighbours on control planes that many tests share."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from typing import Any, NamedTuple

from lab.api import ECR_SECRETS, SECRETS
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.waiting import wait_for
from tests.cluster.attacks.figures import Scale
from tests.cluster.attacks.neighbours import Neighbours, install_editors, new_neighbours
from tests.cluster.builders import core_secret, ecr_secret
from tests.cluster.ownership import v060
from tests.cluster.scene import Scene
from tests.conftest import install

Prepare = Callable[[ControlPlane], Awaitable[object]]
Logs = list[str]
OPERATORS_NAMESPACE = "ecr-secret-operator"


class Planes:
    """Control planes: one that tests share, and others that are lent to one test at a time."""

    def __init__(self, shared: ControlPlane, stack: ExitStack) -> None:
        """Use a plane that runs as `shared`; the others end with the stack."""
        self.shared = shared
        self._stack = stack
        self._collecting: asyncio.Task[None] | None = None
        self._free: defaultdict[str, list[ControlPlane]] = defaultdict(list)
        self._starting = asyncio.Lock()

    async def collected(self) -> ControlPlane:
        """Return the shared plane with its garbage collector at work."""
        self._collecting = self._collecting or asyncio.create_task(_collect(self.shared))
        await asyncio.shield(self._collecting)
        return self.shared

    @asynccontextmanager
    async def lend(self, lane: str, prepare: Prepare) -> AsyncIterator[ControlPlane]:
        """Lend a plane of a lane; where none is free another is started and prepared."""
        free = self._free[lane]
        plane = free.pop() if free else await self._start(prepare)
        try:
            yield plane
        finally:
            free.append(plane)

    async def _start(self, prepare: Prepare) -> ControlPlane:
        # One after another: all at once they would keep two processors from the first tests.
        async with self._starting:
            plane = await asyncio.to_thread(self._stack.enter_context, ControlPlane())
            await prepare(plane)
        return plane


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
    async with _scene_on(await planes.collected(), logs) as scene:
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
    async with planes.lend("rough", install) as plane:
        async with plane.api() as api:
            await api.install_crds()
        async with _scene_on(plane, logs, "rough") as scene:
            yield scene


@asynccontextmanager
async def _old(planes: Planes, logs: Logs) -> AsyncIterator[Scene]:
    """A scene as the swap of the image leaves it: v0.6.0's CRDs, and operators with v0.6.0's rights only."""
    async with planes.lend("old", _install_v060) as plane, _scene_on(plane, logs, "old") as scene:
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
    async with planes.lend("whole", _install_with_editors) as plane, _scene_on(plane, logs, "whole") as scene:
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
    """How a test's stage is set up; those of a lane have a plane of their own."""

    open: Callable[[Planes, Logs], AbstractAsyncContextManager[Any]]
    lane: str = ""


# How many planes each lane has, and so how many of its tests run at once; at full size an attack is alone.
LANES = {"rough": 1, "old": 1, "whole": Scale.chosen().of(3, 1)}
STAGES = {
    "scene": Stage(_scene),
    "collected": Stage(_collected),
    "rough": Stage(_rough, "rough"),
    "old": Stage(_old, "old"),
    "whole": Stage(_whole, "whole"),
    "neighbours": Stage(_neighbours, "whole"),
}
