"""Requests and watches: what is sent, and what comes of every response."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
from kubernetes_asyncio.config import ConfigException

from ecr_operator import __version__
from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import APPLY, JSON, METADATA, KubeClient
from ecr_operator.telemetry.metrics import Metrics
from tests.kube.conftest import TOKEN, configuration, failure, watch, watch_failure
from tests.kube.server import ScriptedServer, event, hold, refuse, reply, stream, text
from tests.telemetry.reading import scrape


async def test_request_carries_all_its_parts(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [reply({"ok": 1})]
    body = {"a": "ü", "nested": {"n": [1, None]}}
    answer = await client.request(
        "PATCH", "/api/x", query=(("a", "1 2"), ("b", "")), body=body, content_type=APPLY, accept=METADATA
    )
    (asked,) = server.asked
    assert answer == {"ok": 1}
    assert (asked.method, asked.path) == ("PATCH", "/api/x")
    assert (asked.query, asked.body) == ({"a": "1 2", "b": ""}, body)
    sent = {"Content-Type": APPLY, "Accept": METADATA, "Authorization": f"Bearer {TOKEN}"}
    sent["User-Agent"] = f"ecr-secret-operator/{__version__}"
    assert {name: asked.headers[name] for name in sent} == sent


async def test_redirect_is_an_error_and_nothing_goes_to_the_other_host(
    server: ScriptedServer, client: KubeClient
) -> None:
    async with ScriptedServer() as elsewhere:
        elsewhere.others = [reply({"stolen": True})]
        server.others = [text("", 307, {"Location": f"{elsewhere.url}/api"})]
        with pytest.raises(ApiError, match="a redirect"):
            await client.request("PATCH", "/api", body={"data": {"password": "s3cret"}}, content_type=APPLY)
        assert elsewhere.asked == []


async def test_request_without_a_response_ends_in_time(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [hold, stream(b'{"half":', then="hold")]
    for _ in server.others[:]:
        start = time.monotonic()
        error = await failure(client, seconds=0.1)
        assert (error.code, error.reason, error.message) == (0, "Timeout", "no answer in time")
        assert time.monotonic() - start < 2


async def test_server_that_is_not_there_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with KubeClient(configuration(url)) as client:
            error = await failure(client)
    assert (error.code, error.reason, client.host) == (0, "Refused", url)


async def test_credentials_that_can_not_be_read_are_an_error(server: ScriptedServer) -> None:
    async def unreadable(_: object) -> None:
        raise ConfigException("Token file does not exist")

    broken = configuration(server.url)
    broken.refresh_api_key_hook = unreadable
    async with KubeClient(broken) as client:
        assert (await failure(client)).reason == "NoConnection"


@pytest.mark.parametrize("then", ["cut", "hold"])
async def test_watch_that_is_cut_or_falls_silent_is_an_error(
    server: ScriptedServer, client: KubeClient, then: str
) -> None:
    server.watches = [stream(event("ADDED"), event("DELETED")[:9], then=then)]
    error = await watch_failure(client, silence=0.2)
    assert (error.code, error.reason) == (0, "Cut")


async def test_every_byte_ends_a_watchs_silence(server: ScriptedServer, client: KubeClient) -> None:
    async def slowly(request: Any) -> Any:
        response = await stream()(request)
        for _ in range(4):
            await asyncio.sleep(0.1)
            await response.write(b"\n")
        await response.write(event("ADDED"))
        return response

    server.watches = [slowly]
    assert len(await watch(client, silence=0.25)) == 1


async def test_watch_left_early_closes_its_connection(server: ScriptedServer, client: KubeClient) -> None:
    server.watches = [stream(event("ADDED"), then="hold")]
    async with client.stream("/api", query=(("watch", "true"),), accept=JSON, silence=5) as events:
        assert (await anext(events))["type"] == "ADDED"
        await events.aclose()


Standby = tuple[KubeClient, list[bool]]


@pytest.fixture
async def standby(server: ScriptedServer) -> AsyncIterator[Standby]:
    """A client whose writes are guarded, and the answer of its guard."""
    may_write = [False]
    guarded = KubeClient(configuration(server.url))
    guarded.guard_writes(lambda: may_write[0])
    async with guarded:
        yield guarded, may_write


async def test_guard_stops_every_write_and_no_read(server: ScriptedServer, standby: Standby) -> None:
    client, may_write = standby
    server.others = [reply({"read": 1}), reply({"written": 1})]
    for method in ("PATCH", "POST", "PUT", "DELETE"):
        with pytest.raises(ApiError) as caught:
            await client.request(method, "/api/x", body={})
        assert (caught.value.code, caught.value.reason) == (0, "NotLeading")
    assert server.asked == []
    assert await client.request("GET", "/api/x") == {"read": 1}
    may_write[0] = True
    assert await client.request("PATCH", "/api/x", body={}) == {"written": 1}


async def test_guard_is_asked_at_the_moment_of_sending(server: ScriptedServer, standby: Standby) -> None:
    client, may_write = standby
    may_write[0] = True
    writing = asyncio.create_task(client.request("PATCH", "/api/x", body={}))
    await asyncio.sleep(0)
    # It has begun, and waits for its connection.
    may_write[0] = False
    with pytest.raises(ApiError):
        await writing
    assert server.asked == []


async def test_sibling_is_not_guarded(server: ScriptedServer, standby: Standby) -> None:
    client, _ = standby
    server.others = [reply({"ok": 1})]
    async with client.sibling() as sibling:
        assert sibling.host == client.host
        assert await sibling.request("PUT", "/api/x", body={}) == {"ok": 1}
    assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_every_request_is_counted_and_timed_by_its_outcome(server: ScriptedServer) -> None:
    metrics = Metrics()
    path = "/api/v1/namespaces/team/secrets/web"
    server.others = [reply({}), reply({}, 201), refuse(409, "Conflict"), hold]
    server.watches = [stream(event("ADDED")), refuse(410, "Gone")]

    async def make(request: Callable[[], Awaitable[Mapping[str, Any]]]) -> None:
        with contextlib.suppress(ApiError):
            await request()

    async with KubeClient(configuration(server.url), metrics=metrics) as client:
        await make(lambda: client.request("GET", path))
        await make(lambda: client.request("PATCH", path))
        await make(lambda: client.request("PATCH", path))
        await make(lambda: client.request("GET", path, seconds=0.05))
        await watch(client)
        await watch_failure(client)
    seen = scrape(metrics.registry)
    expected = ["get 200", "get none", "patch 201", "patch 409", "watch 200", "watch 410"]
    for each in expected:
        verb, code = each.split()
        assert seen.value("kubernetes_requests_total", verb=verb, code=code) == 1
    assert seen.value("kubernetes_requests_total") == len(expected)
    assert seen.value("kubernetes_request_duration_seconds_count", verb="watch", resource="api") == 2
    assert seen.value("kubernetes_request_duration_seconds_sum", verb="get", resource="secrets") >= 0.05
