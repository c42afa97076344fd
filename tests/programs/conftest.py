"""A scene with a registry, and the clients that use it; `program` gets any other program by its name."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from lab import programs
from lab.api import Api
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.cluster.builders import registry as host_in
from tests.cluster.scene import Scene
from tests.programs.client import Helm, Skopeo
from tests.programs.registry import EcrRegistry

Program = Callable[[str], Path]


@pytest.fixture(scope="session")
def program() -> Program:
    """Get a program of `lab.programs`, which is installed or built if it isn't there."""
    return lambda name: programs.ensure([name])[name]


@pytest.fixture
def scene(control_plane: ControlPlane, api: Api, aws: LocalAws, namespace: str) -> Scene:
    """A scene on the session's control plane."""
    return Scene(plane=control_plane, api=api, aws=aws, namespace=namespace)


@pytest.fixture
async def registry(program: Program, aws: LocalAws) -> AsyncIterator[EcrRegistry]:
    """A registry that has ECR's names in two regions and accepts the logins of this AWS."""
    hosts = (host_in("us-east-1"), host_in("eu-west-1"))
    async with EcrRegistry(program(programs.REGISTRY), aws, *hosts) as running:
        yield running


@pytest.fixture
def skopeo(program: Program, registry: EcrRegistry, tmp_path: Path) -> Skopeo:
    """A skopeo that reaches the registry."""
    home = tmp_path / "skopeo"
    home.mkdir()
    return Skopeo(program=program(programs.SKOPEO), registry=registry, home=home)


@pytest.fixture
def helm(program: Program, registry: EcrRegistry, tmp_path: Path) -> Helm:
    """A Helm that reaches the registry."""
    home = tmp_path / "helm"
    home.mkdir()
    return Helm(program=program(programs.HELM), registry=registry, home=home)
