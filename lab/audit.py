"""Reads the audit log that the lab's control plane writes: counts requests, or follows those of one user."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, NamedTuple

from lab.waiting import wait_for

_LEASES: Final = "leases.coordination.k8s.io"
_READS: Final = {"get", "list", "watch"}


class Request(NamedTuple):
    """A verb (`list`, `watch`, `patch`…), a resource, and a subresource or ""."""

    verb: str
    resource: str
    subresource: str

    @property
    def is_for_a_lease(self) -> bool:
        """Whether it is part of the leader election."""
        return self.resource == _LEASES

    @property
    def is_write(self) -> bool:
        """Whether it changes anything but a Lease."""
        return self.verb not in _READS and not self.is_for_a_lease


class Mark(NamedTuple):
    """A moment: pass it as `since` to count what the API server received later.

    A request is logged after its answer was sent, so the place in the log alone would let earlier ones in.
    """

    place: int
    time: str


BEGINNING: Final = Mark(0, "")


def mark(log: Path) -> Mark:
    """Return the present moment."""
    return Mark(position(log), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")


def position(log: Path) -> int:
    """Return a log's present end in bytes."""
    return log.stat().st_size if log.exists() else 0


def entries(log: Path, since: Mark = BEGINNING, *, user: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the log's entries, all or one user's; those of others are not parsed."""
    wanted = b"" if user is None else _by(user)
    for line in _lines(log, since.place):
        if wanted in line:
            entry = json.loads(line)
            if entry.get("requestReceivedTimestamp", since.time) >= since.time:
                yield entry


def _by(user: str) -> bytes:
    """Return how an entry names its user."""
    return f'"username":"{user}"'.encode()


def _lines(log: Path, position: int) -> Iterator[bytes]:
    """Yield the lines from a position on, up to one that is still being written."""
    with log.open("rb") as stream:
        stream.seek(position)
        # Beyond a line without an end, the rest of it would come as another line.
        yield from takewhile(lambda line: line.endswith(b"\n"), stream)


def count_requests(
    log: Path, *, user: str | None = None, name: str | None = None, since: Mark = BEGINNING
) -> Counter[Request]:
    """Count requests by one user, for objects of one name; or all."""
    return Counter(
        _request(entry)
        for entry in entries(log, since, user=user)
        if "objectRef" in entry
        if name in (None, entry["objectRef"].get("name"))
    )


def _request(entry: dict[str, Any]) -> Request:
    """Name the resource: `secrets` of the core group, else such as `secrets.ecr.mobb.redhat.com`."""
    target = entry["objectRef"]
    resource = ".".join(filter(None, (target.get("resource", ""), target.get("apiGroup", ""))))
    return Request(entry["verb"], resource, target.get("subresource", ""))


class AuditTail:
    """One user's requests from now on, without parsing those of others.

    Attributes:
        requests: how many of each kind.
        last_at: when the last write of each kind was answered, epoch seconds; not of those to a Lease.
    """

    def __init__(self, log: Path, user: str) -> None:
        self._log = log
        self._mark = _by(user)
        self._position = position(log)
        self.requests: Counter[Request] = Counter()
        self.last_at: dict[Request, float] = {}

    @property
    def writes(self) -> int:
        """How many writes there were but to a Lease."""
        return sum(count for request, count in self.requests.items() if request.is_write)

    @property
    def last_write(self) -> float:
        """When the last write but to a Lease was answered, epoch seconds."""
        return max(self.last_at.values(), default=0.0)

    @property
    def watches(self) -> int:
        """How many watches were opened."""
        return sum(count for request, count in self.requests.items() if request.verb == "watch")

    def read(self) -> None:
        """Count what was logged since the last time."""
        for line in _lines(self._log, self._position):
            self._position += len(line)
            if self._mark in line and b'"objectRef"' in line:
                entry = json.loads(line)
                request = _request(entry)
                self.requests[request] += 1
                if request.is_write:
                    answered = datetime.fromisoformat(entry["stageTimestamp"]).timestamp()
                    self.last_at[request] = max(self.last_at.get(request, 0.0), answered)

    async def until(self, request: Request, count: int, timeout: float) -> None:
        """Wait for that many requests of one kind. Raises TimeoutError after `timeout` seconds."""

        def reached() -> bool:
            self.read()
            return self.requests[request] >= count

        await wait_for(reached, timeout, f"{count} of {request}")
