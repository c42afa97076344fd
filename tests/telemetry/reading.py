"""Reading the text format, as Prometheus does."""

from datetime import UTC, datetime
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.telemetry.metrics import SUCCESS, Metrics, Readiness, ResourceSample, Snapshot

EXPIRY: Final = "ecr_secret_operator_token_expiry_timestamp_seconds"


def families(text: str) -> list[Metric]:
    """Parse a whole text."""
    return list(text_string_to_metric_families(text))


class Scrape:
    """One scrape's samples by name."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = [sample for family in families(text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a name (without the prefix) that have these labels; 0 if none."""
        return sum(self.values(name, **labels))

    def values(self, name: str, **labels: str) -> list[float]:
        """Return the samples of a name (without the prefix) that have these labels."""
        return [
            sample.value
            for sample in self.samples
            if sample.name == f"ecr_secret_operator_{name}" and labels.items() <= sample.labels.items()
        ]

    def expiry(self, resource: str) -> datetime | None:
        """Return when a resource's token expires; None without a series of it."""
        found = self.values("token_expiry_timestamp_seconds", resource_name=resource)
        return datetime.fromtimestamp(found[0], UTC) if found else None


def scrape(registry: CollectorRegistry) -> Scrape:
    """Read what is counted, without the operator's state."""
    return Scrape(generate_latest(registry).decode())


async def shown(snapshot: Snapshot, *, each_resource: bool = True) -> Scrape:
    """Scrape metrics that show this state."""
    metrics = Metrics()
    metrics.add_snapshots(lambda: snapshot, each_resource=each_resource)
    return Scrape((await metrics.exposition()).decode())


def sample(name: str, *, ready: Readiness = "true", **fields: Any) -> ResourceSample:
    """Make a resource of namespace `team`."""
    return ResourceSample(key=ResourceKey(kind="Secret", namespace="team", name=name), ready=ready, **fields)


def cluster_sample(name: str, **fields: Any) -> ResourceSample:
    """Make a ClusterSecret."""
    return ResourceSample(key=ResourceKey(kind=CLUSTER, namespace="", name=name), ready="true", **fields)


async def exposed() -> list[tuple[str, str, frozenset[str], list[str]]]:
    """Name, type, labels, and names of the samples of each metric, all of which have one."""
    metrics = Metrics()
    metrics.refreshed("Secret", Reason.REFRESHED)
    metrics.late(1)
    metrics.aws_call("ecr:GetAuthorizationToken", "eu-west-1", SUCCESS, 1)
    metrics.kube_request("list", "secrets", 200, 1)
    metrics.watch_restarted("secrets")
    metrics.loop_lagged(0)
    resources = [sample("web", expires_at=1.8e9), cluster_sample("shared", namespaces=(1, 0))]
    snapshot = Snapshot(resources=resources, failing={("Secret", Reason.ACCESS_DENIED): 1})
    metrics.add_snapshots(lambda: snapshot)
    return [_described(family) for family in families((await metrics.exposition()).decode())]


def _described(family: Metric) -> tuple[str, str, frozenset[str], list[str]]:
    labels = frozenset(label for sample in family.samples for label in sample.labels) - {"le"}
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return name, family.type, labels, sorted({sample.name for sample in family.samples})
