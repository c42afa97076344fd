"""A scene on the session's control plane, and the programs of others by their names."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from lab import programs
from lab.api import Api
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.cluster.scene import Scene

Program = Callable[[str], Path]


@pytest.fixture(scope="session")
def program() -> Program:
    """Get a program of `lab.programs`, which is installed or built if it isn't there."""
    return lambda name: programs.ensure([name])[name]


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    """A local AWS of the test's own."""
    async with LocalAws() as local:
        yield local


@pytest.fixture
def scene(control_plane: ControlPlane, api: Api, aws: LocalAws, namespace: str) -> Scene:
    """A scene on the session's control plane."""
    return Scene(plane=control_plane, api=api, aws=aws, namespace=namespace)
