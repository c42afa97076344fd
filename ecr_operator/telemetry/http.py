"""A web server for two or three pages that machines read.

Guarantees: only GET and HEAD of known paths, and where wanted of known hosts; a request's head is small,
everything about it ends within seconds, and of too many connections the oldest goes, so that who holds
connections open locks nobody out.
Leaves out: bodies, keep-alive, TLS (kube-rbac-proxy and the service mesh are there for that).
Rejected: aiohttp's server, which bounds neither the time of a request's head nor the number of connections.
"""

import asyncio
import errno
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final

import structlog

_LARGEST_HEAD: Final = 8192  # bytes
_LONGEST: Final = 10.0  # seconds, from connecting to the last byte
_MOST: Final = 32  # connections
_REQUEST: Final = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.[01]\r\n")
_HOST: Final = re.compile(rb"\r\nhost:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a page says."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = "text/plain; charset=utf-8"


Page = Callable[[], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Which `Host` headers are answered; a request without one always is.

    Attributes:
        accepts: whether this one is.
        advice: which are, for whoever used another.
    """

    accepts: Callable[[str], bool]
    advice: str


class HttpServer:
    """Serves pages by path until closed.

    Args:
        pages: by path, without a slash at the end.
        hosts: whose `Host` headers are answered; None for any.
        longest: seconds that a connection may take in all.
        most: connections at once.
    """

    def __init__(
        self,
        pages: Mapping[str, Page],
        *,
        hosts: Hosts | None = None,
        longest: float = _LONGEST,
        most: int = _MOST,
    ) -> None:
        self._pages = pages
        self._hosts = hosts
        self._longest = longest
        self._most = most
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[None], None] = {}

    async def start(self, listening: socket.socket) -> None:
        """Take connections from a socket, which is the server's from here on."""
        self._server = await asyncio.start_server(self._accept, sock=listening, limit=_LARGEST_HEAD)

    async def close(self) -> None:
        """Take no more, and end those that are open."""
        if self._server:
            self._server.close()
        tasks = list(self._serving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._serving) >= self._most:
            oldest = next(iter(self._serving))
            oldest.cancel()
            del self._serving[oldest]
        task = asyncio.create_task(self._serve(reader, writer), name="http")
        self._serving[task] = None
        task.add_done_callback(partial(self._ended, writer))

    def _ended(self, writer: asyncio.StreamWriter, task: "asyncio.Task[None]") -> None:
        # Here, not in the task: one that is cancelled before its first step never runs.
        writer.transport.abort()
        self._serving.pop(task, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._longest):
                writer.write(await self._answer(reader))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, EOFError, TimeoutError):
            pass  # the client's affair

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _in_bytes(_refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
        request = _REQUEST.match(head)
        if request is None:
            return _in_bytes(_refusal(HTTPStatus.BAD_REQUEST))
        if self._hosts and not all(
            self._hosts.accepts(each.decode("latin-1")) for each in _HOST.findall(head)
        ):
            said = f"{self._hosts.advice}\n".encode()
            return _in_bytes(Answer(body=said, status=HTTPStatus.MISDIRECTED_REQUEST))
        method, target = request[1].decode(), request[2].decode()
        if method not in ("GET", "HEAD"):
            return _in_bytes(_refusal(HTTPStatus.METHOD_NOT_ALLOWED))
        return _in_bytes(await self._page(target), with_body=method == "GET")

    async def _page(self, target: str) -> Answer:
        page = self._pages.get(target.partition("?")[0].removesuffix("/"))
        if page is None:
            return _refusal(HTTPStatus.NOT_FOUND)
        try:
            return await page()
        except Exception as error:  # noqa: BLE001 - a page is not worth the operator's life
            log.warning("a page can't be shown", path=target[:40], error=type(error).__name__)
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR)


def _refusal(status: HTTPStatus) -> Answer:
    return Answer(body=f"{status.phrase}\n".encode(), status=status)


def _in_bytes(answer: Answer, *, with_body: bool = True) -> bytes:
    head = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        *(["Allow: GET, HEAD"] if answer.status is HTTPStatus.METHOD_NOT_ALLOWED else []),
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + (answer.body if with_body else b"")


def listen(host: str | None, port: int) -> socket.socket:
    """Open a listening socket.

    Args:
        host: a name or an IP address; None for all, of IPv6 and IPv4 where the machine has both.
        port: 0 for any.

    Raises:
        OSError: the port is in use, or the address is not this machine's.
    """
    if host is None:
        return _listen_on_all(port)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # As in Go: IPv4 first, where a name has both.
    family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return socket.create_server((str(address[0]), port), family=family)


def _listen_on_all(port: int) -> socket.socket:
    try:
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    except ValueError:
        pass  # no IPv6 in this Python or system
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
    return socket.create_server(("", port))
