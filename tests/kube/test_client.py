"""Requests and streams: what goes out, and what comes of every answer."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web
from kubernetes_asyncio.config import ConfigException

from ecr_operator import __version__
from ecr_operator.kube.api_error import ApiError, sanitize
from ecr_operator.kube.client import APPLY, JSON, METADATA, KubeClient
from ecr_operator.telemetry.metrics import Metrics
from tests.kube.conftest import TOKEN, configuration
from tests.kube.server import (
    ScriptedServer,
    event,
    hold,
    line,
    refuse,
    reply,
    stream,
    text,
)
from tests.telemetry.reading import scrape

SECRET = "QVdTOmV5SndZWGxzYjJGa0lqb2lUT0tFTiJ9" * 4
HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"


async def failure(client: KubeClient, *, limit: float = 5) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await client.request("GET", "/api", seconds=limit)
    return caught.value


async def watch(client: KubeClient, *, silence: float = 5) -> list[Any]:
    """Return what a watch brought until its end."""
    async with client.stream("/api", query=(("watch", "true"),), accept=JSON, silence=silence) as events:
        return [each async for each in events]


async def watch_failure(client: KubeClient, *, silence: float = 5) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await watch(client, silence=silence)
    return caught.value


async def test_a_request_carries_all_that_it_was_given(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [reply({"ok": 1})]
    body = {"a": "ü", "nested": {"n": [1, None]}}
    answer = await client.request(
        "PATCH", "/api/x", query=(("a", "1 2"), ("b", "")), body=body, content_type=APPLY, accept=METADATA
    )
    (asked,) = server.asked
    assert answer == {"ok": 1}
    assert (asked.method, asked.path, asked.query, asked.body) == (
        "PATCH",
        "/api/x",
        {"a": "1 2", "b": ""},
        body,
    )
    assert asked.headers["Content-Type"] == APPLY
    assert asked.headers["Accept"] == METADATA
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["User-Agent"] == f"ecr-secret-operator/{__version__}"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_every_method_works_and_a_body_is_json(
    server: ScriptedServer, client: KubeClient, method: str
) -> None:
    server.others = [reply({"ok": 1})]
    await client.request(method, "/api", body=None if method == "GET" else {"a": 1})
    (asked,) = server.asked
    assert (asked.method, asked.body) == (method, None if method == "GET" else {"a": 1})
    assert asked.headers["Content-Type"].startswith(JSON)


async def test_a_status_object_is_told_in_its_own_words(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [refuse(403, "Forbidden", "secrets is forbidden: User x cannot patch")]
    found = await failure(client)
    assert (found.code, found.reason, found.message) == (
        403,
        "Forbidden",
        "secrets is forbidden: User x cannot patch",
    )
    assert str(found) == "403 Forbidden: secrets is forbidden: User x cannot patch"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param("7", 7.0, id="seconds"),
        pytest.param("0", 0.0, id="none"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", None, id="a date is left out"),
        pytest.param("-1", None, id="less than none"),
        pytest.param("soon", None, id="a word"),
    ],
)
async def test_retry_after(
    server: ScriptedServer, client: KubeClient, header: str, seconds: float | None
) -> None:
    server.others = [refuse(429, "TooManyRequests", Retry_After=header)]
    assert (await failure(client)).retry_after == seconds


async def test_a_retry_after_that_never_ends_is_cut(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [refuse(503, "ServiceUnavailable", Retry_After="9" * 400)]
    assert ((await failure(client)).retry_after or 0) <= 3600


@pytest.mark.parametrize(
    ("status", "body", "code", "reason"),
    [
        pytest.param(502, HTML, 502, "Bad Gateway", id="a proxy's HTML"),
        pytest.param(500, "", 500, "Internal Server Error", id="nothing"),
        pytest.param(500, "[1]", 500, "Internal Server Error", id="a list"),
        pytest.param(404, "404 page not found\n", 404, "Not Found", id="an unknown path"),
        pytest.param(500, b"\xff\xfe\x00", 500, "Internal Server Error", id="no text"),
        pytest.param(500, '{"reason": 7, "message": null}', 500, "Internal Server Error", id="wrong types"),
        pytest.param(200, HTML, 0, "NotJSON", id="HTML where JSON was asked for"),
        pytest.param(200, "", 0, "NotJSON", id="no body"),
        pytest.param(200, "[]", 0, "NotJSON", id="a list for an object"),
        pytest.param(200, "null", 0, "NotJSON", id="a null for an object"),
        pytest.param(200, '{"items": [', 0, "NotJSON", id="half an object"),
        pytest.param(200, b"\xff\xfe\x00", 0, "NotJSON", id="bytes that are no text"),
        pytest.param(200, "[" * 100_000, 0, "NotJSON", id="brackets without an end"),
        pytest.param(200, "9" * 5000, 0, "NotJSON", id="a number without an end"),
    ],
)
async def test_an_answer_that_is_no_answer(  # noqa: PLR0913, PLR0917 - a table
    server: ScriptedServer, client: KubeClient, status: int, body: str | bytes, code: int, reason: str
) -> None:
    server.others = [text(body, status)]
    found = await failure(client)
    assert (found.code, found.reason) == (code, reason)
    assert "html" not in str(found)
    assert len(str(found)) < 600


async def test_a_message_is_short_on_one_line_and_holds_no_secret(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.others = [refuse(400, "BadRequest", f"the webhook\n said: {SECRET} " + "and so on " * 500)]
    found = await failure(client)
    assert found.message.startswith("the webhook said: … and so on")
    assert len(found.message) <= 400
    assert SECRET[:40] not in str(found)


async def test_a_reason_that_is_no_word_holds_no_secret_either(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.others = [refuse(400, f"x {SECRET}")]
    assert SECRET[:40] not in str(await failure(client))


def test_what_is_shown_of_a_message() -> None:
    assert sanitize("a\n b\t c") == "a b c"
    assert sanitize(f'"password":"{SECRET}"') == '"password":"…"'
    assert sanitize("x" * 59) == "x" * 59
    assert sanitize("plain words " * 100) == ("plain words " * 100)[:399] + "…"
    assert sanitize("a\x1b[31mb\ud800") == "a?[31mb?"
    assert sanitize("x" * 3950 + " " + SECRET * 10_000) == "… …"


async def test_a_redirect_is_a_failure_and_nothing_goes_to_the_other_place(
    server: ScriptedServer, client: KubeClient
) -> None:
    async with ScriptedServer() as elsewhere:
        elsewhere.others = [reply({"stolen": True})]
        server.others = [text("", 307, {"Location": f"{elsewhere.url}/api"})]
        with pytest.raises(ApiError) as caught:
            await client.request("PATCH", "/api", body={"data": {"password": "s3cret"}}, content_type=APPLY)
        assert caught.value.code in {0, 307}
        assert elsewhere.asked == []


async def test_an_answer_that_does_not_come_is_given_up(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [hold]
    start = time.monotonic()
    found = await failure(client, limit=0.1)
    assert (found.code, found.reason, found.message) == (0, "Timeout", "no answer in time")
    assert time.monotonic() - start < 2


async def test_an_answer_that_stops_half_way_is_given_up(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [stream(b'{"half":', then="hold")]
    assert (await failure(client, limit=0.1)).reason == "Timeout"


async def test_an_answer_without_end_is_read_up_to_a_limit(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.others = [flood, reply({"fine": True})]
    found = await failure(client)
    assert (found.code, found.reason, found.message) == (0, "TooLarge", "the answer is larger than 16 MiB")
    assert await client.request("GET", "/api") == {"fine": True}


async def test_a_page_is_read_up_to_its_own_limit_and_told_with_its_size(
    server: ScriptedServer, client: KubeClient
) -> None:
    body = json.dumps({"items": ["x" * 1000]}).encode()
    for most, expected in ((len(body), len(body)), (len(body) - 1, "TooLarge")):
        server.others = [text(body)]
        try:
            _, size = await client.page("/api", query=(), accept=JSON, seconds=5, max_bytes=most)
        except ApiError as refused:
            assert refused.reason == expected  # noqa: PT017 - one of two is refused
        else:
            assert size == expected


async def test_of_a_failure_that_is_too_large_the_status_is_told(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.others = [text("x" * (2**20 + 1), 422)]
    found = await failure(client)
    assert (found.code, found.reason) == (422, "Unprocessable Entity")


async def flood(request: web.Request) -> web.StreamResponse:
    """Answer without end."""
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"x" * 2**20)
    return response


async def test_a_watch_puts_lines_together_from_pieces(server: ScriptedServer, client: KubeClient) -> None:
    whole = b'{"a": 1}\n\n{"b": 2}\n{"c"'
    server.watches = [stream(*(whole[place : place + 1] for place in range(len(whole))))]
    assert await watch(client) == [{"a": 1}, {"b": 2}]


async def test_a_line_without_end_ends_the_watch(server: ScriptedServer, client: KubeClient) -> None:
    server.watches = [flood]
    assert (await watch_failure(client)).reason == "TooLarge"


async def test_an_answer_that_is_cut_is_a_failure(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [stream(b'{"half":', then="cut")]
    assert (await failure(client)).code == 0


async def test_a_failure_that_is_cut_is_a_failure_too(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [text("x", 500, {"Content-Encoding": "gzip"})]
    assert isinstance(await failure(client), ApiError)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens, kept from others."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
async def babbler() -> AsyncIterator[str]:
    """The URL of a server that does not speak HTTP."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def test_a_server_that_is_not_there_is_no_connection(closed_port: int) -> None:
    async with KubeClient(configuration(f"http://127.0.0.1:{closed_port}")) as client:
        found = await failure(client)
        assert (found.code, found.reason) == (0, "Refused")
        assert client.host == f"http://127.0.0.1:{closed_port}"


