"""The small web server: what it answers, and how it gets rid of those who ask badly."""

import asyncio
import contextlib
import socket
from http import HTTPStatus

import pytest
import structlog.testing

from ecr_operator.telemetry.http import Answer, listen
from tests.telemetry.web import ask, connected, say, serving


async def hello() -> Answer:
    return Answer(body=b"hello")


async def endless() -> Answer:
    await asyncio.Event().wait()
    return Answer(body=b"")


async def vast() -> Answer:
    return Answer(body=b"x" * 20_000_000)


async def broken() -> Answer:
    raise ValueError("with a token in it")


async def unwell() -> Answer:
    return Answer(body=b"unwell", status=HTTPStatus.INTERNAL_SERVER_ERROR)


PAGES = {"/hello": hello, "/endless": endless, "/vast": vast, "/broken": broken, "/unwell": unwell}


@pytest.mark.parametrize("path", ["/hello", "/hello/", "/hello?verbose=1"])
async def test_a_page_is_answered_in_full_and_the_connection_closed(path: str) -> None:
    async with serving(PAGES) as port:
        heard = await ask(port, path)
    assert (heard.status, heard.body) == (200, "hello")
    assert (heard.headers["Content-Length"], heard.headers["Connection"]) == ("5", "close")


async def test_head_has_the_length_and_no_body() -> None:
    async with serving(PAGES) as port:
        heard = await ask(port, "/hello", "HEAD")
    assert (heard.status, heard.headers["Content-Length"], heard.body) == (200, "5", "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PRI"])
async def test_nothing_but_get_and_head_is_done(method: str) -> None:
    async with serving(PAGES) as port:
        heard = await ask(port, "/hello", method)
    assert (heard.status, heard.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/hell", "/hello/x", "/hello//", "/../hello", "/%68ello"])
async def test_another_path_is_not_found(path: str) -> None:
    async with serving(PAGES) as port:
        assert (await ask(port, path)).status == 404


@pytest.mark.parametrize(
    "request_line",
    [
        pytest.param(b"GET /hello", id="no version"),
        pytest.param(b"GET hello HTTP/1.1", id="no slash"),
        pytest.param(b"GET http://here/hello HTTP/1.1", id="a whole URL"),
        pytest.param(b"GET /hel lo HTTP/1.1", id="a space"),
        pytest.param(b"GET /hello\x00 HTTP/1.1", id="a control character"),
        pytest.param(b"get /hello HTTP/1.1", id="in small letters"),
        pytest.param(b"GET /hello HTTP/2.0", id="another version"),
        pytest.param(b"\x16\x03\x01", id="TLS"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_what_is_no_request_is_refused(request_line: bytes) -> None:
    async with serving(PAGES) as port:
        said = await say(port, request_line + b"\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n")


async def test_a_head_that_is_too_large_is_refused_however_long_it_goes_on() -> None:
    async with serving(PAGES) as port:
        said = await say(port, b"GET /hello HTTP/1.1\r\nX: " + b"x" * 20_000)
    assert said.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "said", [b"", b"GET /hel", b"GET /hello HTTP/1.1\r\n", b"GET /endless HTTP/1.1\r\n\r\n"]
)
async def test_what_takes_too_long_is_hung_up_on(said: bytes) -> None:
    async with serving(PAGES, longest=0.2) as port:
        assert await asyncio.wait_for(say(port, said), 5) == b""


async def test_a_client_that_reads_too_slowly_is_hung_up_on() -> None:
    async with serving(PAGES, longest=0.3) as port, connected(port) as (reader, writer):
        writer.write(b"GET /vast HTTP/1.1\r\n\r\n")
        assert (await reader.readexactly(15)) == b"HTTP/1.1 200 OK"
        await asyncio.sleep(1)
        assert len(await _rest(reader)) < 20_000_000


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Read what still comes."""
    with contextlib.suppress(ConnectionResetError):
        return await asyncio.wait_for(reader.read(), 5)
    return b""


async def test_one_too_many_costs_the_oldest_its_place_so_that_nobody_is_locked_out() -> None:
    async with serving(PAGES, most=2) as port, connected(port) as (first, _), connected(port) as (second, _):
        await asyncio.sleep(0)
        assert (await ask(port, "/hello")).body == "hello"
        assert await _rest(first) == b""
        assert not second.at_eof()


async def test_of_a_crowd_that_comes_at_once_no_connection_is_left_behind() -> None:
    with contextlib.ExitStack() as stack:
        async with serving(PAGES, most=4, longest=60) as port:
            # The system takes them all before the loop, which is held up here, sees the first.
            crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(40)]
            assert [await _is_hung_up_on(each) for each in crowd[:36]] == [True] * 36
        assert [await _is_hung_up_on(each) for each in crowd[36:]] == [True] * 4


async def _is_hung_up_on(client: socket.socket) -> bool:
    client.settimeout(0)
    try:
        async with asyncio.timeout(1):
            return await asyncio.get_running_loop().sock_recv(client, 1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


async def test_a_page_that_fails_says_so_and_nothing_of_the_cause() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(PAGES) as port:
            heard = await ask(port, "/broken")
    assert (heard.status, heard.body) == (500, "Internal Server Error\n")
    assert [line["error"] for line in logs] == ["ValueError"]
    assert "token" not in str(logs)


async def test_a_page_chooses_its_status() -> None:
    async with serving(PAGES) as port:
        heard = await ask(port, "/unwell")
    assert (heard.status, heard.body) == (500, "unwell")


async def test_closing_ends_what_is_open() -> None:
    async with serving(PAGES) as port:
        connection = connected(port)
        reader, writer = await connection.__aenter__()
        writer.write(b"GET /endless HTTP/1.1\r\n\r\n")
        assert (await ask(port, "/hello")).status == 200
    assert await _rest(reader) == b""
    await connection.__aexit__(None, None, None)


def test_no_host_means_every_address_of_both_families() -> None:
    with listen(None, 0) as listening:
        port = listening.getsockname()[1]
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as client:
                client.connect((address, port))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_host_means_that_address(host: str) -> None:
    with listen(host, 0) as listening:
        assert listening.getsockname()[0] == {"localhost": "127.0.0.1"}.get(host, host)


@pytest.mark.parametrize("host", [None, "127.0.0.1"])
def test_a_port_in_use_is_an_error(host: str | None) -> None:
    with listen("127.0.0.1", 0) as other, pytest.raises(OSError, match="in use"):
        listen(host, other.getsockname()[1])
