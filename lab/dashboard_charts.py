"""Series over time as SVG: lines or bars, stacked or not, with axes and a legend. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lab.dashboard_figures import shown, ticks
from lab.dashboard_panels import Panel
from lab.svg import Box, cut, group, line, path, rect, text, width_of

COLOURS = 10
_LEFT, _AXIS, _LEGEND = 46.0, 16.0, 15.0
_LEGEND_LINES = 3
_MARK = 16.0
_FONT = 11.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What the time axis shows: from `begin` to `end` in epoch seconds, a value each `step` seconds."""

    begin: float
    end: float
    step: float


@dataclass(frozen=True, slots=True)
class Series:
    """Values by time in epoch seconds; what is not a number is left out."""

    name: str
    values: Mapping[float, float]
    base: Mapping[float, float] = field(default_factory=dict)

    @property
    def top(self) -> float:
        """The highest point, on top of what it is stacked on."""
        return max((self.base.get(at, 0.0) + value for at, value in self.values.items()), default=0.0)


def series_of(panel: Panel, result: Sequence[Mapping[str, Any]]) -> list[Series]:
    """Return the series of a range query's result, the highest first, stacked where the panel says so."""
    found = [Series(panel.name_of(each["metric"]), _values(each["values"])) for each in result]
    found = sorted((each for each in found if each.values), key=lambda each: (-each.top, each.name))
    return _stacked(found) if panel.stacked else found


def _values(pairs: Sequence[tuple[float, str]]) -> dict[float, float]:
    return {float(at): float(value) for at, value in pairs if math.isfinite(float(value))}


def _stacked(series: Sequence[Series]) -> list[Series]:
    """Put each on those before it."""
    heights: dict[float, float] = {}
    stacked = []
    for each in series:
        stacked.append(Series(each.name, each.values, dict(heights)))
        for at, value in each.values.items():
            heights[at] = heights.get(at, 0.0) + value
    return stacked


def chart(panel: Panel, series: Sequence[Series], box: Box, span: Span) -> str:
    """Draw a panel's series."""
    legend = _legend(series, box.w)
    plot = Box(box.x + _LEFT, box.y, box.w - _LEFT, box.h - _AXIS - _LEGEND * len(legend) - 4)
    marks = ticks(max((each.top for each in series), default=0.0), panel.unit)
    scale = _Scale(plot, span, marks[-1])
    drawn = [_axes(panel, scale, marks)]
    for index, each in enumerate(series):
        draw = _bars if panel.bars else _lines
        drawn.append(group(draw(each, scale), f"c{index % COLOURS}"))
    if not series:
        drawn.append(text(plot.x + plot.w / 2, plot.y + plot.h / 2, "nothing in this time", "dim", "middle"))
    below = plot.y + plot.h + _AXIS + _LEGEND
    for number, entries in enumerate(legend):
        drawn += [_key(entry, box.x, below + number * _LEGEND) for entry in entries]
    return "\n".join(drawn)


class _Entry(NamedTuple):
    """A name in the legend, and whose; none says how many are left out."""

    x: float
    name: str
    place: int | None = None


@dataclass(frozen=True, slots=True)
class _Scale:
    plot: Box
    span: Span
    top: float

    def x(self, at: float) -> float:
        share = (at - self.span.begin) / (self.span.end - self.span.begin)
        return self.plot.x + self.plot.w * share

    def y(self, value: float) -> float:
        return self.plot.y + self.plot.h * (1 - value / self.top)


def _axes(panel: Panel, scale: _Scale, marks: Sequence[float]) -> str:
    plot, drawn = scale.plot, []
    for value in marks:
        y = scale.y(value)
        drawn += [
            line(plot.x, y, plot.x + plot.w, y),
            text(plot.x - 6, y + 4, shown(value, panel.unit), "dim", "end"),
        ]
    minutes = range(int((scale.span.end - scale.span.begin) // 60) + 1)
    for minute in minutes:
        at = scale.x(scale.span.begin + minute * 60)
        anchor = "middle" if 0 < minute < minutes[-1] else "start" if minute == 0 else "end"
        drawn.append(text(at, plot.y + plot.h + 14, f"{minute} min" if minute else "0", "dim", anchor))
    return "\n".join(drawn)


def _lines(series: Series, scale: _Scale) -> str:
    """Draw a line with the area below it, broken where values are missing."""
    drawn = []
    for run in _runs(sorted(series.values), scale.span.step):
        upper = [(scale.x(at), scale.y(series.base.get(at, 0.0) + series.values[at])) for at in run]
        lower = [(scale.x(at), scale.y(series.base.get(at, 0.0))) for at in reversed(run)]
        drawn += [path([*upper, *lower], "area"), path(upper, "line")]
    return "\n".join(drawn)


def _runs(times: Sequence[float], step: float) -> list[list[float]]:
    """Part times where more than a step lies between."""
    runs: list[list[float]] = []
    for at in times:
        if runs and at - runs[-1][-1] <= step * 1.5:
            runs[-1].append(at)
        else:
            runs.append([at])
    return runs


def _bars(series: Series, scale: _Scale) -> str:
    width = max(scale.plot.w * scale.span.step / (scale.span.end - scale.span.begin) - 0.6, 0.6)
    drawn = []
    for at, value in sorted(series.values.items()):
        if value:
            base = series.base.get(at, 0.0)
            x = min(max(scale.x(at) - width / 2, scale.plot.x), scale.plot.x + scale.plot.w - width)
            top = scale.y(base + value)
            drawn.append(rect(Box(x, top, width, scale.y(base) - top), "bar"))
    return "\n".join(drawn)


def _legend(series: Sequence[Series], width: float) -> list[list[_Entry]]:
    """Lay the names out in lines, as many as may be; the last may say how many are left out."""
    lines: list[list[_Entry]] = [[]]
    x = 0.0
    for index, each in enumerate(series):
        name, rest = cut(each.name, width - _MARK, _FONT), len(series) - index
        left_out, last = f"and {rest} more", len(lines) == _LEGEND_LINES
        room = width_of(f"and {rest - 1} more", _FONT) + _MARK if last and rest > 1 else 0.0
        if lines[-1] and x + _MARK + width_of(name, _FONT) + room > width:
            if last:
                lines[-1].append(_Entry(x, left_out))
                break
            lines.append([])
            x = 0.0
        lines[-1].append(_Entry(x, name, index))
        x += _MARK + width_of(name, _FONT) + 12
    return lines


def _key(entry: _Entry, x: float, y: float) -> str:
    if entry.place is None:
        return text(x + entry.x, y, entry.name, "dim")
    mark = group(rect(Box(x + entry.x, y - 8, 10, 8), "key"), f"c{entry.place % COLOURS}")
    return f"{mark}\n{text(x + entry.x + 14, y, entry.name)}"
