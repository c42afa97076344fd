"""Workers: take a key, refresh, report, reschedule.

Guarantees: a fault of one key delays no other and ends no worker; a status is written only when it
changes; a resource whose status can't be written is told of once, by Event and log.
"""

import asyncio
import random
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
from ecr_operator.core.ports import Clock, EventSink, Links, ResourceReader, StatusWriter
from ecr_operator.core.queue import DeadlineQueue, Due
from ecr_operator.core.reconcile import Reconciler
from ecr_operator.core.refresh_metrics import RefreshMetrics
from ecr_operator.core.result import Result
from ecr_operator.core.schedule import kubernetes_retry_delay, longest_retry_delay
from ecr_operator.core.status import dying, is_legacy_part, is_ready, next_status, outcome_changed

_TELL_PENDING_AFTER = 2.0
_MOST_REGIONS = 5  # in a log line
_SHORTEST_ROUND = timedelta(seconds=1)
# What the status has no word for.
_TOLD_BY_EVENT = (Reason.REPAIRED, Reason.ADOPTED)

log = structlog.get_logger(__name__)


class Workers:
    """A number of workers over one queue.

    Args:
        queue: where the keys come from.
        cache: what was last seen.
        reconciler: does the work on one key.
        links: sees to its links after that.
        statuses: writes what came of it.
        resources: reads a resource that is known by name only.
        events: where a change of outcome is told.
        clock: the time.
        refresh_metrics: counts what refreshes come to.
        rng: the source of jitter.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        *,
        queue: DeadlineQueue[ResourceKey],
        cache: Cache,
        reconciler: Reconciler,
        links: Links,
        statuses: StatusWriter,
        resources: ResourceReader,
        events: EventSink,
        clock: Clock,
        refresh_metrics: RefreshMetrics,
        rng: random.Random | None = None,
    ) -> None:
        self._queue = queue
        self._cache = cache
        self._reconciler = reconciler
        self._links = links
        self._statuses = statuses
        self._resources = resources
        self._events = events
        self._clock = clock
        self._refresh_metrics = refresh_metrics
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        # How many in a row, and whether they were permanent.
        self._failures: dict[ResourceKey, tuple[int, bool]] = {}
        self._held_until: dict[ResourceKey, float] = {}
        self._due: set[ResourceKey] = set()
        # Since when AWS is being asked for each, in monotonic seconds.
        self._asking: dict[ResourceKey, float] = {}
        self._told_once: dict[ResourceKey, tuple[str, int]] = {}
        # The uid of what was reported in the log: the CRDs of v0.6.0 let no status say so.
        self._logged: dict[ResourceKey, str] = {}

    async def run(self, count: int) -> None:
        """Look at every resource, whatever was planned for it before, and work until cancelled."""
        for key in self._cache.all_keys():
            # Its deadline may be that of a token which another leader has replaced since.
            self._queue.remove(key)
            self._queue.schedule_now(key)
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(self._work(), name=f"worker {number}")

    def remove(self, resource: Resource) -> None:
        """Drop all that is kept of a resource that is gone."""
        key = resource.key
        self._reconciler.remove(resource)
        self._refresh_metrics.forget(key)
        self._queue.remove(key)
        self._due.discard(key)
        self._held_until.pop(key, None)
        self._asking.pop(key, None)
        self._failures.pop(key, None)
        self._told_once.pop(key, None)
        self._logged.pop(key, None)

    async def _work(self) -> None:
        while True:
            due = await self._queue.take()
            resource = self._cache.resource(due.key)
            try:
                await (self._handle(due, resource) if resource else self._read_beyond(due.key))
            except Exception as error:  # noqa: BLE001 - one key's fault must not end a worker
                # The type alone: what an unknown exception says may hold a token.
                log.error("unexpected error", error=type(error).__name__, **_named(due.key))  # noqa: TRY400
                self._retry(due.key, TransientError(Reason.PENDING, "An error of the operator."))
            finally:
                self._queue.done(due.key)
                if resource and self._cache.resource(due.key) is None:
                    # It went while it was worked on.
                    self.remove(resource)

    async def _read_whole(self, resource: Resource) -> Resource | None:
        """Read a resource with a large spec; None if it can't be read, or has changed meanwhile."""
        try:
            raw = await self._resources.read(resource.key)
        except OperatorError as error:
            self._retry(resource.key, error)
            return None
        whole = parse_resource(resource.key.kind, raw) if raw else None
        is_same = whole and (whole.uid, whole.generation) == (resource.uid, resource.generation)
        return whole.with_status(resource.status, whole.refresh_requested) if whole and is_same else None

    async def _read_beyond(self, key: ResourceKey) -> None:
        """Read a resource that is known by name only, now that its namespace has room for it."""
        if self._cache.is_beyond(key):
            found = await self._resources.read(key)
            self._cache.read_beyond(key, found)

    async def _handle(self, due: Due[ResourceKey], resource: Resource) -> None:
        if resource.deleting:
            return
        if due.by_deadline:
            self._due.add(due.key)
        if (wait := self._held_until.get(due.key, 0.0) - self._clock.monotonic()) > 0:
            # An event, such as the echo of our own write, must not cut short what the server asked for.
            self._queue.schedule_in(due.key, wait)
            return
        self._held_until.pop(due.key, None)
        if resource.left_out:
            whole = await self._read_whole(resource)
            if whole is None:
                return
            resource = whole
        began = self._asking.get(due.key, self._clock.monotonic())
        result = await self._reconciler.refresh(resource, due=due.key in self._due)
        if self._latest(resource).deleting:
            return
        result = self._links.after(resource, result)
        self._refresh_metrics.count(resource, result)
        waited = due.key in self._asking
        self._reschedule(resource, result, began)
        try:
            await self._tell(resource, result, waited=waited, began=began)
        except OperatorError as error:
            self._status_refused(resource, result, error)
            return
        if result.error is None:
            self._failures.pop(due.key, None)

    async def _tell(self, resource: Resource, result: Result, *, waited: bool, began: float) -> None:
        outcome = result.outcome
        if outcome is None:
            return
        if result.pending and not _is_news(resource, outcome, waited=waited):
            return
        now = self._clock.now()
        resource = self._latest(resource)
        status = next_status(resource, outcome, now, result.deadline)
        if await self._is_told(resource, status):
            if outcome.reason in _TOLD_BY_EVENT:
                self._announce(resource, outcome, now, began)
            return
        kept = await self._statuses.write(resource, status)
        self._cache.remember_status(resource.key, resource.uid, kept)
        self._log(resource, outcome, now, began)
        changed = outcome.reason is not Reason.PENDING and outcome_changed(resource.status, status)
        if changed or outcome.reason in _TOLD_BY_EVENT:
            self._events.emit(resource, dying(outcome, resource.status, now))

    async def _is_told(self, resource: Resource, status: dict[str, Any]) -> bool:
        """Whether the resource says all that its CRD lets it say."""
        if status == resource.status:
            return True
        if not is_legacy_part(resource.status, status):
            return False
        return not await self._statuses.keeps_details(resource.key.kind)

    def _latest(self, resource: Resource) -> Resource:
        """The resource as it was worked on, with the status that is there by now."""
        known = self._cache.resource(resource.key)
        if known is None or known.uid != resource.uid:
            return resource
        return replace(resource, status=known.status, deleting=known.deleting)

    def _reschedule(self, resource: Resource, result: Result, began: float) -> None:
        key = resource.key
        if self._cache.resource(key) is None:
            return
        if result.expires_at is not None:
            # Be there when the token dies, to say so.
            self._queue.schedule_at(key, result.expires_at)
        if result.pending:
            self._wait_for_answer(key, began)
            return
        self._asking.pop(key, None)
        if result.deadline is not None:
            self._settled(key, result.deadline)
        if result.requeue_after is not None:
            self._queue.schedule_in(key, result.requeue_after)
        elif result.error is not None:
            self._retry(key, result.error, result.expires_at)

    def _wait_for_answer(self, key: ResourceKey, began: float) -> None:
        if key not in self._asking:
            self._asking[key] = began
            self._queue.schedule_in(key, _TELL_PENDING_AFTER)

    def _settled(self, key: ResourceKey, deadline: datetime) -> None:
        self._due.discard(key)
        now = self._clock.now()
        # A deadline in the past, whatever made it so, must not starve the loop.
        self._queue.schedule_at(key, deadline if deadline > now else now + _SHORTEST_ROUND)

    def _retry(self, key: ResourceKey, error: OperatorError, expires_at: datetime | None = None) -> None:
        permanent = isinstance(error, PermanentError)
        count, was_permanent = self._failures.get(key, (0, permanent))
        # An outage says nothing of how long a refusal after it will last, nor the other way round.
        count = count + 1 if was_permanent is permanent else 1
        self._failures[key] = (count, permanent)
        if error.retry_after:
            self._held_until[key] = self._clock.monotonic() + error.retry_after
        delay = kubernetes_retry_delay(error, count, self._rng)
        if expires_at is not None and not error.retry_after:
            delay = min(delay, longest_retry_delay(expires_at - self._clock.now()))
        self._queue.schedule_in(key, delay)

    def _status_refused(self, resource: Resource, result: Result, error: OperatorError) -> None:
        seen = (resource.uid, resource.generation)
        if isinstance(error, PermanentError) and self._told_once.get(resource.key) != seen:
            self._told_once[resource.key] = seen
            log.warning("status can't be written", error=error.message, **_named(resource.key))
            if result.outcome:
                self._announce(resource, result.outcome, self._clock.now(), self._clock.monotonic())
        self._retry(resource.key, error)

    def _announce(self, resource: Resource, outcome: Outcome, now: datetime, began: float) -> None:
        self._events.emit(resource, outcome)
        self._log(resource, outcome, now, began)

    def _log(self, resource: Resource, outcome: Outcome, now: datetime, began: float) -> None:
        level = log.warning if outcome.is_failure else log.info
        is_new = self._logged.get(resource.key) != resource.uid
        is_first = is_new and "observedGeneration" not in resource.status
        self._logged[resource.key] = resource.uid
        level(
            outcome.message,
            # Not counted against the namespace's share of the log.
            **({"first": True} if is_first else {}),
            reason=outcome.reason,
            ready=is_ready(outcome, now),
            expires=format_time(outcome.times.expires_at) if outcome.times else None,
            region=",".join(resource.desired.regions[:_MOST_REGIONS]) if resource.desired else None,
            duration=round(self._clock.monotonic() - began, 3),
            **_named(resource.key),
        )


def _is_news(resource: Resource, outcome: Outcome, *, waited: bool) -> bool:
    """Whether to tell that AWS is being asked: not while it answers fast, and not on retries."""
    if outcome.times is not None:
        # The token in the Secret has died meanwhile.
        return resource.status.get("phase") == "Updated"
    return waited and resource.status.get("observedGeneration") != resource.generation


def _named(key: ResourceKey) -> dict[str, str]:
    return {"kind": key.kind, "namespace": key.namespace, "name": key.name}
