"""The control path of the local AWS, for other processes; everything is JSON.

GET    /_lab            settings and counts by operation, region and outcome
PATCH  /_lab            settings to change: token_life, credential_life, delay (seconds), check_clock,
                        clock_offset, known_keys ({access key: secret key or null}, or null for everybody)
GET    /_lab/calls      every call; ?operation=, ?region= and ?outcome= choose
GET    /_lab/faults     what goes wrong
POST   /_lab/faults     one more fault: the fields of `aws_faults.Fault`
DELETE /_lab/faults     clear, which releases what hangs
POST   /_lab/release    answer what hangs
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from lab.aws_faults import Fault

if TYPE_CHECKING:
    from lab.aws import LocalAws

_Handler = Callable[[web.Request], Awaitable[web.Response]]


def routes(aws: "LocalAws") -> list[web.RouteDef]:
    """Make the routes that steer this local AWS."""
    control = _Control(aws)
    return [
        web.get("/_lab", control.state),
        web.patch("/_lab", _checked(control.change)),
        web.get("/_lab/calls", control.calls),
        web.get("/_lab/faults", control.faults),
        web.post("/_lab/faults", _checked(control.add_fault)),
        web.delete("/_lab/faults", control.clear),
        web.post("/_lab/release", control.release),
    ]


class _Control:
    def __init__(self, aws: "LocalAws") -> None:
        self._aws = aws

    async def state(self, _request: web.Request) -> web.Response:
        counts = Counter((call.operation, call.region, call.outcome) for call in self._aws.calls)
        names = ("operation", "region", "outcome", "count")
        rows = [dict(zip(names, (*key, count), strict=True)) for key, count in sorted(counts.items())]
        return web.json_response({"url": self._aws.url, "settings": self._settings(), "counts": rows})

    async def change(self, request: web.Request) -> web.Response:
        for name, value in (await request.json()).items():
            setattr(self._holder(name), _ATTRIBUTES.get(name, name), value)
        return await self.state(request)

    async def calls(self, request: web.Request) -> web.Response:
        chosen = {name: request.query.get(name) for name in ("region", "outcome")}
        calls = self._aws.select(request.query.get("operation"), **chosen)
        return web.json_response([asdict(call) for call in calls])

    async def faults(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(fault) for fault in self._aws.faults])

    async def add_fault(self, request: web.Request) -> web.Response:
        fault = self._aws.add(Fault(**await request.json()))
        return web.json_response(asdict(fault), status=201)

    async def clear(self, request: web.Request) -> web.Response:
        self._aws.clear()
        return await self.faults(request)

    async def release(self, request: web.Request) -> web.Response:
        self._aws.release()
        return await self.faults(request)

    def _settings(self) -> dict[str, Any]:
        # The secret keys stay here.
        known = self._aws.keys.known
        shown = {name: getattr(self._holder(name), name) for name in _SETTINGS}
        return shown | {"known_keys": None if known is None else sorted(known)}

    def _holder(self, name: str) -> object:
        if name in ("token_life", "credential_life", "account"):
            return self._aws.services
        if name in ("check_clock", "clock_offset", "known_keys"):
            return self._aws.keys
        if name == "delay":
            return self._aws
        message = f"unknown setting: {name}"
        raise ValueError(message)


_SETTINGS: Final = ("token_life", "credential_life", "account", "check_clock", "clock_offset", "delay")
_ATTRIBUTES: Final = {"known_keys": "known"}


def _checked(handler: _Handler) -> _Handler:
    """Answer 400 in place of 500 to what can't be read."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except (json.JSONDecodeError, TypeError, ValueError, AttributeError) as error:
            return web.json_response({"error": str(error)}, status=400)

    return answer
