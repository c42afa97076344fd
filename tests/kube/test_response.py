"""Responses: bounded in size, JSON that Python's parser refuses, lines of a watch in pieces."""

import contextlib
import json
from typing import Any, Final

import pytest
from aiohttp import web
from hypothesis import given

from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import JSON, KubeClient
from ecr_operator.kube.response import encode, limit_depth, parse_json
from tests.api.json_values import json_values
from tests.kube.conftest import failure, watch, watch_failure
from tests.kube.server import ScriptedServer, event, line, reply, stream, text

LEVELS: Final = 20_000
HTML: Final = "<html><body><h1>502 Bad Gateway</h1></body></html>"
SERVER_ERROR: Final = "Internal Server Error"

MALFORMED: Final = {
    "a proxy's HTML": (502, HTML, 502, "Bad Gateway"),
    "nothing": (500, "", 500, SERVER_ERROR),
    "a list": (500, "[1]", 500, SERVER_ERROR),
    "an unknown path": (404, "404 page not found\n", 404, "Not Found"),
    "not text": (500, b"\xff\xfe\x00", 500, SERVER_ERROR),
    "wrong types": (500, '{"reason": 7, "message": null}', 500, SERVER_ERROR),
    "an error that is too large": (422, "x" * (2**20 + 1), 422, "Unprocessable Entity"),
    "HTML in place of JSON": (200, HTML, 0, "NotJSON"),
    "no body": (200, "", 0, "NotJSON"),
    "a list in place of an object": (200, "[]", 0, "NotJSON"),
    "a null in place of an object": (200, "null", 0, "NotJSON"),
    "half an object": (200, '{"items": [', 0, "NotJSON"),
    "bytes that are not text": (200, b"\xff\xfe\x00", 0, "NotJSON"),
    "brackets without an end": (200, "[" * 100_000, 0, "NotJSON"),
    "a number without an end": (200, "9" * 5000, 0, "NotJSON"),
}


@pytest.mark.parametrize(("status", "body", "code", "reason"), MALFORMED.values(), ids=MALFORMED)
async def test_malformed_response_is_an_error(  # noqa: PLR0913, PLR0917 - a table
    server: ScriptedServer, client: KubeClient, status: int, body: str | bytes, code: int, reason: str
) -> None:
    server.others = [text(body, status)]
    error = await failure(client)
    assert (error.code, error.reason) == (code, reason)
    assert "html" not in str(error)
    assert len(str(error)) < 600


async def test_response_or_error_that_is_cut_is_an_error(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [stream(b'{"half":', then="cut"), stream(b'{"half":', then="cut", status=500)]
    assert (await failure(client)).code == 0
    assert (await failure(client)).code == 0


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"x" * 2**20)
    return response


async def test_endless_response_is_read_up_to_16_mib(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [endless, reply({"fine": True})]
    error = await failure(client)
    assert (error.code, error.reason, error.message) == (0, "TooLarge", "the answer is larger than 16 MiB")
    assert await client.request("GET", "/api") == {"fine": True}


async def test_page_has_its_own_limit_and_shows_its_size(server: ScriptedServer, client: KubeClient) -> None:
    body = json.dumps({"items": ["x" * 1000]}).encode()
    server.others = [text(body), text(body)]
    _, size = await client.page("/api", query=(), accept=JSON, seconds=5, max_bytes=len(body))
    assert size == len(body)
    with pytest.raises(ApiError, match="TooLarge"):
        await client.page("/api", query=(), accept=JSON, seconds=5, max_bytes=len(body) - 1)


async def test_watch_joins_pieces_and_drops_half_a_line(server: ScriptedServer, client: KubeClient) -> None:
    whole = event("ADDED", "ü") + b"\n  \n" + event("MODIFIED") + event("DELETED")[:-9]
    server.watches = [stream(*(whole[place : place + 1] for place in range(len(whole))))]
    assert [each["type"] for each in await watch(client)] == ["ADDED", "MODIFIED"]


async def test_events_of_six_mib_are_whole(server: ScriptedServer, client: KubeClient) -> None:
    server.watches = [stream(line({"type": "ADDED", "object": {"data": "x" * (6 * 2**20)}}) * 3)]
    assert [len(each["object"]["data"]) for each in await watch(client)] == [6 * 2**20] * 3


async def test_endless_line_ends_the_watch(server: ScriptedServer, client: KubeClient) -> None:
    server.watches = [endless]
    assert (await watch_failure(client)).reason == "TooLarge"


@pytest.mark.parametrize("sent", [b"<html>\n", b"[1]\n", b"\xff\n", b"7\n"])
async def test_line_without_event_is_an_error(
    server: ScriptedServer, client: KubeClient, sent: bytes
) -> None:
    server.watches = [stream(sent)]
    assert (await watch_failure(client)).reason == "NotJSON"


def nested(inside: str, levels: int = LEVELS, opened: str = '{"f:a":', closed: str = "}") -> str:
    return opened * levels + inside + closed * levels


DEEP: Final = {
    "objects": nested("1"),
    "lists": nested("1", opened="[", closed="]"),
    "both, with brackets in a name": nested("1", opened='[{"a{[\\"\\\\":', closed="}]"),
    "more": nested("1", opened='{"b": {"c": [{}, "}"]}, "a" : ', closed=', "d":[]}'),
    "brackets in text": nested('"]}\\""'),
    "twice": f"[{nested('1')}, {nested('2')}]",
}


@pytest.mark.parametrize("deep", DEEP.values(), ids=DEEP)
def test_json_that_is_too_deep_is_null_and_the_rest_is_parsed(deep: str) -> None:
    parsed = parse_json(f'{{"before": "{{[", "deep": {deep}, "after": [1, {{}}]}}'.encode())
    assert (parsed["before"], parsed["after"]) == ("{[", [1, {}])
    assert "null" in json.dumps(parsed["deep"])


@pytest.mark.parametrize("text", ["[" * LEVELS, nested("1") + "}", nested("x"), '{"a": "' + "[" * LEVELS])
def test_deep_text_that_is_not_json_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(f"[{text}".encode())


def test_text_with_half_a_surrogate_is_read_and_sent() -> None:
    text = b'{"a":"\\ud800"}'
    assert json.loads(encode(parse_json(text))) == json.loads(text)


def test_json_that_is_not_utf_8_is_replaced() -> None:
    assert parse_json(b'{"a": {"f:\xff\xfe": 1}, "b": "\xc3\xa4"}') == {"a": {"f:\ufffd\ufffd": 1}, "b": "ä"}


@given(json_values)
def test_limit_depth_leaves_json_as_it_is_that_is_not_too_deep(value: Any) -> None:
    text = json.dumps(value).encode()
    assert limit_depth(text) == text


@given(json_values)
def test_limit_depth_changes_nothing_beside_what_is_too_deep(value: Any) -> None:
    text = json.dumps([value, "here", value])
    parsed = limit_depth(text.replace('"here"', nested(json.dumps(value))).encode())
    shallow = limit_depth(text.replace('"here"', nested("[]", 63)).encode())
    assert parsed.decode().replace("null", "[]") == shallow.decode().replace("null", "[]")
