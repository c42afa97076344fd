"""A stage for each test, on the session's control plane or on one that may be treated roughly."""

from collections.abc import AsyncIterator, Iterator

import pytest

from lab import rights
from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Api
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.cluster.scene import Scene


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    """A local AWS of the test's own."""
    async with LocalAws() as local:
        yield local


@pytest.fixture
def scene(control_plane: ControlPlane, api: Api, aws: LocalAws, namespace: str) -> Iterator[Scene]:
    """A stage on the session's control plane; fails if the operator wants more than its role allows."""
    stage = Scene(plane=control_plane, api=api, aws=aws, namespace=namespace)
    yield stage
    assert stage.refusals() == []


@pytest.fixture(scope="session")
def rough_plane() -> Iterator[ControlPlane]:
    """A control plane that tests may stop, freeze and strip of its CRDs."""
    with ControlPlane() as plane:
        yield plane


@pytest.fixture
async def rough(rough_plane: ControlPlane, aws: LocalAws) -> AsyncIterator[Scene]:
    """A stage on the rough plane, with its CRDs; a test leaves the server running."""
    async with rough_plane.api() as api:
        await api.install_crds()
        await rights.grant(api)
        namespace = await api.create_namespace("rough")
        stage = Scene(plane=rough_plane, api=api, aws=aws, namespace=namespace)
        yield stage
        for resource in (ECR_SECRETS, ARGO_SECRETS, SECRETS):
            await api.delete_all(resource, namespace)
        assert stage.refusals() == []
