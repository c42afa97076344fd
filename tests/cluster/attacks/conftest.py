"""A control plane for attacks, with two namespaces for each; the figures come at the end of the run."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import rights
from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, SERVICE_ACCOUNTS
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.cluster.attacks.figures import TABLE, Scale
from tests.cluster.attacks.neighbours import Neighbours, can_write, editor_of, editor_roles
from tests.cluster.scene import Scene


@pytest.fixture(scope="session")
def attacked_plane() -> Iterator[ControlPlane]:
    """A control plane on which an operator may serve all namespaces: no other test plays there."""
    with ControlPlane() as plane:
        # In a thread, because asyncio.run takes away the event loop that pytest-asyncio set.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _install(plane)).result()
        yield plane


async def _install(plane: ControlPlane) -> None:
    async with plane.api() as api:
        await api.install_crds()
        await rights.grant(api)
        for role in editor_roles():
            await api.apply(role)


@pytest.fixture
def scale() -> Scale:
    """How large the attacks are."""
    return Scale.chosen()


@pytest.fixture
async def neighbours(attacked_plane: ControlPlane, aws: LocalAws, scale: Scale) -> AsyncIterator[Neighbours]:
    """Two new namespaces; fails if the operator asked for more than its role allows."""
    async with attacked_plane.api() as api:
        victim, attacker = await api.create_namespace("victim"), await api.create_namespace("attacker")
        scene = Scene(plane=attacked_plane, api=api, aws=aws, namespace=victim)
        async with await editor_of(scene, attacker, attacked_plane.authority) as editor:
            await can_write(editor, attacker)
            yield Neighbours(victim=scene, attacker=attacker, editor=editor, scale=scale)
        for namespace in (victim, attacker):
            for resource in (ECR_SECRETS, ARGO_SECRETS, SECRETS, SERVICE_ACCOUNTS):
                await api.delete_all(resource, namespace)
            await api.end_namespace(namespace)
        assert scene.refusals() == []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures of all attacks at full size."""
    if Scale.chosen().full and TABLE.rows:
        terminalreporter.section("attacks")
        for line in TABLE.lines():
            terminalreporter.write_line(line)
