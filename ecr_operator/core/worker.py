"""Workers: reconcile a key, report, requeue.

Guarantee: a fault of one key delays no other and ends no worker. Leaves out: in what words and where a pass
is reported (report).
"""

import random
from datetime import datetime, timedelta

import structlog

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.api.parsing import parse_resource
from ecr_operator.core.cache import Cache
from ecr_operator.core.cluster_outcome import unreported
from ecr_operator.core.cluster_secrets import ClusterSecrets
from ecr_operator.core.ports import Clock, Links, Resources
from ecr_operator.core.queue import DeadlineQueue, Due
from ecr_operator.core.reconcile import Reconciler
from ecr_operator.core.report import Reporter, log_fields
from ecr_operator.core.schedule import kubernetes_retry_delay, longest_retry_delay
from ecr_operator.core.state import ResourceState, Result, spec_version

_REPORT_PENDING_AFTER = 2.0
_OVER_LIMIT_RETRY = 5.0
_SHORTEST_ROUND = timedelta(seconds=1)

log = structlog.get_logger(__name__)


class Workers:
    """A number of workers over one queue.

    Args:
        queue: of the resources' keys.
        cache: the resources and what is remembered of each.
        reconciler: does the work on one resource.
        clusters: gathers what the parts of a ClusterSecret have come to.
        links: has its Secret linked after that.
        reporter: reports what a pass came to.
        resources: reads a resource that is known by name only, or in part.
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
        reporter: Reporter,
        resources: Resources,
        clock: Clock,
        rng: random.Random | None = None,
    ) -> None:
        self._queue = queue
        self._cache = cache
        self._reconciler = reconciler
        self._clusters = clusters
        self._links = links
        self._reporter = reporter
        self._resources = resources
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
        await self._queue.run(count, self._work)

    async def _work(self, due: Due[ResourceKey]) -> None:
        state = self._cache.get(due.key)
        try:
            await (self._handle(due, state) if state else self._read_over_limit(due.key))
        except Exception as error:  # noqa: BLE001 - one key's fault must not end a worker
            # The type alone: the text of an unknown exception may contain a token.
            log.error("unexpected error", error=type(error).__name__, **log_fields(due.key))  # noqa: TRY400
            if state:
                unexpected = TransientError(Reason.PENDING, "Unexpected error; see the operator's log.")
                self._retry(state, state.resource, unexpected)
            else:
                self._queue.schedule_in(due.key, _OVER_LIMIT_RETRY)

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
        is_resting = state.resting in (None, spec_version(state.resource))
        if is_resting and (wait := state.not_before - self._clock.monotonic()) > 0:
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
        self._reporter.count(state, result)
        errors = [result.error] if result.error else []
        try:
            await self._reporter.report(state, resource, result, waited=waited, began=began)
        except OperatorError as error:
            self._reporter.status_refused(state, resource, result, error)
            errors.append(error)
        self._retry(state, resource, *errors, expires_at=result.expires_at)

    async def _whole(self, state: ResourceState) -> Resource | None:
        """The resource, read if the cache keeps a part of its spec only; None if it has changed meanwhile."""
        resource = state.resource
        if not resource.left_out or resource.deleting:
            return resource
        try:
            raw = await self._resources.read(resource.key)
        except OperatorError as error:
            self._retry(state, resource, error)
            return None
        whole = parse_resource(resource.key.kind, raw) if raw else None
        is_same = whole and spec_version(whole) == spec_version(resource)
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
        self,
        state: ResourceState,
        resource: Resource,
        *errors: OperatorError,
        expires_at: datetime | None = None,
    ) -> None:
        """Schedule a pass for each error of Kubernetes in the last one; none ends the backoff of another."""
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
                state.rest(resource, self._clock.monotonic() + error.retry_after)
            elif expires_at is not None:
                delay = min(delay, longest_retry_delay(expires_at - self._clock.now()))
            self._queue.schedule_in(state.key, delay)
