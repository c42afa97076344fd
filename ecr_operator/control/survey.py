"""How all resources are at one moment, as the metrics show it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from ecr_operator.control.inventory import Inventory
from ecr_operator.model.conditions import said_ready
from ecr_operator.model.desired import Resource
from ecr_operator.model.outcome import TokenTimes
from ecr_operator.model.schedule import refresh_deadline
from ecr_operator.telemetry.collector import Readiness, ResourceState

_WORDS: Final[Mapping[bool | None, Readiness]] = {True: "true", False: "false", None: "unknown"}


def survey(inventory: Inventory, now: datetime) -> list[ResourceState]:
    """Look at every resource and its Secret.

    Args:
        inventory: what was last seen.
        now: UTC.
    """
    return [_state(inventory, resource, now) for resource in inventory.resources()]


def _state(inventory: Inventory, resource: Resource, now: datetime) -> ResourceState:
    times = _times(inventory, resource)
    return ResourceState(
        key=resource.key,
        ready=_WORDS[said_ready(resource.status)],
        expires_at=times.expires_at.timestamp() if times else None,
        overdue=_overdue(resource, times, now) if times else 0.0,
    )


def _times(inventory: Inventory, resource: Resource) -> TokenTimes | None:
    """Those of the token in the resource's own Secret, whatever is wrong with its spec."""
    view = inventory.own_secret(resource)
    return view.times if view else None


def _overdue(resource: Resource, times: TokenTimes, now: datetime) -> float:
    if resource.wanted is None or resource.wanted.suspended:
        return 0.0
    deadline = refresh_deadline(times, resource.wanted.frequency, resource.uid)
    return max((now - deadline).total_seconds(), 0.0)
