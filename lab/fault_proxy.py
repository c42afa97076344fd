"""A proxy between the operator and the API server that fails as networks and servers do.

It terminates TLS with a certificate of its own authority, which the kubeconfig that it writes trusts, and
forwards requests as the user of the kubeconfig that it was given, so that client certificates work.

    async with FaultProxy(plane.kubeconfig) as proxy:
        ...  # an operator with proxy.kubeconfig
        proxy.answer(410, verb="watch", times=1)
        proxy.cut()

Invariant: every request is recorded on arrival; leaving the context ends all requests.
"""

import asyncio
import base64
import contextlib
import json
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import yaml
from aiohttp import web

from lab import faults, kubectl
from lab.certificates import Authority, load_chain
from lab.processes import temporary_folder

_COLLECTIONS: Final = {"secrets", "argohelmreposecrets", "namespaces", "events"}
_DROPPED: Final = {
    *("authorization", "connection", "content-length", "host", "keep-alive", "transfer-encoding"),
}
_REASONS: Final = {
    403: "Forbidden",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


def _status_object(code: int, message: str) -> dict[str, object]:
    reason = _REASONS.get(code, "Unknown")
    about = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return {**about, "reason": reason, "code": code, "message": message}


HTML: Final = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>\n"
_EXPIRED: Final = {"type": "ERROR", "object": _status_object(410, "too old resource version")}
ERROR_410: Final = json.dumps(_EXPIRED).encode() + b"\n"


@dataclass(slots=True, kw_only=True)
class Request:
    """One request, at a monotonic time; `verb` is list, watch, get, or the method in small letters.

    `path` is without the query; `fault` is the kind of fault that hit it, or empty.
    """

    at: float
    verb: str
    path: str
    fault: str = ""

    def matches(self, verb: str | None, path: str) -> bool:
        """Whether its verb is this (None is any) and its path contains the expression."""
        return verb in (None, self.verb) and re.search(path, self.path) is not None


@dataclass(slots=True, kw_only=True)
class Fault(faults.Fault):
    """One thing that goes wrong.

    Attributes:
        kind: `answer` of the proxy's own, `drop` (a reset), `hang` until released, or `delay` of `seconds`.
        status, body, headers: of an `answer`; without a body it is a Status object.
        after: the server gets the request first, and its answer is lost.
        verb, path: of the requests that it hits; None is any verb, the path is searched for an expression.
    """

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    after: bool = False
    verb: str | None = None
    path: str = ""

    def fits(self, call: Request) -> bool:
        """Whether verb and path match."""
        return call.matches(self.verb, self.path)

    def response(self) -> web.Response:
        """Make the answer of an `answer`."""
        if self.body is not None:
            return web.Response(body=self.body, status=self.status, headers=self.headers)
        content = _status_object(self.status, "an answer of the fault proxy")
        return web.json_response(content, status=self.status, headers=self.headers)


class FaultProxy(faults.Faults[Fault]):
    """A proxy in front of the API server of the kubeconfig `behind`, as its user.

    Attributes:
        kubeconfig: a file that leads to the proxy and trusts it alone.
        requests: all so far, in order.
    """

    def __init__(self, behind: Path) -> None:
        super().__init__()
        self._behind = behind
        self._authority = Authority()
        self._stack = contextlib.ExitStack()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._watches: dict[asyncio.Future[bytes], None] = {}
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
        self.clear()
        self.cut()
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

    # --- what goes wrong; `fields` are those of a Fault --------------------------------------------------

    def answer(self, status: int, **fields: Any) -> Fault:
        """Answer with a status."""
        return self.add(Fault(kind="answer", status=status, **fields))

    def drop(self, **fields: Any) -> Fault:
        """Reset the connection in place of an answer."""
        return self.add(Fault(kind="drop", **fields))

    def hang(self, **fields: Any) -> Fault:
        """Answer nothing until `release`."""
        return self.add(Fault(kind="hang", **fields))

    def delay(self, seconds: float, **fields: Any) -> Fault:
        """Forward after that many seconds."""
        return self.add(Fault(kind="delay", seconds=seconds, **fields))

    def clear(self) -> None:
        """End all faults, and forward what hangs."""
        self._flowing.set()
        super().clear()

    def go_half_open(self) -> None:
        """Keep and accept connections, but let no byte of an answer through until `clear`."""
        self._flowing.clear()

    def cut(self) -> None:
        """Reset every connection."""
        for connection in self._runner.server.connections if self._runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()

    def end_watches(self, last: bytes = b"") -> int:
        """End the open watches in order, after these bytes, and return how many there were."""
        for future in self._watches:
            future.set_result(last)
        return len(self._watches)

    async def refuse(self) -> None:
        """Stop listening and reset every connection, until `accept`."""
        await self._site.stop()
        self.cut()

    async def accept(self) -> None:
        """Listen, on the same port each time."""
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._context)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    # --- requests ----------------------------------------------------------------------------------------

    def asked(self, since: float = 0.0, *, verb: str | None = None, path: str = "") -> list[Request]:
        """Choose requests by verb and path since a monotonic time."""
        return [each for each in self.requests if each.at >= since and each.matches(verb, path)]

    @property
    def open_watches(self) -> int:
        """How many watches go through this proxy now."""
        return len(self._watches)

    # --- forwarding --------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        asked = _read_request(request)
        self.requests.append(asked)
        await self._flowing.wait()
        fault = self.find_fault(asked)
        asked.fault = fault.kind if fault else ""
        if fault and fault.after:
            async with self._ask(request, body):
                pass
        if fault and fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        if fault and fault.kind == "hang":
            await self.released()
        if fault and fault.kind == "answer":
            return fault.response()
        if fault and (fault.kind == "drop" or fault.after):
            return faults.reset(request)
        return await self._forward(request, body, asked)

    def _ask(self, request: web.Request, body: bytes) -> aiohttp.client._RequestContextManager:
        return self._session.request(
            request.method,
            request.rel_url,
            data=body or None,
            headers=_forwarded(request.headers),
            allow_redirects=False,
        )

    async def _forward(self, request: web.Request, body: bytes, asked: Request) -> web.StreamResponse:
        try:
            async with self._ask(request, body) as answer:
                headers = _forwarded(answer.headers)
                if asked.verb == "watch" and answer.ok:
                    return await self._stream(request, answer, headers)
                text = await answer.read()
        except aiohttp.ClientError:
            return faults.reset(request)
        await self._flowing.wait()
        return web.Response(body=text, status=answer.status, headers=headers)

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        ending: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._watches[ending] = None
        try:
            await self._pump(answer, response, ending)
        except (aiohttp.ClientError, ConnectionError):
            return faults.reset(request)
        finally:
            del self._watches[ending]
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


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key.lower() not in _DROPPED}


def _read_request(request: web.Request) -> Request:
    verb = request.method.lower()
    if verb == "get" and request.path.rpartition("/")[2] in _COLLECTIONS:
        verb = "watch" if request.query.get("watch") == "true" else "list"
    return Request(at=time.monotonic(), verb=verb, path=request.path)
