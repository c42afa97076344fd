"""Follow one user's requests by the API server's audit log, while they are being timed.

Invariant: the observer costs next to nothing: it reads the end of a file ten times a second. When a write
ended is taken from the server's own time stamps, so looking seldom makes nothing less exact.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from lab.audit import Request, position
from lab.processes import LabError

STATUSES: Final = Request("patch", "secrets.ecr.mobb.redhat.com", "status")
SECRETS_APPLIED: Final = Request("patch", "secrets", "")

_LEASES: Final = "leases.coordination.k8s.io"
_LOOK_EVERY: Final = 0.1
_READS: Final = frozenset({"get", "list", "watch"})


class AuditTail:
    """One user's requests from now on.

    Attributes:
        requests: how many of each kind.
        first_write: when the first write to anything but a Lease was answered, epoch seconds; 0 before any.
        last_write: the same of the last.
    """

    def __init__(self, log: Path, user: str) -> None:
        """Begin at the log's present end."""
        self._log = log
        self._mark = f'"username":"{user}"'.encode()
        self._position = position(log)
        self.requests: Counter[Request] = Counter()
        self.first_write = 0.0
        self.last_write = 0.0

    @property
    def writes(self) -> int:
        """How many writes there were, to anything but a Lease."""
        return sum(count for request, count in self.requests.items() if is_write(request))

    @property
    def watches(self) -> int:
        """How many watches were opened."""
        return sum(count for request, count in self.requests.items() if request.verb == "watch")

    def read(self) -> None:
        """Take in what was written since the last time."""
        for entry in self._entries():
            request = _request(entry["verb"], entry["objectRef"])
            self.requests[request] += 1
            if is_write(request):
                answered = _answered_at(entry)
                self.first_write = min(self.first_write or answered, answered)
                self.last_write = max(self.last_write, answered)

    async def until(self, request: Request, count: int, timeout: float = 120.0) -> None:
        """Wait until there were that many requests of one kind.

        Raises LabError after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while self.requests[request] < count:
            if time.monotonic() > deadline:
                message = f"{self.requests[request]} of {count} after {timeout:g} s: {request}"
                raise LabError(message)
            await asyncio.sleep(_LOOK_EVERY)
            self.read()

    def _entries(self) -> Iterator[dict[str, Any]]:
        """Yield this user's new entries, without parsing those of others."""
        with self._log.open("rb") as stream:
            stream.seek(self._position)
            whole, newline, _ = stream.read().rpartition(b"\n")
        self._position += len(whole) + len(newline)
        for line in whole.splitlines():
            if self._mark in line and b'"objectRef"' in line:
                yield json.loads(line)


def is_write(request: Request) -> bool:
    """Whether a request changes anything but a Lease."""
    return request.verb not in _READS and not is_of_lease(request)


def is_of_lease(request: Request) -> bool:
    """Whether a request is about a Lease."""
    return request.resource == _LEASES


def _request(verb: str, target: dict[str, str]) -> Request:
    group = target.get("apiGroup")
    resource = f"{target['resource']}.{group}" if group else target["resource"]
    return Request(verb, resource, target.get("subresource", ""))


def _answered_at(entry: dict[str, Any]) -> float:
    return datetime.fromisoformat(entry["stageTimestamp"]).timestamp()
