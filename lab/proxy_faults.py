"""What the fault proxy can do to a request, and to which."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypedDict

from aiohttp import web

HTML: Final = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>\n"
ERROR_410: Final = (
    json.dumps(
        {
            "type": "ERROR",
            "object": {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "reason": "Expired",
                "code": 410,
                "message": "too old resource version",
            },
        }
    ).encode()
    + b"\n"
)

FaultKind = Literal["answer", "drop", "hang", "delay"]

_COLLECTIONS: Final = {"secrets", "argohelmreposecrets", "namespaces", "events"}
_REASONS: Final = {
    403: "Forbidden",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


@dataclass(slots=True, kw_only=True)
class Asked:
    """One request.

    Attributes:
        at: monotonic seconds.
        verb: `list`, `watch`, `get`, or the method in small letters.
        path: without the query.
        fault: what was done to it, or an empty string.
    """

    at: float
    verb: str
    path: str
    fault: str = ""


class Match(TypedDict, total=False):
    """Which requests a fault hits; see `Fault`."""

    verb: str | None
    path: str
    times: int | None


@dataclass(slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong; of several that fit a request, the oldest wins.

    Attributes:
        kind: an answer of the proxy's own, a cut connection, silence, or a delay.
        status: HTTP status, for `answer`.
        body: for `answer`; a Status object if None.
        headers: for `answer`.
        seconds: for `delay`.
        after: the server gets the request first, and its answer is lost.
        verb: as in `Asked`; None is any.
        path: an expression that is searched for in the path.
        times: how many requests it hits; None is until cleared.
    """

    kind: FaultKind
    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    after: bool = False
    verb: str | None = None
    path: str = ""
    times: int | None = None

    def fits(self, asked: Asked) -> bool:
        """Whether the request is one of those."""
        return self.verb in (None, asked.verb) and re.search(self.path, asked.path) is not None

    def hits(self, asked: Asked) -> bool:
        """Whether it hits this request; counts it if so."""
        if self.times == 0 or not self.fits(asked):
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def response(self) -> web.Response:
        """The answer of an `answer`."""
        if self.body is None:
            return web.Response(
                body=json.dumps(self._status_object()).encode(),
                status=self.status,
                headers={"Content-Type": "application/json", **self.headers},
            )
        return web.Response(body=self.body, status=self.status, headers=self.headers)

    def _status_object(self) -> Mapping[str, object]:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "said by the fault proxy",
            "reason": _REASONS.get(self.status, "Unknown"),
            "code": self.status,
        }


def read_asked(request: web.Request) -> Asked:
    """Read what is asked."""
    verb = request.method.lower()
    if verb == "get" and request.path.rpartition("/")[2] in _COLLECTIONS:
        verb = "watch" if request.query.get("watch") == "true" else "list"
    return Asked(at=time.monotonic(), verb=verb, path=request.path)
