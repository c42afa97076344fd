"""What is read at the moment of a scrape, so that a series goes with what it tells of.

Leaves out: where the state comes from; a callable brings it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ecr_operator.api.kinds import KINDS
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.telemetry.metrics import PREFIX

Readiness = Literal["true", "false", "unknown"]

_READINESS: Final[tuple[Readiness, ...]] = ("true", "false", "unknown")
# Not plain `namespace`: Prometheus gives that to the pod it scrapes, and OpenShift insists on it.
_RESOURCE_LABELS: Final = ("kind", "resource_namespace", "resource_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceState:
    """One resource, as far as metrics go.

    Attributes:
        key: which it is.
        ready: its condition Ready.
        expires_at: when the token in its Secret dies, Unix seconds; None without a token.
        overdue: seconds since its token's time has come; 0 before.
    """

    key: ResourceKey
    ready: Readiness
    expires_at: float | None = None
    overdue: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The operator at one moment.

    Attributes:
        resources: all of them.
        failing: number of resources whose last refresh failed, by kind and reason.
        queue_depth: keys whose time has come and that no worker has taken yet.
        leading: this process is the one that works.
    """

    resources: Sequence[ResourceState] = ()
    failing: Mapping[tuple[str, Reason], int] = field(default_factory=dict)
    queue_depth: int = 0
    leading: bool = False


class StateCollector(Collector):
    """Makes metrics of the state.

    Args:
        read: the state now.
        each_resource: with a series for each resource; without, their number is the same for any cluster.
    """

    def __init__(self, read: Callable[[], State], *, each_resource: bool = True) -> None:
        self._read = read
        self._each_resource = each_resource

    def describe(self) -> list[Metric]:
        """Name the metrics for the registry, which would read the state to learn them."""
        return list(_families(State(), each_resource=self._each_resource))

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        return _families(self._read(), each_resource=self._each_resource)


def _families(state: State, *, each_resource: bool) -> Iterator[Metric]:
    if each_resource:
        yield _expiries(state.resources)
    yield _resources(state.resources)
    yield _failing(state.failing)
    yield _plain(
        "oldest_overdue_seconds",
        "How long the most overdue token waits for its refresh; 0 if none does.",
        max((each.overdue for each in state.resources), default=0.0),
    )
    yield _plain("queue_depth", "Resources whose time has come, waiting for a worker.", state.queue_depth)
    yield _plain("leader", "1 in the process that works, 0 in one that stands by.", int(state.leading))


def _expiries(resources: Sequence[ResourceState]) -> Metric:
    family = GaugeMetricFamily(
        f"{PREFIX}_token_expiry_timestamp_seconds",
        "When the token in the resource's Secret expires, in Unix time.",
        labels=_RESOURCE_LABELS,
    )
    for each in resources:
        if each.expires_at is not None:
            family.add_metric((each.key.kind, each.key.namespace, each.key.name), each.expires_at)
    return family


def _resources(resources: Sequence[ResourceState]) -> Metric:
    family = GaugeMetricFamily(
        f"{PREFIX}_resources", "Resources by kind and condition Ready.", labels=("kind", "ready")
    )
    numbers = Counter((each.key.kind, each.ready) for each in resources)
    for kind in KINDS:
        for ready in _READINESS:
            family.add_metric((kind, ready), numbers[kind, ready])
    return family


def _failing(failing: Mapping[tuple[str, Reason], int]) -> Metric:
    family = GaugeMetricFamily(
        f"{PREFIX}_resources_failing",
        "Resources whose last refresh failed, by kind and reason.",
        labels=("kind", "reason"),
    )
    for (kind, reason), number in sorted(failing.items()):
        family.add_metric((kind, reason), number)
    return family


def _plain(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", documentation, value=value)
