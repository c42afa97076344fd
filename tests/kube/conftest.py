"""A scripted API server, a client of it, and requests to it."""

# ruff: noqa: S105 - made-up tokens

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.client import Configuration

from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import JSON, KubeClient
from tests.kube.server import ScriptedServer

TOKEN = "the-operators-own-token"
AUTHORITY = str(Path(__file__).with_name("authority.pem"))


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as running:
        yield running


def configuration(url: str) -> Configuration:
    """Configure the client library as a kubeconfig with a token would."""
    made = Configuration()
    made.host = url
    made.ssl_ca_cert = AUTHORITY  # to load the system's would take 20 ms for each client
    made.api_key = {"BearerToken": f"Bearer {TOKEN}"}
    return made


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[KubeClient]:
    async with KubeClient(configuration(server.url)) as made:
        yield made


async def failure(client: KubeClient, *, seconds: float = 5) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await client.request("GET", "/api", seconds=seconds)
    return caught.value


async def watch(client: KubeClient, *, silence: float = 5) -> list[Any]:
    """Return the events of a watch, to its end."""
    async with client.stream("/api", query=(("watch", "true"),), accept=JSON, silence=silence) as events:
        return [each async for each in events]


async def watch_failure(client: KubeClient, *, silence: float = 5) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await watch(client, silence=silence)
    return caught.value
