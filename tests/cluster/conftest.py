"""A scene for each test, on the session's control plane or on one that tests may stop and strip."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lab import rights
from lab.api import Api
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.cluster.concurrent import ConcurrentTests, case_of, concurrent_tests_of
from tests.cluster.scene import Scene

_FOLDER = Path(__file__).parent


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    """A local AWS of the test's own."""
    async with LocalAws() as local:
        yield local


@pytest.fixture
def scene(control_plane: ControlPlane, api: Api, aws: LocalAws, namespace: str) -> Iterator[Scene]:
    """A scene on the session's control plane; fails if the operator asks for more than its role allows."""
    made = Scene(plane=control_plane, api=api, aws=aws, namespace=namespace)
    yield made
    assert made.refusals() == []


@pytest.fixture
def collected(garbage_collector: ControlPlane, scene: Scene) -> Scene:
    """The same with the garbage collector at work."""
    assert scene.plane is garbage_collector
    return scene


@pytest.fixture(scope="session")
def rough_plane() -> Iterator[ControlPlane]:
    """A control plane that tests may stop, freeze and strip of its CRDs."""
    with ControlPlane() as plane:
        yield plane


@pytest.fixture
async def rough(rough_plane: ControlPlane, aws: LocalAws) -> AsyncIterator[Scene]:
    """A scene on the rough plane, with its CRDs; a test leaves the server running."""
    async with rough_plane.api() as api:
        await api.install_crds()
        await rights.grant(api)
        made = Scene(plane=rough_plane, api=api, aws=aws, namespace=await api.create_namespace("rough"))
        yield made
        await made.clear()
        assert made.refusals() == []


@pytest.fixture(scope="session")
def concurrent_tests(
    request: pytest.FixtureRequest, control_plane: ControlPlane
) -> Iterator[ConcurrentTests]:
    """The tests that wait at the same time, started with the first of them."""
    with concurrent_tests_of(request, control_plane) as running:
        yield running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put this folder's concurrent tests first, so that no other test looks for leaks beside them."""
    places = [place for place, item in enumerate(items) if item.path.is_relative_to(_FOLDER)]
    ordered = sorted((items[place] for place in places), key=lambda item: case_of(item) is None)
    for place, item in zip(places, ordered, strict=True):
        items[place] = item
