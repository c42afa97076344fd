"""An API server with an installation on it, and scenes there; another with nothing installed."""

from collections.abc import AsyncIterator, Iterator

import pytest

from lab.api import Api
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.conftest import started_with
from tests.manifests import installation
from tests.manifests.installation import Installation


@pytest.fixture(scope="session")
def installed() -> Iterator[ControlPlane]:
    """A control plane with everything installed."""
    with started_with(installation.install_everything) as plane:
        yield plane


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane of the module's own, with nothing installed."""
    with ControlPlane() as started:
        yield started


@pytest.fixture
async def client(plane: ControlPlane) -> AsyncIterator[Api]:
    """A client of that plane with all rights."""
    async with plane.api() as api:
        yield api


@pytest.fixture
async def admin(installed: ControlPlane) -> AsyncIterator[Api]:
    """A client with all rights."""
    async with installed.api() as client:
        yield client


@pytest.fixture
async def token(admin: Api) -> str:
    """A token of the operator's ServiceAccount."""
    return await installation.token_of(admin)


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    """A local AWS of the test's own."""
    async with LocalAws() as local:
        yield local


@pytest.fixture
async def stage(
    installed: ControlPlane, admin: Api, aws: LocalAws, token: str
) -> AsyncIterator[Installation]:
    """A namespace and an operator that runs as the installation's ServiceAccount."""
    name = await admin.create_namespace()
    made = Installation(plane=installed, api=admin, aws=aws, namespace=name, account_token=token)
    yield made
    await made.clear()
