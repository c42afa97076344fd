"""The Grafana dashboard, read: each panel's place, query and look. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.api import Json

FILE = Path(__file__).parents[1] / "config" / "prometheus" / "dashboard.json"
_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        kind: `stat`, `table` or `timeseries`.
        x, y, w, h: its place on a grid of 24 columns.
        query: PromQL with variables.
        legend: the name of a series, with labels in double braces.
        unit: `short`, `s` or `reqps`.
        steps: from which value on a stat has which colour; the first has none.
        columns: what a table calls a label, and Value; those left out are hidden.
        hidden: labels that a table does not show.
    """

    title: str
    description: str
    kind: str
    x: int
    y: int
    w: int
    h: int
    query: str
    legend: str
    unit: str
    steps: tuple[tuple[float | None, str], ...] = ()
    bars: bool = False
    stacked: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()

    def asked(self, rate_interval: str) -> str:
        """Return the query with the variables filled in: all namespaces, and this interval for rates."""
        return self.query.replace("$__rate_interval", rate_interval).replace("$namespace", ".*")

    def name_of(self, labels: Mapping[str, str]) -> str:
        """Return what the legend calls a series."""
        return " ".join(_LABEL.sub(lambda found: labels.get(found[1], ""), self.legend).split())


def read(file: Path = FILE) -> list[Panel]:
    """Return the panels of a dashboard, in order."""
    return [_panel(each) for each in json.loads(file.read_text(encoding="utf-8"))["panels"]]


def _panel(given: Json) -> Panel:
    (target,), defaults = given["targets"], given["fieldConfig"]["defaults"]
    custom, steps = defaults.get("custom", {}), defaults.get("thresholds", {}).get("steps", ())
    return Panel(
        title=given["title"],
        description=given["description"],
        kind=given["type"],
        **given["gridPos"],
        query=target["expr"],
        legend=target["legendFormat"],
        unit=defaults["unit"],
        steps=tuple((step["value"], step["color"]) for step in steps),
        bars=custom.get("drawStyle") == "bars",
        stacked=custom.get("stacking", {}).get("mode") == "normal",
        **_table(given.get("transformations", ())),
    )


def _table(transformations: Any) -> Json:
    options: Json = next((each["options"] for each in transformations if each["id"] == "organize"), {})
    names, order = options.get("renameByName", {}), options.get("indexByName", {})
    return {
        "columns": {label: names[label] for label in sorted(names, key=lambda each: order.get(each, 0))},
        "hidden": frozenset(label for label, out in options.get("excludeByName", {}).items() if out),
    }
