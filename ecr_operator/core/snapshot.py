"""What a scrape shows of the resources, and how late the event loop is."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ecr_operator.api.desired import Resource
from ecr_operator.api.outcome import Reason, TokenTimes
from ecr_operator.api.text import mapping_in
from ecr_operator.core.cache import Cache
from ecr_operator.core.ports import Clock
from ecr_operator.core.schedule import refresh_deadline
from ecr_operator.core.status import reported_ready
from ecr_operator.telemetry.metrics import Readiness, ResourceSample

_PERIOD: Final = 1.0
_WORDS: Final[Mapping[bool | None, Readiness]] = {True: "true", False: "false", None: "unknown"}


def snapshot(cache: Cache, now: datetime) -> list[ResourceSample]:
    """Every resource and its Secret at one moment, a ClusterSecret with all of its own; `now` is UTC."""
    resources, parts = list[Resource](), defaultdict[str, list[Resource]](list)
    for resource in cache.resources():
        if not resource.key.is_part:
            resources.append(resource)
        elif not (resource.desired and resource.desired.withdrawn):
            parts[resource.key.name].append(resource)
    return [
        _sample(cache, each, parts[each.key.name] if each.key.is_cluster else [each], now)
        for each in resources
    ]


def failing(cache: Cache) -> Counter[tuple[str, Reason]]:
    """How many resources fail, by kind and reason; a ClusterSecret counts once."""
    return Counter(
        (state.key.kind, state.failing) for state in cache.states() if state.failing and not state.key.is_part
    )


async def measure_loop_lag(clock: Clock, observe: Callable[[float], None]) -> None:
    """Sleep, and report by how many seconds the wake-up was late, until cancelled."""
    while True:
        due = clock.monotonic() + _PERIOD
        await clock.sleep(_PERIOD)
        observe(max(clock.monotonic() - due, 0.0))


def _sample(cache: Cache, resource: Resource, parts: Sequence[Resource], now: datetime) -> ResourceSample:
    """One resource, with the Secrets of its parts, which mostly hold the very same token."""
    held = {times for part in parts if (times := cache.own_times(part))}
    return ResourceSample(
        key=resource.key,
        ready=_WORDS[reported_ready(resource.status)],
        expires_at=min(times.expires_at for times in held).timestamp() if held else None,
        overdue=max((_overdue(parts[0], times, now) for times in held), default=0.0),
        namespaces=_namespaces(resource.status) if resource.key.is_cluster else None,
    )


def _overdue(resource: Resource, times: TokenTimes, now: datetime) -> float:
    if resource.desired is None or resource.desired.suspended:
        return 0.0
    deadline = refresh_deadline(times, resource.desired.frequency, resource.uid)
    return max((now - deadline).total_seconds(), 0.0)


def _namespaces(status: Mapping[str, Any]) -> tuple[int, int] | None:
    """How many namespaces are ready, and how many are not, as the status has it."""
    numbers = mapping_in(status, "namespaces")
    served, ready = numbers.get("served"), numbers.get("ready")
    if not isinstance(served, int) or not isinstance(ready, int):
        return None
    return ready, max(served - ready, 0)