async def test_a_server_that_speaks_something_else_is_no_connection(babbler: str) -> None:
    async with KubeClient(configuration(babbler)) as client:
        assert (await failure(client)).code == 0


async def test_a_token_that_can_not_be_read_is_a_failure_like_others(server: ScriptedServer) -> None:
    async def unreadable(_: object) -> None:
        raise ConfigException("Token file does not exist")

    broken = configuration(server.url)
    broken.refresh_api_key_hook = unreadable
    async with KubeClient(broken) as client:
        assert (await failure(client)).reason == "NoConnection"


async def test_a_watch_gives_an_event_for_each_line_however_they_are_cut(
    server: ScriptedServer, client: KubeClient
) -> None:
    lines = b"".join([event("ADDED", "ü"), b"\n  \n", event("MODIFIED")])
    server.watches = [stream(*(lines[at : at + 1] for at in range(len(lines))))]
    assert [each["type"] for each in await watch(client)] == ["ADDED", "MODIFIED"]


async def test_half_a_line_at_the_end_is_dropped(server: ScriptedServer, client: KubeClient) -> None:
    server.watches = [stream(event("ADDED"), event("DELETED")[:-9])]
    assert [each["type"] for each in await watch(client)] == ["ADDED"]


@pytest.mark.parametrize("then", ["cut", "hold"])
async def test_a_connection_that_is_cut_or_falls_silent_is_a_failure(
    server: ScriptedServer, client: KubeClient, then: str
) -> None:
    server.watches = [stream(event("ADDED"), event("DELETED")[:9], then=then)]
    found = await watch_failure(client, silence=0.2)
    assert (found.code, found.reason) == (0, "Cut")


