"""An API server with an installation on it, and stages there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Api
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.manifests import installation
from tests.manifests.installation import Installation


@pytest.fixture(scope="session")
def installed() -> Iterator[ControlPlane]:
    """A control plane with everything installed."""
    with ControlPlane() as plane:
        # In a thread, because asyncio.run takes away the event loop that pytest-asyncio set.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, installation.install_everything(plane)).result()
        yield plane


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
    yield Installation(plane=installed, api=admin, aws=aws, namespace=name, account_token=token)
    for resource in (ECR_SECRETS, ARGO_SECRETS, SECRETS):
        await admin.delete_all(resource, name)
