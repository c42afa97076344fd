"""A scripted API server and a client of it."""

# ruff: noqa: S105 - names of Secrets and made-up tokens

from collections.abc import AsyncIterator

import pytest
from kubernetes_asyncio.client import Configuration

from ecr_operator.kube.client import KubeClient
from tests.kube.server import ScriptedServer

TOKEN = "the-operators-own-token"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A server without a script."""
    async with ScriptedServer() as running:
        yield running


def configuration(url: str) -> Configuration:
    """Configure the client library as a kubeconfig with a token would."""
    made = Configuration()
    made.host = url
    made.api_key = {"BearerToken": f"Bearer {TOKEN}"}
    return made


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[KubeClient]:
    """The operator's client."""
    async with KubeClient(configuration(server.url)) as made:
        yield made
