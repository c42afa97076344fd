"""Count requests in an API server's audit log, as the control plane of the lab writes it."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Request(NamedTuple):
    """What was asked: `list`, `watch`, `patch`…, of which resource, and which part of it ("" for all)."""

    verb: str
    resource: str
    subresource: str


def position(log: Path) -> int:
    """Return the log's present end in bytes: pass it as `since` to count what comes later."""
    return log.stat().st_size if log.exists() else 0


def entries(log: Path, since: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the log's entries; a last line that is still being written is left for the next reader."""
    with log.open("rb") as stream:
        stream.seek(since)
        for line in stream:
            if line.endswith(b"\n"):
                yield json.loads(line)


def count_requests(
    log: Path,
    *,
    user: str | None = None,
    agent: str | None = None,
    name: str | None = None,
    since: int = 0,
) -> Counter[Request]:
    """Count requests by one user, or whose user agent contains `agent`, for objects of one name; or all."""
    return Counter(
        request
        for entry in entries(log, since)
        if user in (None, entry["user"].get("username")) and (agent or "") in entry.get("userAgent", "")
        if name in (None, entry.get("objectRef", {}).get("name"))
        for request in _requests(entry)
    )


def _requests(entry: dict[str, Any]) -> Iterator[Request]:
    target = entry.get("objectRef")
    if target:
        yield Request(entry["verb"], _resource(target), target.get("subresource", ""))


def _resource(target: dict[str, Any]) -> str:
    """Name a resource: `secrets` for the core group, else `secrets.ecr.mobb.redhat.com`."""
    return ".".join(filter(None, (target.get("resource", ""), target.get("apiGroup", ""))))
