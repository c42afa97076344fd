"""Documents, alerts and dashboard speak of the metrics that exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.telemetry.reading import exposed

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs"
_CONFIG = _ROOT / "config" / "prometheus"
_RUNBOOKS = "https://github.com/rh-mobb/ecr-secret-operator/blob/main/docs/alerts.md"

EXPOSED = {name: (kind, labels) for name, kind, labels, _ in exposed()}
SAMPLES = {sample: labels for _, _, labels, samples in exposed() for sample in samples}
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


def test_the_table_of_metrics_is_that_of_the_program() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|(.*?)\|", (_DOCS / "metrics.md").read_text(), re.MULTILINE)
    told = {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert told == EXPOSED


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_alerts_and_panels_ask_for_metrics_and_labels_that_exist(expression: str) -> None:
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


def test_the_dashboards_panels_do_not_overlap_and_have_numbers_of_their_own() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_every_alert_has_its_runbook(rule: dict[str, Any]) -> None:
    url, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert (url, anchor) == (_RUNBOOKS, rule["alert"].lower())
    headings = re.findall(r"^## (\w+)$", (_DOCS / "alerts.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings.count(rule["alert"]) == 1
    assert rule["labels"]["severity"] in {"warning", "critical"}


def test_there_is_no_runbook_without_an_alert() -> None:
    text = (_DOCS / "alerts.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == [rule["alert"] for rule in RULES]


def test_the_monitor_is_the_one_that_v060_had() -> None:
    monitor = yaml.safe_load((_CONFIG / "monitor.yaml").read_text(encoding="utf-8"))
    assert monitor["metadata"]["name"] == "ecr-secret-operator-controller-manager-metrics-monitor"
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["path"], endpoint["port"], endpoint["scheme"]) == ("/metrics", "https", "https")
    assert endpoint["tlsConfig"] == {"insecureSkipVerify": True}
