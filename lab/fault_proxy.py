"""A proxy between the operator and the API server that is slow, hangs or vanishes as networks and servers do.

It terminates TLS with a certificate of its own authority, which the kubeconfig that it writes trusts, and
forwards requests as the user of the kubeconfig that it was given, so that client certificates work.

    async with FaultProxy(plane.kubeconfig) as proxy:
        ...  # an operator with proxy.kubeconfig
        proxy.hang("patch")

Invariant: every request is recorded on arrival; leaving the context ends all requests.
"""

import asyncio
import base64
import contextlib
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple, Self

import aiohttp
import yaml
from aiohttp import web

from lab import kubectl
from lab.aws_faults import reset
from lab.certificates import Authority, load_chain
from lab.processes import temporary_folder

_DROPPED: Final = {
    *("authorization", "connection", "content-length", "host", "keep-alive", "transfer-encoding"),
}


class Request(NamedTuple):
    """One request: its method in small letters, and its path without the query."""

    method: str
    path: str


class FaultProxy:
    """A proxy in front of the API server of the kubeconfig `behind`, as its user.

    Attributes:
        kubeconfig: a file that leads to the proxy and trusts it alone.
        requests: all so far, in order.
    """

    def __init__(self, behind: Path) -> None:
        self._behind = behind
        self._authority = Authority()
        self._stack = contextlib.ExitStack()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._hanging: set[str] = set()
        self._delays: dict[str, float] = {}
        self._port = 0
        self.requests: list[Request] = []

    async def __aenter__(self) -> Self:
        self._session = self._to_server()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        self._context = self._authority.server_context()
        await self.accept()
        folder = self._stack.enter_context(temporary_folder("ecr-proxy-"))
        self.kubeconfig = folder / "proxy.kubeconfig"
        server = kubectl.cluster(f"https://127.0.0.1:{self._port}", self._authority.certificate)
        kubectl.write(self.kubeconfig, server, {"token": "of-the-proxy"})
        return self

    async def __aexit__(self, *_: object) -> None:
        self._cut()
        await self._runner.cleanup()
        await self._session.close()
        self._stack.close()

    def _to_server(self) -> aiohttp.ClientSession:
        """A session with address, trust and credentials of the kubeconfig."""
        content = yaml.safe_load(self._behind.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        if "client-key-data" in user:
            chain = [base64.b64decode(user[name]) for name in ("client-certificate-data", "client-key-data")]
            load_chain(context, *chain)
        return aiohttp.ClientSession(
            cluster["server"],
            headers={"Authorization": f"Bearer {user['token']}"} if "token" in user else {},
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )

    def hang(self, method: str) -> None:
        """Answer no request of a method any more."""
        self._hanging.add(method)

    def delay(self, method: str, seconds: float) -> None:
        """Forward requests of a method after that many seconds."""
        self._delays[method] = seconds

    def go_half_open(self) -> None:
        """Keep and accept connections, but let no byte of an answer through any more."""
        self._flowing.clear()

    async def refuse(self) -> None:
        """Stop listening and reset every connection, until `accept`."""
        await self._site.stop()
        self._cut()

    async def accept(self) -> None:
        """Listen, on the same port each time."""
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._context)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    def _cut(self) -> None:
        for connection in self._runner.server.connections if self._runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()

    def asked(self, method: str, path: str) -> list[Request]:
        """Return the requests of a method whose path contains an expression."""
        return [each for each in self.requests if each.method == method and re.search(path, each.path)]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body, method = await request.read(), request.method.lower()
        self.requests.append(Request(method, request.path))
        await self._flowing.wait()
        if method in self._hanging:
            await asyncio.Event().wait()
        await asyncio.sleep(self._delays.get(method, 0))
        try:
            return await self._forward(request, body)
        except (aiohttp.ClientError, ConnectionError):
            return reset(request)

    async def _forward(self, request: web.Request, body: bytes) -> web.StreamResponse:
        asking = self._session.request(
            request.method,
            request.rel_url,
            data=body or None,
            headers=_forwarded(request.headers),
            allow_redirects=False,
        )
        async with asking as answer:
            response = web.StreamResponse(status=answer.status, headers=_forwarded(answer.headers))
            await self._flowing.wait()
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await self._flowing.wait()
                await response.write(chunk)
        return response


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key.lower() not in _DROPPED}
