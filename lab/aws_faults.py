"""What can go wrong at the local AWS, and on which calls."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from aiohttp import web

from lab.aws_calls import Call

# Invalid answers with HTTP 200. `RESHAPED` names those that are made from a valid answer.
RAW_BODIES: Final[Mapping[str, bytes]] = {
    "text": b"upstream says hello",
    "html": b"<!DOCTYPE html><html><body><h1>Sign in to the guest network</h1></body></html>",
    "empty": b"",
    "empty-object": b"{}",
    "list": b"[]",
    "half": b'{"authorizationData":[{"authorizationToken":"QVdTOm',
    "binary": b"\xff\xfe\x00\x80\x81",
}
_CHANGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "not-base64": {"authorizationToken": "%% not base64 %%"},
    "no-prefix": {"authorizationToken": "Ym9iOmhhbGxv"},
    "no-token": {"authorizationToken": None},
    "no-expiry": {"expiresAt": None},
    "odd-expiry": {"expiresAt": 1e300},
    "past-expiry": {"expiresAt": 1.7e9},
}
RESHAPED: Final = ("no-data", *_CHANGES)
GARBAGE: Final = (*RAW_BODIES, *RESHAPED)


def reshape(body: str, datum: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Spoil a valid authorization datum in the way that one of `RESHAPED` names; "" leaves it as it is."""
    if body == "no-data":
        return []
    changed = {**datum, **(_CHANGES[body] if body else {})}
    return [{name: value for name, value in changed.items() if value is not None}]


@dataclass(slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong, `times` times or, with None, until cleared.

    Attributes:
        kind: `error` of AWS, `garbage`, `hang` (no answer until released), or `reset` (of the connection).
        code, status, message, retry_after: of an `error`.
        body: which of `GARBAGE`, for `garbage`.
        operation, region, access_key: of the calls that it hits, the latter two as globs; None is any.
    """

    kind: str
    times: int | None = None
    code: str = "InternalFailure"
    status: int = 500
    message: str = "We encountered an internal error. Please try again."
    retry_after: float | None = None
    body: str = ""
    operation: str | None = None
    region: str | None = None
    access_key: str | None = None

    def hits(self, call: Call) -> bool:
        """Whether it hits this call; counts it if so."""
        if self.times == 0 or not self._matches(call):
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def _matches(self, call: Call) -> bool:
        wanted = (self.operation, self.region, self.access_key)
        seen = (call.operation, call.region, call.access_key)
        return all(want is None or fnmatchcase(have, want) for want, have in zip(wanted, seen, strict=True))


class AwsFaults:
    """What goes wrong at present, of which the oldest that fits a call wins.

    The methods that add a fault take fields of `Fault`.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._released = asyncio.Event()

    def add(self, fault: Fault) -> Fault:
        """Put one more fault at the end of the plan."""
        self.faults.append(fault)
        return fault

    def release(self) -> None:
        """Let what hangs go on, and hang no more."""
        self.faults = [fault for fault in self.faults if fault.kind != "hang"]
        self._released.set()
        self._released = asyncio.Event()

    def clear(self) -> None:
        """Let nothing go wrong any more; also releases."""
        self.faults.clear()
        self.release()

    def find_fault(self, call: Call) -> Fault | None:
        """Return the fault that hits this call, if any."""
        return next((fault for fault in self.faults if fault.hits(call)), None)

    async def released(self) -> None:
        """Wait for the next `release`."""
        await self._released.wait()

    def fail(self, code: str, status: int = 400, message: str = "Refused by the lab.", **match: Any) -> Fault:
        """Answer with an AWS error."""
        return self.add(Fault(kind="error", code=code, status=status, message=message, **match))

    def throttle(self, **match: Any) -> Fault:
        """Answer as AWS does to too many requests."""
        return self.fail("ThrottlingException", 400, "Rate exceeded", **match)

    def garble(self, body: str, **match: Any) -> Fault:
        """Answer 200 with one of `GARBAGE`."""
        return self.add(Fault(kind="garbage", body=body, **match))

    def hang(self, **match: Any) -> Fault:
        """Answer nothing until `release`, or until the client disconnects."""
        return self.add(Fault(kind="hang", **match))

    def reset(self, **match: Any) -> Fault:
        """Reset the connection in place of an answer."""
        return self.add(Fault(kind="reset", **match))


def reset(request: web.Request) -> web.Response:
    """Reset a request's connection; the answer only ends its handler."""
    if request.transport is not None:
        # A linger of 0 s makes the kernel send RST in place of FIN.
        linger = struct.pack("ii", 1, 0)
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        request.transport.abort()
    return web.Response()
