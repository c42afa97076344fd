"""The metrics: what is counted as it happens, and what is read at each scrape.

Invariants: a registry of its own, without the library's process metrics. The values of every label are
bounded: they come from the code, from the AWS SDK's list of regions, from HTTP status codes, or from existing
resources. What is read at a scrape leaves no series behind when its resource is deleted.
Leaves out: where that state comes from; a callable returns it.
"""

import asyncio
import functools
import math
import platform
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ecr_operator import __version__
from ecr_operator.api.kinds import KINDS
from ecr_operator.api.outcome import Reason, ResourceKey

SUCCESS: Final = "Success"
NO_ANSWER: Final = "none"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_PREFIX: Final = "ecr_secret_operator"
_CALL_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
_LATENESS_BUCKETS: Final = (0.5, 1.0, 5.0, 15.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 10800.0, 43200.0)
_LAG_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
# Reasons that no refresh ends with.
_NOT_OF_REFRESHES: Final = (Reason.PENDING, Reason.SUSPENDED, Reason.TOKEN_EXPIRED)
_MAX_AGE: Final = 1.0  # seconds

Readiness = Literal["true", "false", "unknown"]
_READINESS: Final[tuple[Readiness, ...]] = ("true", "false", "unknown")

# Creation times would double the number of series.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library's gap


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSample:
    """One resource, as its metrics show it; a ClusterSecret is one, whatever it serves.

    Attributes:
        ready: the status of its condition Ready.
        expires_at: when the first token in its Secrets expires, Unix seconds; None without a token.
        overdue: seconds since the first refresh was due; 0 before.
        namespaces: of a ClusterSecret: how many are ready, and how many are not; None until that is known.
    """

    key: ResourceKey
    ready: Readiness
    expires_at: float | None = None
    overdue: float = 0.0
    namespaces: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The operator at one moment.

    Attributes:
        failing: number of resources whose last refresh failed, by kind and reason.
        queue_depth: keys that are due and that no worker has taken yet.
    """

    resources: Sequence[ResourceSample] = ()
    failing: Mapping[tuple[str, Reason], int] = field(default_factory=dict)
    queue_depth: int = 0
    leading: bool = False


class Metrics:
    """The operator's instruments, and their text for Prometheus.

    Args:
        monotonic: seconds that never step.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        self._monotonic = monotonic
        self._collector: _SnapshotCollector | None = None
        self._text: asyncio.Task[bytes] | None = None
        self._text_from = -math.inf
        counter = functools.partial(Counter, namespace=_PREFIX, registry=self.registry)
        histogram = functools.partial(Histogram, namespace=_PREFIX, registry=self.registry)
        gauge = functools.partial(Gauge, namespace=_PREFIX, registry=self.registry)
        self._refreshes = counter(
            "refreshes",
            "Finished refreshes by kind and reason; a pass with nothing to do is not one.",
            ("kind", "reason"),
        )
        for kind in KINDS:
            for reason in (reason for reason in Reason if reason not in _NOT_OF_REFRESHES):
                self._refreshes.labels(kind, reason)
        self._lateness = histogram(
            "refresh_lateness_seconds",
            "How long after it was due a token was replaced by a new one.",
            buckets=_LATENESS_BUCKETS,
        )
        self._aws_calls = counter(
            "aws_calls", "Calls to AWS by operation, region and outcome.", ("operation", "region", "outcome")
        )
        self._aws_seconds = histogram(
            "aws_call_duration_seconds",
            "Duration of calls to AWS.",
            ("operation", "region"),
            buckets=_CALL_BUCKETS,
        )
        # These two for each request, so their series are looked up in a cache, without the library's lock.
        kube_requests = counter(
            "kubernetes_requests",
            f"Requests to the API server by verb, resource and HTTP code ({NO_ANSWER}: no complete answer).",
            ("verb", "resource", "code"),
        )
        self._kube_requests: Callable[..., Counter] = functools.cache(kube_requests.labels)
        kube_seconds = histogram(
            "kubernetes_request_duration_seconds",
            "Duration of requests to the API server; of a watch, until it is established.",
            ("verb", "resource"),
            buckets=_CALL_BUCKETS,
        )
        self._kube_seconds: Callable[..., Histogram] = functools.cache(kube_seconds.labels)
        self._watch_restarts = counter(
            "watch_restarts",
            "Watches, and the lists before them, that failed and were started again.",
            ("resource",),
        )
        self._loop_lag = histogram(
            "event_loop_lag_seconds",
            "How late the event loop woke a sleeping task.",
            buckets=_LAG_BUCKETS,
        )
        build = gauge("build_info", "1, with the versions as labels.", ("version", "python"))
        build.labels(__version__, platform.python_version()).set(1)

    def refreshed(self, kind: str, reason: Reason) -> None:
        """Count a finished refresh."""
        self._refreshes.labels(kind, reason).inc()

    def late(self, seconds: float) -> None:
        """Record how long after it was due a token was replaced."""
        self._lateness.observe(seconds)

    def aws_call(self, operation: str, region: str, outcome: str, seconds: float) -> None:
        """Record a call to AWS.

        Args:
            operation: as in IAM, `ecr:GetAuthorizationToken`.
            region: one of a bounded number.
            outcome: `SUCCESS` or a Reason.
            seconds: until the complete answer.
        """
        self._aws_calls.labels(operation, region, outcome).inc()
        self._aws_seconds.labels(operation, region).observe(seconds)

    def kube_request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Record a request to the API server.

        Args:
            verb: as in RBAC.
            resource: plural, group and subresource.
            code: the HTTP status; 0 without an answer.
            seconds: until the complete answer; of a watch, until it is established.
        """
        self._kube_requests(verb, resource, code or NO_ANSWER).inc()
        self._kube_seconds(verb, resource).observe(seconds)

    def watch_restarted(self, resource: str) -> None:
        """Count a watch that failed and is started again."""
        self._watch_restarts.labels(resource).inc()

    def loop_lagged(self, seconds: float) -> None:
        """Record how late the event loop was."""
        self._loop_lag.observe(seconds)

    def add_snapshots(self, take: Callable[[], Snapshot], *, each_resource: bool = True) -> None:
        """Show the operator's state from now on.

        Args:
            take: returns the state; called on the event loop.
            each_resource: with a series per resource; without, their number is the same in any cluster.
        """
        self._collector = _SnapshotCollector(take, each_resource=each_resource)
        self.registry.register(self._collector)

    async def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, at most one second old, however many scrapes there are.

        The state is read here, on the event loop that owns it; a thread makes the text.
        """
        now = self._monotonic()
        if self._text is None or (self._text.done() and now - self._text_from >= _MAX_AGE):
            self._text_from = now
            self._text = asyncio.create_task(self._generate(), name="exposition")
        # Shared by all scrapes, so none of them may cancel it.
        return await asyncio.shield(self._text)

    async def _generate(self) -> bytes:
        if self._collector:
            self._collector.take_snapshot()
        return await asyncio.to_thread(generate_latest, self.registry)


