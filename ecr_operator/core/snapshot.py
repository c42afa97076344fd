"""How all resources are at one moment, as the metrics show it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from ecr_operator.api.desired import Resource
from ecr_operator.api.outcome import TokenTimes
from ecr_operator.core.cache import Cache
from ecr_operator.core.schedule import refresh_deadline
from ecr_operator.core.status import reported_ready
from ecr_operator.telemetry.metrics import Readiness, ResourceSample

_WORDS: Final[Mapping[bool | None, Readiness]] = {True: "true", False: "false", None: "unknown"}


def snapshot(cache: Cache, now: datetime) -> list[ResourceSample]:
    """Look at every resource and its Secret.

    Args:
        cache: what was last seen.
        now: UTC.
    """
    return [_state(cache, resource, now) for resource in cache.resources()]


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