async def test_every_byte_renews_the_patience(server: ScriptedServer, client: KubeClient) -> None:
    async def slowly(request: Any) -> Any:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(4):
            await asyncio.sleep(0.1)
            await response.write(b"\n")
        await response.write(event("ADDED"))
        return response

    server.watches = [slowly]
    assert len(await watch(client, silence=0.25)) == 1


@pytest.mark.parametrize(
    "sent", [b"<html>\n", b"[1]\n", b"\xff\n", b"7\n"], ids=["HTML", "a list", "no text", "a number"]
)
async def test_a_line_that_is_no_event_is_a_failure(
    server: ScriptedServer, client: KubeClient, sent: bytes
) -> None:
    server.watches = [stream(sent)]
    assert (await watch_failure(client)).reason == "NotJSON"


async def test_a_watch_that_is_refused_tells_why(server: ScriptedServer, client: KubeClient) -> None:
    server.watches = [refuse(410, "Expired", "too old resource version")]
    assert (await watch_failure(client)).code == 410


async def test_an_event_of_six_mebibytes_comes_whole(server: ScriptedServer, client: KubeClient) -> None:
    server.watches = [stream(line({"type": "ADDED", "object": {"data": "x" * (6 * 2**20)}}))]
    (found,) = await watch(client)
    assert len(found["object"]["data"]) == 6 * 2**20


