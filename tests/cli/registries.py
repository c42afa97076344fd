"""Scripted registries: one HTTPS server that has several hosts' names, behind a proxy that leads to it."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import web

from ecr_operator.settings.proxies import Proxies
from lab.certificates import Authority
from lab.connect_proxy import ConnectProxy


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a path answers.

    With `auth` only to requests that carry this Authorization: others get 401 and `headers`, these `then`.
    """

    status: int = 200
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    auth: str | None = None
    then: Mapping[str, str] | None = None
    hangs: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came."""

    method: str
    host: str
    path: str
    auth: str | None


class Registries:
    """The servers; use it as an async context manager.

    Attributes:
        replies: by host and path; 404 for any other.
        seen: the requests, in order.
    """

    def __init__(self, *hosts: str) -> None:
        """Prepare; only these hosts have a certificate."""
        authority = Authority()
        self._serving = authority.server_context(*hosts)
        self.authorities = ssl.create_default_context(cadata=authority.certificate.decode())
        self.replies: dict[str, Reply] = {}
        self.seen: list[Seen] = []

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", ssl_context=self._serving, port=0).start()
        self._proxy = ConnectProxy(self._runner.addresses[0][1])
        await self._proxy.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._proxy.__aexit__()
        await self._runner.cleanup()

    @property
    def proxies(self) -> Proxies:
        """The way to them."""
        return Proxies(https=self._proxy.url())

    def logins(self) -> set[tuple[str, str]]:
        """Which host got which Authorization."""
        return {(each.host, each.auth) for each in self.seen if each.auth}

    async def _serve(self, request: web.Request) -> web.Response:
        auth = request.headers.get("Authorization")
        self.seen.append(Seen(request.method, request.host, request.path_qs, auth))
        reply = self.replies.get(f"{request.host}{request.path}", Reply(status=404))
        if reply.hangs:
            await asyncio.sleep(60)
        if reply.auth is not None and auth != reply.auth:
            return web.Response(status=401, headers=reply.headers, body=reply.body)
        headers = reply.headers if reply.auth is None else reply.then
        return web.Response(status=reply.status, headers=headers, body=reply.body)
