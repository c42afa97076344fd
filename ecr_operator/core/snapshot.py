"""What a scrape shows of the resources, and how late the event loop is."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from ecr_operator.api.desired import Resource
from ecr_operator.api.outcome import Reason, TokenTimes
from ecr_operator.core.cache import Cache
from ecr_operator.core.ports import Clock
from ecr_operator.core.schedule import refresh_deadline
from ecr_operator.core.status import reported_ready
from ecr_operator.telemetry.metrics import Readiness, ResourceSample

_PERIOD: Final = 1.0
_WORDS: Final[Mapping[bool | None, Readiness]] = {True: "true", False: "false", None: "unknown"}


def snapshot(cache: Cache, now: datetime) -> list[ResourceSample]:
    """Every resource and its Secret at one moment; `now` is UTC."""
    return [_state(cache, resource, now) for resource in cache.resources()]


def failing(cache: Cache) -> Counter[tuple[str, Reason]]:
    """How many resources fail, by kind and reason."""
    return Counter((state.key.kind, state.failing) for state in cache.states() if state.failing)


async def measure_loop_lag(clock: Clock, observe: Callable[[float], None]) -> None:
    """Sleep, and report by how many seconds the wake-up was late, until cancelled."""
    while True:
        due = clock.monotonic() + _PERIOD
        await clock.sleep(_PERIOD)
        observe(max(clock.monotonic() - due, 0.0))


def _state(cache: Cache, resource: Resource, now: datetime) -> ResourceSample:
    times = _times(cache, resource)
    return ResourceSample(
        key=resource.key,
        ready=_WORDS[reported_ready(resource.status)],
        expires_at=times.expires_at.timestamp() if times else None,
        overdue=_overdue(resource, times, now) if times else 0.0,
    )


def _times(cache: Cache, resource: Resource) -> TokenTimes | None:
    """Those of the token in the resource's own Secret, whatever is wrong with its spec."""
    view = cache.own_secret(resource)
    return view.times if view else None


def _overdue(resource: Resource, times: TokenTimes, now: datetime) -> float:
    if resource.desired is None or resource.desired.suspended:
        return 0.0
    deadline = refresh_deadline(times, resource.desired.frequency, resource.uid)
    return max((now - deadline).total_seconds(), 0.0)
