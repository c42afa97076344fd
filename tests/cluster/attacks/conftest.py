"""A control plane for attacks, with two namespaces for each; the figures come at the end of the run."""

from collections.abc import AsyncIterator, Iterator

import pytest

from lab.api import SERVICE_ACCOUNTS
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.cluster.attacks.figures import TABLE, Scale
from tests.cluster.attacks.neighbours import Neighbours, can_write, editor_of, editor_roles
from tests.cluster.scene import Scene
from tests.conftest import install, started_with


@pytest.fixture(scope="session")
def attacked_plane() -> Iterator[ControlPlane]:
    """A control plane on which an operator may serve all namespaces: no other test uses it."""
    with started_with(_install) as plane:
        yield plane


async def _install(plane: ControlPlane) -> None:
    await install(plane)
    async with plane.api() as api:
        for role in editor_roles():
            await api.apply(role)


@pytest.fixture
def scale() -> Scale:
    """How large the attacks are."""
    return Scale.chosen()


@pytest.fixture
async def tenant(attacked_plane: ControlPlane, aws: LocalAws) -> AsyncIterator[Scene]:
    """A namespace that may be deleted and created again."""
    async with attacked_plane.api() as api:
        scene = Scene(plane=attacked_plane, api=api, aws=aws, namespace=await api.create_namespace("tenant"))
        yield scene
        await empty(scene, scene.namespace)
        assert scene.refusals() == []


@pytest.fixture
async def neighbours(tenant: Scene, scale: Scale) -> AsyncIterator[Neighbours]:
    """Two new namespaces; fails if the operator asked for more than its role allows."""
    attacker = await tenant.api.create_namespace("attacker")
    async with await editor_of(tenant, attacker, tenant.plane.authority) as editor:
        await can_write(editor, attacker)
        yield Neighbours(victim=tenant, attacker=attacker, editor=editor, scale=scale)
    await empty(tenant, attacker)


async def empty(scene: Scene, namespace: str) -> None:
    """Delete a namespace and all that is in it, as the absent controllers would."""
    await scene.clear(namespace)
    await scene.api.delete_all(SERVICE_ACCOUNTS, namespace)
    await scene.api.end_namespace(namespace)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures of all attacks at full size."""
    if Scale.chosen().full and TABLE:
        terminalreporter.section("attacks")
        for line in TABLE:
            terminalreporter.write_line(line)
