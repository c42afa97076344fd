"""An API server that says what a test tells it to, over real HTTP.

    async with ScriptedServer() as server:
        server.lists = [listing(version="7")]
        server.watches = [events(added("a", "8")), hold]

Lists, watches and all other requests have a script each; when it has run out, a request gets no answer.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request, as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: Any


class ScriptedServer:
    """The server.

    Attributes:
        asked: every request so far.
        lists: answers to GETs of collections, one after another.
        watches: answers to watches.
        others: answers to all else.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.lists: list[Answer] = []
        self.watches: list[Answer] = []
        self.others: list[Answer] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._serve)
        # Without handler_cancellation a held request would not notice that its client has left.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner:
            await self._runner.cleanup()

    def select(self, *, watch: bool) -> list[Asked]:
        """Choose the watches, or all that is none."""
        return [each for each in self.asked if ("watch" in each.query) is watch]

    async def until(self, requests: int, *, watch: bool | None = None, limit: float = 20) -> None:
        """Wait for that many requests, in bounded time."""
        await until(lambda: len(self.asked if watch is None else self.select(watch=watch)) >= requests, limit)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.asked.append(
            Asked(
                method=request.method,
                path=request.path,
                query=dict(request.query),
                headers=dict(request.headers),
                body=json.loads(text) if text else None,
            )
        )
        script = self._script(request)
        answer = script.pop(0) if script else hold
        return await answer(request)

    def _script(self, request: web.Request) -> list[Answer]:
        if "watch" in request.query:
            return self.watches
        return self.lists if request.method == "GET" and "limit" in request.query else self.others


async def until(met: Callable[[], bool], limit: float = 20) -> None:
    """Wait for what comes of a request, in bounded time."""
    async with asyncio.timeout(limit):
        while not met():  # noqa: ASYNC110 - a real server, which sets no event
            await asyncio.sleep(0.002)


async def hold(request: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise web.HTTPServiceUnavailable(reason=request.path)


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return text(json.dumps(body), status, headers, content_type="application/json")


def text(
    body: str | bytes,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = "text/html",
) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request
        content = body if isinstance(body, bytes) else body.encode()
        return web.Response(body=content, status=status, headers=headers, content_type=content_type)

    return answer


def refuse(code: int, reason: str, message: str = "no", **headers: str) -> Answer:
    return reply(
        status_object(code, reason, message),
        code,
        {key.replace("_", "-"): value for key, value in headers.items()},
    )


def status_object(code: int, reason: str, message: str = "no", **more: Any) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message, **more}


def listing(*names: str, version: str = "5", more: str = "") -> Answer:
    """Answer a list with objects of these names."""
    metadata = {"resourceVersion": version, **({"continue": more} if more else {})}
    return reply({"kind": "List", "metadata": metadata, "items": [thing(name, version) for name in names]})


def thing(name: str, version: str = "5", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "team", "uid": f"uid-of-{name}", "resourceVersion": version},
        **more,
    }


def event(kind: str, name: str = "a", version: str = "6", **more: Any) -> bytes:
    return line({"type": kind, "object": thing(name, version, **more)})


def failing(code: int, reason: str, **more: Any) -> bytes:
    """Make the line of a watch that tells of an error."""
    return line({"type": "ERROR", "object": status_object(code, reason, **more)})


def line(content: Any) -> bytes:
    """Make any line of a watch."""
    return json.dumps(content).encode() + b"\n"


def stream(*parts: bytes, then: str = "end", status: int = 200) -> Answer:
    """Answer a watch with these bytes; then `end` it properly, `cut` the connection, or `hold` it open."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        if then == "hold":
            await hold(request)
        if then == "cut" and request.transport:
            request.transport.close()
        return response

    return answer
