"""The dashboard as one SVG: each panel in its place, drawn from what Prometheus answered. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from lab.dashboard_charts import Span, chart, series_of
from lab.dashboard_figures import shown
from lab.dashboard_panels import Panel
from lab.svg import Box, cut, group, line, number, rect, text

Results = Mapping[str, Sequence[Mapping[str, Any]]]
"""By a panel's title, the `result` of its query: a matrix for a time series, a vector for the others."""

_COLUMN, _ROW, _GAP = 50, 26, 6
_WIDTH = 24 * _COLUMN + 2 * _GAP
_HEAD, _TITLE, _PADDING = 50, 24, 12
_LINE, _FONT = 19.0, 11.0

# Colours for light and dark; those of the series stand out on both.
_SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
svg {{ font-family: system-ui, -apple-system, "Segoe UI", Arial, "DejaVu Sans", sans-serif; }}
text {{ font-size: 11px; fill: #24292f; }}
.page {{ fill: #f4f5f5; }} .panel {{ fill: #ffffff; stroke: #d8dbe0; }}
.head {{ font-size: 18px; font-weight: 600; }} .title {{ font-size: 13px; font-weight: 600; }}
.dim {{ fill: #656d76; }} .th {{ font-weight: 600; }}
.value {{ font-size: 34px; font-weight: 600; }}
.green {{ fill: #2f8f46; }} .orange {{ fill: #c76f12; }} .red {{ fill: #d13b3b; }}
line {{ stroke: #e4e6ea; stroke-width: 1; }}
.line {{ fill: none; stroke-width: 1.6; stroke-linejoin: round; stroke-linecap: round; }}
.area {{ fill-opacity: 0.1; }} .bar {{ fill-opacity: 0.75; }}
{colours}
@media (prefers-color-scheme: dark) {{
text {{ fill: #d5d9de; }}
.page {{ fill: #111217; }} .panel {{ fill: #181b1f; stroke: #2c3035; }} line {{ stroke: #2c3035; }}
.dim {{ fill: #969da6; }}
.green {{ fill: #4fb866; }} .orange {{ fill: #eb9a3c; }} .red {{ fill: #f26a6a; }}
}}
</style>
<rect width="{width}" height="{height}" class="page"/>
{content}
</svg>
"""
_SERIES_STYLE = ".c{0} .line {{ stroke: {1}; }} .c{0} .area, .c{0} .bar, .c{0} .key {{ fill: {1}; }}"
_SERIES = (
    "#3b7fd9",
    "#e0762d",
    "#4ba35c",
    "#d9534f",
    "#9060d0",
    "#c29a0a",
    "#1f9da3",
    "#c45c9c",
    "#a06a44",
    "#7b8a99",
)


def draw(panels: Sequence[Panel], results: Results, span: Span, *, title: str, remark: str) -> str:
    """Return the picture, with a title and a remark above it."""
    head = [text(_GAP * 2, 30, title, "head"), text(_WIDTH - _GAP * 2, 30, remark, "dim", "end")]
    bottom = max(panel.y + panel.h for panel in panels)
    return _SVG.format(
        width=_WIDTH,
        height=_HEAD + bottom * _ROW + _GAP,
        colours="\n".join(_SERIES_STYLE.format(index, colour) for index, colour in enumerate(_SERIES)),
        content="\n".join([*head, *(_panel(each, results[each.title], span) for each in panels)]),
    )


def _panel(panel: Panel, result: Sequence[Mapping[str, Any]], span: Span) -> str:
    x, y = _GAP + panel.x * _COLUMN, _HEAD + panel.y * _ROW
    frame = Box(x + _GAP / 2, y, panel.w * _COLUMN - _GAP, panel.h * _ROW - _GAP)
    inner = Box(
        frame.x + _PADDING, y + _TITLE + 10, frame.w - 2 * _PADDING, frame.h - _TITLE - 10 - _PADDING / 2
    )
    if panel.kind == "stat":
        content = _stat(panel, result, inner)
    elif panel.kind == "table":
        content = _table(panel, result, inner)
    else:
        content = chart(panel, series_of(panel, result), inner, span)
    title = text(inner.x, y + _TITLE - 5, panel.title, "title")
    return group(
        "\n".join([rect(frame, "panel", 3), title, content]), title=panel.description, told=panel.query
    )


def _stat(panel: Panel, result: Sequence[Mapping[str, Any]], box: Box) -> str:
    middle, base = box.x + box.w / 2, box.y + box.h / 2 + 12
    if not result:
        return text(middle, base, "No data", "dim", "middle")
    value = float(result[0]["value"][1])
    colour = [name for least, name in panel.steps if least is None or value >= least][-1]
    return text(middle, base, shown(value, panel.unit), f"value {colour}", "middle")


def _table(panel: Panel, result: Sequence[Mapping[str, Any]], box: Box) -> str:
    rows = [{**each["metric"], "Value": float(each["value"][1])} for each in result]
    columns = panel.columns or {
        label: label for label in sorted({label for row in rows for label in row} - panel.hidden)
    }
    fitting = int(box.h // _LINE) - 1
    if len(rows) > fitting:
        fitting -= 1
    width = box.w / max(len(columns), 1)
    drawn = [_cells(list(columns.values()), box.x, box.y + 8, width, "th")]
    y = box.y + 8
    for row in rows[:fitting]:
        y += _LINE
        values = [_cell(row.get(label, ""), panel.unit) for label in columns]
        drawn += [line(box.x, y - _LINE + 6, box.x + box.w, y - _LINE + 6), _cells(values, box.x, y, width)]
    if len(rows) > fitting:
        drawn.append(text(box.x, y + _LINE, f"and {number(len(rows) - fitting)} more", "dim"))
    return "\n".join(drawn)


def _cells(words: Sequence[str], x: float, y: float, width: float, kind: str = "") -> str:
    cells = enumerate(cut(each, width - 8, _FONT) for each in words)
    return "\n".join(text(x + column * width, y, each, kind) for column, each in cells)


def _cell(value: str | float, unit: str) -> str:
    return value if isinstance(value, str) else shown(value, unit)
