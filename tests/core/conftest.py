"""A cluster in memory whose tokens last 12 minutes; without workers `idle`, and `still` with 12 hours."""

from collections.abc import AsyncIterator

import pytest

from tests.core.cluster_world import Clusters, serving
from tests.core.world import LIFE, World


@pytest.fixture
async def idle() -> World:
    """Without workers: a test starts them."""
    return World(life=LIFE)


@pytest.fixture
async def still() -> AsyncIterator[World]:
    """Without workers, and with tokens of 12 hours."""
    made = World()
    yield made
    await made.tokens.close()


@pytest.fixture
async def world(idle: World) -> AsyncIterator[World]:
    """With workers."""
    async with idle.working():
        yield idle


@pytest.fixture
async def clusters(idle: World) -> AsyncIterator[Clusters]:
    """Three namespaces and workers, without a ClusterSecret yet."""
    async with serving(idle) as serving_all:
        yield serving_all