class _SnapshotCollector(Collector):
    def __init__(self, take: Callable[[], Snapshot], *, each_resource: bool) -> None:
        self._take = take
        self._each_resource = each_resource
        self._snapshot = Snapshot()

    def take_snapshot(self) -> None:
        self._snapshot = self._take()

    def collect(self) -> Iterator[Metric]:
        now = self._snapshot
        if self._each_resource:
            yield from _of_each(now.resources)
        numbers = Tally((each.key.kind, each.ready) for each in now.resources)
        yield _gauge(
            "resources",
            "Resources by kind and condition Ready.",
            "kind ready",
            (((kind, ready), numbers[kind, ready]) for kind in KINDS for ready in _READINESS),
        )
        yield _gauge(
            "resources_failing",
            "Resources whose last refresh failed, by kind and reason.",
            "kind reason",
            sorted(now.failing.items()),
        )
        overdue = max((each.overdue for each in now.resources), default=0.0)
        yield _gauge(
            "oldest_overdue_seconds",
            "How long the most overdue token has waited for its refresh; 0 if none is overdue.",
            "",
            [((), overdue)],
        )
        depth = "Resources that are due and wait for a worker."
        yield _gauge("queue_depth", depth, "", [((), now.queue_depth)])
        yield _gauge("leader", "1 in the leader, 0 in a standby.", "", [((), now.leading)])


def _of_each(resources: Sequence[ResourceSample]) -> Iterator[Metric]:
    """The metrics with a series for each resource."""
    yield _gauge(
        "token_expiry_timestamp_seconds",
        "When the token in the resource's Secret expires, in Unix time; of several, the first.",
        # Not plain `namespace`: Prometheus sets that to the namespace of the pod it scrapes, and
        # OpenShift requires it.
        "kind resource_namespace resource_name",
        (
            ((each.key.kind, each.key.namespace, each.key.name), each.expires_at)
            for each in resources
            if each.expires_at is not None
        ),
    )
    yield _gauge(
        "cluster_secret_namespaces",
        "Namespaces that a ClusterSecret serves, by whether its Secret there is ready.",
        "resource_name ready",
        (
            ((each.key.name, ready), number)
            for each in resources
            for ready, number in zip(("true", "false"), each.namespaces or (), strict=False)
        ),
    )


def _gauge(
    name: str, documentation: str, labels: str, samples: Iterable[tuple[Sequence[str], float]]
) -> Metric:
    family = GaugeMetricFamily(f"{_PREFIX}_{name}", documentation, labels=labels.split())
    for values, number in samples:
        family.add_metric(values, number)
    return family
