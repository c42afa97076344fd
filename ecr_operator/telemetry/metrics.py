"""What is counted and timed as it happens. What is read at the moment of a scrape is in telemetry.collector.

Invariants: a registry of its own, without the library's figures of the process. Every label's values are
bounded: they come from the code, from the AWS SDK's list of regions, or are HTTP codes.
"""

import platform
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from ecr_operator import __version__
from ecr_operator.api.kinds import KINDS
from ecr_operator.api.outcome import Reason

PREFIX: Final = "ecr_secret_operator"
SUCCESS: Final = "Success"
NO_ANSWER: Final = "none"

_CALL_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
_LATENESS_BUCKETS: Final = (0.5, 1.0, 5.0, 15.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 10800.0, 43200.0)
_LAG_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
# What a refresh can't come to.
_NO_END: Final = (Reason.PENDING, Reason.SUSPENDED, Reason.TOKEN_EXPIRED)

# When each series was made is no news, and doubles their number.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library's gap


class Metrics:
    """The operator's instruments.

    Attributes:
        registry: all of them, to be rendered.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._refreshes = self._counter(
            "refreshes",
            "Ends of refreshes by kind of resource and reason; nothing to do is none.",
            "kind reason",
        )
        for kind in KINDS:
            for reason in (reason for reason in Reason if reason not in _NO_END):
                self._refreshes.labels(kind, reason)
        self._lateness = self._histogram(
            "refresh_lateness_seconds",
            "How long after its time a token was replaced by a fresh one.",
            "",
            _LATENESS_BUCKETS,
        )
        self._aws_calls = self._counter(
            "aws_calls", "Calls to AWS by operation, region and outcome.", "operation region outcome"
        )
        self._aws_seconds = self._histogram(
            "aws_call_duration_seconds", "How long calls to AWS took.", "operation region", _CALL_BUCKETS
        )
        self._kube_requests = self._counter(
            "kubernetes_requests",
            f"Requests to the API server by verb, resource and HTTP code ({NO_ANSWER}: no whole answer).",
            "verb resource code",
        )
        self._kube_seconds = self._histogram(
            "kubernetes_request_duration_seconds",
            "How long requests to the API server took; of a watch, until it began.",
            "verb resource",
            _CALL_BUCKETS,
        )
        self._watch_restarts = self._counter(
            "watch_restarts",
            "Watches, and the lists before them, that failed and were begun again.",
            "resource",
        )
        self._loop_lag = self._histogram(
            "event_loop_lag_seconds", "How late the event loop woke who had slept.", "", _LAG_BUCKETS
        )
        build = Gauge(
            "build_info",
            "1, with the versions as labels.",
            ("version", "python"),
            PREFIX,
            registry=self.registry,
        )
        build.labels(__version__, platform.python_version()).set(1)

    def refreshed(self, kind: str, reason: Reason) -> None:
        """Count the end of one refresh."""
        self._refreshes.labels(kind, reason).inc()

    def late(self, seconds: float) -> None:
        """Note how long after its time a token was replaced."""
        self._lateness.observe(seconds)

    def aws_call(self, operation: str, region: str, outcome: str, seconds: float) -> None:
        """Note one call to AWS.

        Args:
            operation: as in IAM, `ecr:GetAuthorizationToken`.
            region: one of a bounded number.
            outcome: `SUCCESS` or a Reason.
            seconds: until the whole answer.
        """
        self._aws_calls.labels(operation, region, outcome).inc()
        self._aws_seconds.labels(operation, region).observe(seconds)

    def kube_request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Note one request to the API server.

        Args:
            verb: as in RBAC.
            resource: plural, group and subresource.
            code: the HTTP status; 0 without an answer.
            seconds: until the whole answer; of a watch, until it began.
        """
        self._kube_requests.labels(verb, resource, code or NO_ANSWER).inc()
        self._kube_seconds.labels(verb, resource).observe(seconds)

    def watch_restarted(self, resource: str) -> None:
        """Count a watch that failed and is begun again."""
        self._watch_restarts.labels(resource).inc()

    def loop_lagged(self, seconds: float) -> None:
        """Note how late the event loop was."""
        self._loop_lag.observe(seconds)

    def _counter(self, name: str, documentation: str, labels: str) -> Counter:
        return Counter(name, documentation, labels.split(), PREFIX, registry=self.registry)

    def _histogram(self, name: str, documentation: str, labels: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, documentation, labels.split(), PREFIX, registry=self.registry, buckets=buckets)
