"""How the demo looks: each thing that it says as a line of text, and as rich draws it."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lab.demo_rows import Row

_BAR = 8
_SHORT = 10.0
_PICTURE_WIDTH = 104
# Width by height of the fonts below, so that lines meet also where textLength is not heeded.
_FONT_ASPECT = 0.602

_STYLES = {"Updated": "green", "True": "green", "Failed": "red", "False": "red"}

# Without rich's own font faces, which a browser would fetch from a server of others.
_SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: "Fira Code", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step that is done, after `seconds`; `note` says what came of it."""

    title: str
    note: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened `at` seconds after the table's first line."""

    at: float
    text: str


@dataclass(slots=True)
class Story:
    """All that the demo has to say: its last screen."""

    steps: list[Step] = field(default_factory=list)
    rows: Sequence[Row] = ()
    now: float = 0.0
    events: list[Event] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)


def step_line(step: Step) -> str:
    """Say a step that is done."""
    note = f": {step.note}" if step.note else ""
    return f"{step.title}{note} ({step.seconds:.1f} s)"


def row_line(row: Row, now: float) -> str:
    """Say how a resource is."""
    return (
        f"{row.key}: phase {row.phase}, ready {row.ready}, {row.target}, "
        f"Secret {row.secret_name} ({_holding(row)}), time left {_left(row, now)}"
    )


def event_line(event: Event) -> str:
    """Say what happened."""
    return f"{event.at:5.1f} s  {event.text}"


def step_text(step: Step) -> Text:
    """Draw a step that is done."""
    note = f"  {step.note}" if step.note else ""
    return Text.assemble(("✓ ", "green"), step.title, (f"{note}  {step.seconds:.1f} s", "dim"))


def stage(story: Story) -> Group:
    """Draw the table, and what happened so far."""
    return Group("", _table(story.rows, story.now), "", *map(_event_text, story.events))


def summary_text(lines: Iterable[str]) -> Text:
    """Draw the summary."""
    return Text.assemble("\n", ("Summary", "bold"), *(f"\n  {line}" for line in lines))


def draw(story: Story, file: Path) -> None:
    """Draw the last screen as an SVG file."""
    parts: list[RenderableType] = [Text("$ make demo", "bold"), *map(step_text, story.steps)]
    parts += [stage(story), summary_text(story.summary)]
    console = Console(
        record=True,
        width=_PICTURE_WIDTH,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        _environ={},
    )
    console.print(Group(*parts))
    svg = console.export_svg(
        title="ECR Secret Operator", code_format=_SVG, unique_id="demo", font_aspect_ratio=_FONT_ASPECT
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(svg, encoding="utf-8")


def _table(rows: Iterable[Row], now: float) -> Table:
    table = Table(box=box.ROUNDED, show_lines=True, header_style="bold", border_style="dim")
    table.add_column("Resource", overflow="fold")
    table.add_column("Phase", no_wrap=True)
    table.add_column("Ready", no_wrap=True)
    table.add_column("Registry or URL", overflow="fold")
    table.add_column("Generated Secret", overflow="fold")
    table.add_column("Time left", no_wrap=True, justify="right")
    for row in rows:
        table.add_row(
            Text.assemble((row.kind, "dim"), f"\n{row.name}"),
            Text(row.phase, _STYLES.get(row.phase, "yellow")),
            Text(row.ready, _STYLES.get(row.ready, "yellow")),
            # Where rich would break it, a host can hardly be read.
            row.target.replace(".ecr.", ".ecr.\n", 1),
            Text.assemble(row.secret_name, (f"\n{_holding(row)}", "dim")),
            _left_text(row, now),
        )
    return table


def _event_text(event: Event) -> Text:
    return Text.assemble((f"{event.at:5.1f} s  ", "dim"), event.text)


def _holding(row: Row) -> str:
    return f"token {row.token.serial}" if row.token else "no token yet"


def _left(row: Row, now: float) -> str:
    left = row.left(now)
    if left is None:
        return "-"
    return f"{int(left)} s" if left else "expired"


def _left_text(row: Row, now: float) -> Text:
    left = row.left(now)
    if left is None or row.expires_at is None or row.updated_at is None:
        return Text(_left(row, now))
    style = "green" if left > _SHORT else "yellow"
    full = min(_BAR, round(_BAR * left / max(row.expires_at - row.updated_at, 1.0)))
    return Text.assemble((_left(row, now), style), "\n", ("━" * full, style), ("━" * (_BAR - full), "dim"))