async def test_a_watch_that_is_left_early_closes_its_connection(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.watches = [stream(event("ADDED"), then="hold")]
    async with client.stream("/api", query=(("watch", "true"),), accept=JSON, silence=5) as events:
        assert (await anext(events))["type"] == "ADDED"
        await events.aclose()


@pytest.fixture
async def standby(server: ScriptedServer) -> AsyncIterator[tuple[KubeClient, list[bool]]]:
    """A client whose writes are guarded, and the answer of its guard."""
    may_write = [False]
    guarded = KubeClient(configuration(server.url))
    guarded.guard_writes(lambda: may_write[0])
    async with guarded:
        yield guarded, may_write


Standby = tuple[KubeClient, list[bool]]


@pytest.mark.parametrize("method", ["PATCH", "POST", "PUT", "DELETE"])
async def test_a_guard_lets_no_write_out(server: ScriptedServer, standby: Standby, method: str) -> None:
    client, _ = standby
    with pytest.raises(ApiError) as caught:
        await client.request(method, "/api/x", body={})
    assert (caught.value.code, caught.value.reason) == (0, "NotLeading")
    assert server.asked == []


async def test_a_guard_lets_reads_out(server: ScriptedServer, standby: Standby) -> None:
    client, _ = standby
    server.others = [reply({"ok": 1})]
    assert await client.request("GET", "/api/x") == {"ok": 1}


async def test_a_guard_is_asked_at_the_moment_of_sending(server: ScriptedServer, standby: Standby) -> None:
    client, may_write = standby
    may_write[0] = True
    writing = asyncio.create_task(client.request("PATCH", "/api/x", body={}))
    await asyncio.sleep(0)
    # It has begun, and waits for its connection.
    may_write[0] = False
    with pytest.raises(ApiError):
        await writing
    assert server.asked == []


async def test_a_write_that_was_refused_leaves_a_client_that_works(
    server: ScriptedServer, standby: Standby
) -> None:
    client, may_write = standby
    with pytest.raises(ApiError):
        await client.request("PATCH", "/api/x", body={})
    may_write[0] = True
    server.others = [reply({"ok": 1})]
    assert await client.request("PATCH", "/api/x", body={}) == {"ok": 1}


async def test_a_sibling_is_not_guarded(server: ScriptedServer, standby: Standby) -> None:
    client, _ = standby
    server.others = [reply({"ok": 1})]
    async with client.sibling() as sibling:
        assert sibling.host == client.host
        assert await sibling.request("PUT", "/api/x", body={}) == {"ok": 1}
    assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_every_request_is_counted_and_timed_by_what_came_of_it(server: ScriptedServer) -> None:
    metrics = Metrics()
    path = "/api/v1/namespaces/team/secrets/web"
    server.others = [reply({}), reply({}, 201), refuse(409, "Conflict"), hold]
    server.watches = [stream(event("ADDED")), refuse(410, "Gone")]
    async with KubeClient(configuration(server.url), metrics=metrics) as client:
        await client.request("GET", path)
        await client.request("PATCH", path)
        with pytest.raises(ApiError):
            await client.request("PATCH", path)
        with pytest.raises(ApiError):
            await client.request("GET", path, seconds=0.05)
        await watch(client)
        await watch_failure(client)
    seen = scrape(metrics.registry)
    counted = {
        (verb, code): seen.value("kubernetes_requests_total", verb=verb, code=code)
        for verb in ("get", "patch", "watch")
        for code in ("200", "201", "409", "410", "none")
    }
    assert {key for key, number in counted.items() if number} == {
        ("get", "200"),
        ("get", "none"),
        ("patch", "201"),
        ("patch", "409"),
        ("watch", "200"),
        ("watch", "410"),
    }
    assert seen.value("kubernetes_requests_total") == 6
    assert seen.value("kubernetes_request_duration_seconds_count", verb="watch", resource="api") == 2
    assert seen.value("kubernetes_request_duration_seconds_sum", verb="get", resource="secrets") >= 0.05
