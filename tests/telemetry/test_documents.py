"""Documents, alerts and the dashboard use metrics that exist."""

import asyncio
import json
import re
from pathlib import Path

import pytest
import yaml

from tests.telemetry.reading import exposed

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs"
_CONFIG = _ROOT / "config" / "prometheus"
_RUNBOOKS = "https://github.com/rh-mobb/ecr-secret-operator/blob/main/docs/alerts.md"

METRICS = asyncio.run(exposed())
EXPOSED = {name: (kind, labels) for name, kind, labels, _ in METRICS}
SAMPLES = {sample: labels for _, _, labels, samples in METRICS for sample in samples}
# Those that Prometheus adds to every series of a pod, and that of a histogram's buckets.
ADDED = {"namespace", "pod", "instance", "job", "le"}

RULES = yaml.safe_load((_CONFIG / "rules.yaml").read_text(encoding="utf-8"))["spec"]["groups"][0]["rules"]
DASHBOARD = json.loads((_CONFIG / "dashboard.json").read_text(encoding="utf-8"))
PANELS = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}
EXPRESSIONS = {**{rule["alert"]: rule["expr"] for rule in RULES}, **PANELS}


def test_metrics_md_lists_each_metric_with_its_type_and_labels() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|(.*?)\|", (_DOCS / "metrics.md").read_text(), re.MULTILINE)
    listed = {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert listed == EXPOSED


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_alerts_and_panels_query_metrics_and_labels_that_exist(expression: str) -> None:
    names = set(re.findall(r"ecr_secret_operator_\w+", expression))
    assert names
    assert names <= SAMPLES.keys()
    known = {label for name in names for label in SAMPLES[name]} | ADDED
    grouped = ",".join(re.findall(r"\bby \(([^)]*)\)", expression))
    matched = ",".join(re.findall(r"\{([^}]*)\}", expression))
    labels = {*re.findall(r"\w+", grouped), *re.findall(r"(\w+)\s*(?:=|!)", matched)}
    assert labels <= known


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(PANELS.values())
    assert [name for name in EXPOSED if name not in shown] == []


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    headings = re.findall(r"^## (\w+)$", (_DOCS / "alerts.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["annotations"]["runbook_url"] == f"{_RUNBOOKS}#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"warning", "critical"}


def test_the_service_monitor_is_that_of_v0_6_0() -> None:
    monitor = yaml.safe_load((_CONFIG / "monitor.yaml").read_text(encoding="utf-8"))
    assert monitor["metadata"]["name"] == "ecr-secret-operator-controller-manager-metrics-monitor"
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["path"], endpoint["port"], endpoint["scheme"]) == ("/metrics", "https", "https")
    assert endpoint["tlsConfig"] == {"insecureSkipVerify": True}
