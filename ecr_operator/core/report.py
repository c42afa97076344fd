"""One outcome, rendered as condition, Event, log line and metric.

Invariants: a status is written only when it changes; one that can't be written is reported once, by Event and
log. That of a ClusterSecret's part is kept in memory, for the status of the whole; its Events are the
ClusterSecret's and name the namespace.
Leaves out: what the words are (outcomes, status), and another try (worker).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import structlog

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import OperatorError, PermanentError
from ecr_operator.api.outcome import Outcome, Reason, ResourceKey
from ecr_operator.api.text import format_time
from ecr_operator.core.cache import Cache
from ecr_operator.core.ports import Clock, EventSink, Resources
from ecr_operator.core.schedule import refresh_deadline
from ecr_operator.core.state import ResourceState, Result, spec_version
from ecr_operator.core.status import as_event, is_legacy_part, is_ready, next_status, outcome_changed
from ecr_operator.telemetry.metrics import Metrics

_MOST_REGIONS: Final = 5  # in a log line
# Seconds between two writes of a ClusterSecret's status.
_CLUSTER_INTERVAL: Final = 1.0
# The status has no word for these.
_EVENT_ONLY: Final = (Reason.REPAIRED, Reason.ADOPTED)

log = structlog.get_logger(__name__)


class Reporter:
    """Reports what a pass came to.

    Args:
        cache: gets the status that was written.
        resources: writes the status.
        events: gets changes of outcome.
        metrics: count outcomes.
        enqueue: called with a ClusterSecret when one of its parts has another status.
        clock: both times.
    """

    def __init__(  # noqa: PLR0913 - where it reports to
        self,
        *,
        cache: Cache,
        resources: Resources,
        events: EventSink,
        metrics: Metrics,
        enqueue: Callable[[ResourceKey], None],
        clock: Clock,
    ) -> None:
        self._cache = cache
        self._resources = resources
        self._events = events
        self._metrics = metrics
        self._enqueue = enqueue
        self._clock = clock

    def count(self, state: ResourceState, result: Result) -> None:
        """Count a pass in the metrics; that there was nothing to do is not counted."""
        outcome, resource = result.outcome, state.resource
        if outcome is None or result.pending:
            return
        state.failing = outcome.reason if outcome.is_failure else None
        if outcome.coverage:
            return  # its parts are counted
        if result.refreshed or state.failing:
            self._metrics.refreshed(state.key.kind, outcome.reason)
        if result.replaced and resource.desired:
            due = refresh_deadline(result.replaced, resource.desired.frequency, resource.uid)
            # One that was requested comes before its time.
            if (late := (self._clock.now() - due).total_seconds()) >= 0:
                self._metrics.late(late)

    async def report(
        self, state: ResourceState, resource: Resource, result: Result, *, waited: bool, began: float
    ) -> None:
        """Write the status if it differs, and log it; emit an Event if the outcome has changed."""
        outcome = result.outcome
        if outcome is None:
            return
        if result.pending and not _is_pending_news(resource, outcome, waited=waited):
            return
        now = self._clock.now()
        resource = _with_latest_status(state, resource)
        status = next_status(resource, outcome, now, result.refresh_at)
        if is_announced := outcome.reason in _EVENT_ONLY:
            # Before the status is written: if that fails, the next pass finds nothing to repair.
            self._announce(state, resource, outcome, began)
        if await self._is_reported(resource, status):
            return
        state.reporting = True
        try:
            kept = await self._write(state, resource, status)
        finally:
            state.reporting = False
        self._cache.remember_status(resource.key, resource.uid, kept)
        if is_announced:
            return
        self._log(state, resource, outcome, began)
        changed = outcome.reason is not Reason.PENDING and outcome_changed(resource.status, status)
        if changed and not resource.key.is_part:
            self._events.emit(resource, as_event(outcome, resource.status, now))

    async def _write(
        self, state: ResourceState, resource: Resource, status: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Write the status; that of a part is kept for the status of its ClusterSecret."""
        if resource.key.is_part:
            self._enqueue(resource.key.cluster)
            whole = self._cache.get(resource.key.cluster)
            if whole is None:
                return status
            # Most parts have the same, which is kept once.
            whole.part_status = whole.part_status if status == whole.part_status else status
            return whole.part_status
        if resource.key.is_cluster:
            state.not_before, state.resting = self._clock.monotonic() + _CLUSTER_INTERVAL, None
        return await self._resources.write(resource, status)

    async def _is_reported(self, resource: Resource, status: dict[str, Any]) -> bool:
        """Whether the status has all of this that the resource's CRD can hold."""
        if status == resource.status:
            return True
        if not is_legacy_part(resource.status, status):
            return False
        return not await self._resources.keeps_details(resource.key.kind)

    def status_refused(
        self, state: ResourceState, resource: Resource, result: Result, error: OperatorError
    ) -> None:
        """Report once that the status of a spec can't be written, and the outcome in spite of it."""
        if isinstance(error, PermanentError) and state.refused_status != spec_version(resource):
            state.refused_status = spec_version(resource)
            log.warning("status can't be written", error=error.message, **log_fields(resource.key))
            if result.outcome and result.outcome.reason not in _EVENT_ONLY:
                self._announce(state, resource, result.outcome, self._clock.monotonic())

    def _announce(self, state: ResourceState, resource: Resource, outcome: Outcome, began: float) -> None:
        """Log it and emit an Event; that of a part is its ClusterSecret's and names the namespace."""
        if not resource.key.is_part:
            self._events.emit(resource, outcome)
        elif cluster := self._cache.resource(resource.key.cluster):
            message = f"Namespace {resource.key.namespace}: {outcome.message}"
            self._events.emit(cluster, replace(outcome, message=message))
        self._log(state, resource, outcome, began)

    def _log(self, state: ResourceState, resource: Resource, outcome: Outcome, began: float) -> None:
        # The line of a ClusterSecret counts its parts; each that fails has one of its own.
        level = log.warning if outcome.is_failure else log.debug if resource.key.is_part else log.info
        is_first = not state.logged and "observedGeneration" not in resource.status
        state.logged = True
        level(
            outcome.message,
            # Not counted against the namespace's share of the log.
            **({"first": True} if is_first else {}),
            reason=outcome.reason,
            ready=is_ready(outcome, self._clock.now()),
            expires=format_time(outcome.times.expires_at) if outcome.times else None,
            region=",".join(resource.desired.regions[:_MOST_REGIONS]) if resource.desired else None,
            duration=round(self._clock.monotonic() - began, 3),
            **log_fields(resource.key),
        )


def _with_latest_status(state: ResourceState, resource: Resource) -> Resource:
    """The resource as it was reconciled, with the status that it has by now."""
    latest = state.resource
    if latest is resource:
        return resource
    return replace(resource, status=latest.status, deleting=latest.deleting)


def _is_pending_news(resource: Resource, outcome: Outcome, *, waited: bool) -> bool:
    """Whether to report that AWS is being called: not while it answers fast, and not on retries."""
    if outcome.times is not None:
        # The token in the Secret has expired meanwhile.
        return resource.status.get("phase") == "Updated"
    return waited and resource.status.get("observedGeneration") != resource.generation


def log_fields(key: ResourceKey) -> dict[str, str]:
    """What every log line about a resource has."""
    return {
        "kind": key.kind,
        **({"namespace": key.namespace} if key.namespace else {}),
        "name": key.name,
    }
