"""A proxy between the operator and the API server that can be told what goes wrong on the way.

It terminates TLS with a certificate of an authority of its own, which the kubeconfig that it writes trusts,
and goes on to the API server as the user of the kubeconfig it was given, so that client certificates work.

    async with FaultProxy(plane.kubeconfig) as proxy:
        ...  # an operator with proxy.kubeconfig
        proxy.answer(410, verb="watch", times=1)
        proxy.cut()

Invariant: every request is recorded when it comes, whatever becomes of it; leaving the context ends all.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import aiohttp
from aiohttp import web

from lab import kubeconfig
from lab.certificates import Authority
from lab.janitor import temporary_folder
from lab.proxy_faults import ERROR_410, HTML, Asked, Fault, Match, read_asked
from lab.proxy_upstream import Upstream, upstream_of

__all__ = ["ERROR_410", "HTML", "Asked", "FaultProxy"]

_HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "authorization"}


class FaultProxy:
    """A proxy in front of the API server that a kubeconfig names.

    Attributes:
        kubeconfig: a file that leads to the proxy.
        requests: everything that was asked, in order.
    """

    def __init__(self, behind: Path) -> None:
        """Prepare a proxy; `behind` is the kubeconfig of the real server and of the user to be there."""
        self._behind = behind
        self._authority = Authority()
        self._stack = contextlib.ExitStack()
        self._faults: list[Fault] = []
        self._released = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._endings: dict[asyncio.Future[bytes], Asked] = {}
        self._port = 0
        self.requests: list[Asked] = []

    async def __aenter__(self) -> Self:
        """Listen, and write the kubeconfig."""
        self._folder = self._stack.enter_context(temporary_folder("ecr-proxy-"))
        self._upstream: Upstream = upstream_of(self._behind, self._folder)
        self._session = aiohttp.ClientSession(
            self._upstream.url,
            connector=aiohttp.TCPConnector(ssl=self._upstream.context, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        self._context = self._serving_context()
        await self.accept()
        self.kubeconfig = self.write_kubeconfig()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every request and connection."""
        self.clear()
        self.cut()
        await self._runner.cleanup()
        await self._session.close()
        self._stack.close()

    def write_kubeconfig(self) -> Path:
        """Write a kubeconfig that leads here and trusts this proxy alone; no credentials are needed."""
        path = self._folder / "proxy.kubeconfig"
        server = kubeconfig.cluster(f"https://127.0.0.1:{self._port}", self._authority.certificate)
        kubeconfig.write(path, server, kubeconfig.token_user("of-the-proxy"))
        return path

    # --- what goes wrong ---------------------------------------------------------------------------------

    def answer(
        self,
        status: int,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        after: bool = False,
        **match: Unpack[Match],
    ) -> Fault:
        """Answer with a status and a body (None: a Status object). `after`: when the server has done it."""
        return self._add(
            Fault(kind="answer", status=status, body=body, headers=headers or {}, after=after, **match)
        )

    def drop(self, **match: Unpack[Match]) -> Fault:
        """Cut the connection in place of an answer."""
        return self._add(Fault(kind="drop", **match))

    def hang(self, *, after: bool = False, **match: Unpack[Match]) -> Fault:
        """Say nothing until `release`. `after`: when the server has done it."""
        return self._add(Fault(kind="hang", after=after, **match))

    def delay(self, seconds: float, **match: Unpack[Match]) -> Fault:
        """Take that long, then go on."""
        return self._add(Fault(kind="delay", seconds=seconds, **match))

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()
        self._flowing.set()
        self.release()

    def release(self) -> None:
        """Answer what hangs, and hang no more."""
        self._faults = [fault for fault in self._faults if fault.kind != "hang"]
        self._released.set()
        self._released = asyncio.Event()

    def go_half_open(self) -> None:
        """Keep every connection and take new ones, but let no byte of an answer through until `clear`."""
        self._flowing.clear()

    def cut(self) -> None:
        """Reset every connection."""
        for connection in self._runner.server.connections if self._runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()

    def end_watches(self, last: bytes = b"") -> int:
        """End the open watches in order, after these bytes, and return how many there were."""
        endings = [future for future in self._endings if not future.done()]
        for future in endings:
            future.set_result(last)
        return len(endings)

    async def refuse(self) -> None:
        """Stop listening and reset every connection, until `accept`."""
        await self._site.stop()
        self.cut()

    async def accept(self) -> None:
        """Listen, on the same port each time."""
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._context)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    # --- what was asked ----------------------------------------------------------------------------------

    def asked(self, since: float = 0.0, **match: Unpack[Match]) -> list[Asked]:
        """Choose requests by verb and path since a monotonic time."""
        desired = Fault(kind="delay", **match)
        return [each for each in self.requests if each.at >= since and desired.fits(each)]

    @property
    def open_watches(self) -> int:
        """How many watches go through this proxy now."""
        return len(self._endings)

    # --- the way through ---------------------------------------------------------------------------------

    def _add(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        asked = read_asked(request)
        self.requests.append(asked)
        await self._flowing.wait()
        fault = next((fault for fault in self._faults if fault.hits(asked)), None)
        if fault is None:
            return await self._forward(request, body, asked)
        asked.fault = fault.kind
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
            return await self._forward(request, body, asked)
        if fault.after:
            async with self._ask(request, body):
                pass
        if fault.kind == "hang":
            await self._released.wait()
            return _aborted(request) if fault.after else await self._forward(request, body, asked)
        return _aborted(request) if fault.kind == "drop" else fault.response()

    def _ask(self, request: web.Request, body: bytes) -> aiohttp.client._RequestContextManager:
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP_BY_HOP}
        return self._session.request(
            request.method,
            request.rel_url,
            data=body or None,
            headers={**headers, **self._upstream.headers},
            allow_redirects=False,
        )

    async def _forward(self, request: web.Request, body: bytes, asked: Asked) -> web.StreamResponse:
        try:
            async with self._ask(request, body) as answer:
                headers = {
                    key: value for key, value in answer.headers.items() if key.lower() not in _HOP_BY_HOP
                }
                if asked.verb == "watch" and answer.ok:
                    return await self._stream(request, answer, asked, headers)
                text = await answer.read()
        except aiohttp.ClientError:
            return _aborted(request)
        await self._flowing.wait()
        return web.Response(body=text, status=answer.status, headers=headers)

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse, asked: Asked, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        ending: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._endings[ending] = asked
        try:
            await self._pump(answer, response, ending)
        except (aiohttp.ClientError, ConnectionError):
            return _aborted(request)
        finally:
            del self._endings[ending]
        return response

    async def _pump(
        self, answer: aiohttp.ClientResponse, response: web.StreamResponse, ending: asyncio.Future[bytes]
    ) -> None:
        while True:
            reading = asyncio.ensure_future(answer.content.readany())
            try:
                await asyncio.wait((reading, ending), return_when=asyncio.FIRST_COMPLETED)
                chunk = ending.result() if ending.done() else reading.result()
            finally:
                reading.cancel()
            await self._flowing.wait()
            if chunk:
                await response.write(chunk)
            if ending.done() or not chunk:
                return

    def _serving_context(self) -> ssl.SSLContext:
        certificate, key = self._authority.serving()
        chain = self._folder / "proxy.pem"
        chain.write_bytes(certificate + key)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chain)
        return context


def _aborted(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
