"""Workers: get a key, reconcile, report, requeue.

Guarantees: a fault of one key delays no other and ends no worker; a status is written only when it changes;
a resource whose status can't be written is reported once, by Event and log. One outcome is rendered as
condition, Event, log line and metric, all from here.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.api.outcome import Outcome, Reason, ResourceKey
from ecr_operator.api.parsing import parse_resource
from ecr_operator.api.text import format_time
from ecr_operator.core.cache import Cache
from ecr_operator.core.cluster_outcome import unreported
from ecr_operator.core.cluster_secrets import ClusterSecrets
from ecr_operator.core.ports import Clock, EventSink, Links, ResourceReader, StatusWriter
from ecr_operator.core.queue import DeadlineQueue, Due
from ecr_operator.core.reconcile import Reconciler
from ecr_operator.core.schedule import kubernetes_retry_delay, longest_retry_delay, refresh_deadline
from ecr_operator.core.state import ResourceState, Result
from ecr_operator.core.status import as_event, is_legacy_part, is_ready, next_status, outcome_changed
from ecr_operator.telemetry.metrics import Metrics

_REPORT_PENDING_AFTER = 2.0
_OVER_LIMIT_RETRY = 5.0
_MOST_REGIONS = 5  # in a log line
_SHORTEST_ROUND = timedelta(seconds=1)
# Seconds in which changes of a ClusterSecret's parts are gathered, and between two writes of its status.
GATHERING = 0.3
_CLUSTER_INTERVAL = 1.0
# The status has no word for these.
_EVENT_ONLY = (Reason.REPAIRED, Reason.ADOPTED)

log = structlog.get_logger(__name__)


class Workers:
    """A number of workers over one queue.

    Args:
        queue: of the resources' keys.
        cache: the resources and what is remembered of each.
        reconciler: does the work on one resource.
        clusters: gathers what the parts of a ClusterSecret have come to.
        links: has its Secret linked after that.
        statuses: writes the status.
        resources: reads a resource that is known by name only, or in part.
        events: gets changes of outcome.
        metrics: count outcomes.
        clock: both times.
        rng: the source of jitter.
    """

    def __init__(  # noqa: PLR0913 - the parts that it is made of
        self,
        *,
        queue: DeadlineQueue[ResourceKey],
        cache: Cache,
        reconciler: Reconciler,
        clusters: ClusterSecrets,
        links: Links,
        statuses: StatusWriter,
        resources: ResourceReader,
        events: EventSink,
        metrics: Metrics,
        clock: Clock,
        rng: random.Random | None = None,
    ) -> None:
        self._queue = queue
        self._cache = cache
        self._reconciler = reconciler
        self._clusters = clusters
        self._links = links
        self._statuses = statuses
        self._resources = resources
        self._events = events
        self._metrics = metrics
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret

    async def run(self, count: int) -> None:
        """Begin a term: reconcile every resource, whatever was planned for it, and work until cancelled."""
        for state in self._cache.states():
            state.begin_term()
            if state.key.is_part:
                # What it reported is in no other place, and may be another leader's by now.
                cluster = self._cache.resource(state.key.cluster)
                status = unreported(cluster.status) if cluster else {}
                self._cache.remember_status(state.key, state.resource.uid, status)
            # Its deadline may be that of a token which another leader has replaced since.
            self._queue.remove(state.key)
            self._queue.schedule_now(state.key)
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(self._work(), name=f"worker {number}")

    async def _work(self) -> None:
        while True:
            due = await self._queue.get()
            state = self._cache.get(due.key)
            try:
                await (self._handle(due, state) if state else self._read_over_limit(due.key))
            except Exception as error:  # noqa: BLE001 - one key's fault must not end a worker
                # The type alone: the text of an unknown exception may contain a token.
                log.error("unexpected error", error=type(error).__name__, **_log_fields(due.key))  # noqa: TRY400
                if state:
                    self._retry(
                        state, TransientError(Reason.PENDING, "Unexpected error; see the operator's log.")
                    )
                else:
                    self._queue.schedule_in(due.key, _OVER_LIMIT_RETRY)
            finally:
                self._queue.done(due.key)

    async def _read_over_limit(self, key: ResourceKey) -> None:
        """Read a resource that is known by name only, now that its namespace has room for it."""
        if not self._cache.is_over_limit(key):
            return
        try:
            found = await self._resources.read(key)
        except OperatorError as error:
            self._queue.schedule_in(key, error.retry_after or _OVER_LIMIT_RETRY)
        else:
            self._cache.put_over_limit(key, found)

    async def _handle(self, due: Due[ResourceKey], state: ResourceState) -> None:
        """Make one pass over a resource, schedule the next, and report the outcome."""
        state.due = state.due or due.by_deadline
        if (wait := state.not_before - self._clock.monotonic()) > 0:
            # An event, such as the echo of our own write, must not cut short what the server asked for.
            self._queue.schedule_in(state.key, wait)
            return
        resource = await self._whole(state)
        if resource is None:
            return
        waited, began = state.fetch_began is not None, state.fetch_began or self._clock.monotonic()
        if state.key.is_cluster:
            result = self._clusters.outcome(state)
            if result.requeue_after:
                self._queue.schedule_in(state.key, result.requeue_after)
        else:
            result = await self._reconciler.reconcile(state, resource, due=state.due)
            if state.removed or state.resource.deleting:
                return
            result = self._links.report_links(resource, result)
            self._requeue(state, result, began)
        self._count(state, result)
        errors = [result.error] if result.error else []
        try:
            await self._report(state, resource, result, waited=waited, began=began)
        except OperatorError as error:
            self._status_refused(state, resource, result, error)
            errors.append(error)
        self._retry(state, *errors, expires_at=result.expires_at)

    async def _whole(self, state: ResourceState) -> Resource | None:
        """The resource, read if the cache keeps a part of its spec only; None if it has changed meanwhile."""
        resource = state.resource
        if not resource.left_out or resource.deleting:
            return resource
        try:
            raw = await self._resources.read(resource.key)
        except OperatorError as error:
            self._retry(state, error)
            return None
        whole = parse_resource(resource.key.kind, raw) if raw else None
        is_same = whole and (whole.uid, whole.generation) == (resource.uid, resource.generation)
        return whole.with_status(resource.status, whole.refresh_requested) if whole and is_same else None

    def _requeue(self, state: ResourceState, result: Result, began: float) -> None:
        """Schedule the next pass: when the token is due or expires, or for a retry."""
        if result.expires_at is not None:
            # Be there when the token expires, to report it.
            self._queue.schedule_at(state.key, result.expires_at)
        if result.pending:
            if state.fetch_began is None:
                state.fetch_began = began
                self._queue.schedule_in(state.key, _REPORT_PENDING_AFTER)
            return
        state.fetch_began = None
        if result.refresh_at is not None:
            state.due = False
            now = self._clock.now()
            # A deadline in the past, whatever made it so, must not starve the loop.
            at = result.refresh_at if result.refresh_at > now else now + _SHORTEST_ROUND
            self._queue.schedule_at(state.key, at)
        if result.requeue_after is not None:
            self._queue.schedule_in(state.key, result.requeue_after)

    def _retry(
        self, state: ResourceState, *errors: OperatorError, expires_at: datetime | None = None
    ) -> None:
        """Note the errors of Kubernetes in one pass, and schedule another for each; none ends the backoff."""
        if state.removed:
            return
        refusals = sum(isinstance(error, PermanentError) for error in errors)
        # The length of an outage does not predict that of a refusal, nor the other way round.
        state.refusals = state.refusals + 1 if refusals else 0
        state.failures = state.failures + 1 if len(errors) > refusals else 0
        for error in errors:
            in_a_row = state.refusals if isinstance(error, PermanentError) else state.failures
            delay = kubernetes_retry_delay(error, in_a_row, self._rng)
            if error.retry_after:
                state.not_before = self._clock.monotonic() + error.retry_after
            elif expires_at is not None:
                delay = min(delay, longest_retry_delay(expires_at - self._clock.now()))
            self._queue.schedule_in(state.key, delay)

    def _count(self, state: ResourceState, result: Result) -> None:
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

    async def _report(
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
        if await self._is_reported(resource, status):
            if outcome.reason in _EVENT_ONLY:
                self._announce(state, resource, outcome, began)
            return
        kept = await self._write(state, resource, status)
        self._cache.remember_status(resource.key, resource.uid, kept)
        self._log(state, resource, outcome, began)
        if resource.key.is_part:
            if outcome.reason in _EVENT_ONLY:
                self._emit_for_part(resource, outcome)
            return
        changed = outcome.reason is not Reason.PENDING and outcome_changed(resource.status, status)
        if changed or outcome.reason in _EVENT_ONLY:
            self._events.emit(resource, as_event(outcome, resource.status, now))

    async def _write(
        self, state: ResourceState, resource: Resource, status: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Write the status; that of a part is kept for the status of its ClusterSecret."""
        if resource.key.is_part:
            self._queue.schedule_in(resource.key.cluster, GATHERING)
            whole = self._cache.get(resource.key.cluster)
            if whole is None:
                return status
            # Most parts have the same, which is kept once.
            whole.part_status = whole.part_status if status == whole.part_status else status
            return whole.part_status
        if resource.key.is_cluster:
            state.not_before = self._clock.monotonic() + _CLUSTER_INTERVAL
        return await self._statuses.write(resource, status)

    async def _is_reported(self, resource: Resource, status: dict[str, Any]) -> bool:
        """Whether the status has all of this that the resource's CRD can hold."""
        if status == resource.status:
            return True
        if not is_legacy_part(resource.status, status):
            return False
        return not await self._statuses.keeps_details(resource.key.kind)

    def _status_refused(
        self, state: ResourceState, resource: Resource, result: Result, error: OperatorError
    ) -> None:
        version = (resource.uid, resource.generation)
        if isinstance(error, PermanentError) and state.refused_status != version:
            state.refused_status = version
            log.warning("status can't be written", error=error.message, **_log_fields(resource.key))
            if result.outcome:
                self._announce(state, resource, result.outcome, self._clock.monotonic())

    def _announce(self, state: ResourceState, resource: Resource, outcome: Outcome, began: float) -> None:
        if resource.key.is_part:
            self._emit_for_part(resource, outcome)
        else:
            self._events.emit(resource, outcome)
        self._log(state, resource, outcome, began)

    def _emit_for_part(self, part: Resource, outcome: Outcome) -> None:
        """Emit an Event of the ClusterSecret, which names the namespace."""
        if cluster := self._cache.resource(part.key.cluster):
            message = f"Namespace {part.key.namespace}: {outcome.message}"
            self._events.emit(cluster, replace(outcome, message=message))

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
            **_log_fields(resource.key),
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


def _log_fields(key: ResourceKey) -> dict[str, str]:
    return {
        "kind": key.kind,
        **({"namespace": key.namespace} if key.namespace else {}),
        "name": key.name,
    }
