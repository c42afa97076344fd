"""The backstage of the session, which starts every selected test that plays there."""

from collections.abc import Iterator

import pytest

from lab.control_plane import ControlPlane
from tests.cluster.faults.backstage import Backstage, shared_backstage


@pytest.fixture(scope="session")
def backstage(request: pytest.FixtureRequest, control_plane: ControlPlane) -> Iterator[Backstage]:
    """Where the tests of this folder play."""
    with shared_backstage(request, control_plane) as playing:
        yield playing
