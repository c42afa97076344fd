"""The table of `status`: as plain text for a pipe, and as rich draws it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ecr_operator.api.kinds import SHORT_NAMES
from ecr_operator.cli.rows import Row, State
from ecr_operator.cli.spans import filled, in_words
from ecr_operator.cli.terminal import Marks

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

_CELLS: Final = 10
_GAP: Final = "   "
_STYLES: Final[dict[State, str]] = {"Ready": "green", "Failing": "yellow", "Not ready": "bold red"}
_FOLDED: Final = ("RESOURCE", "SECRET", "REGISTRY")
_SHORT: Final = 0.15  # of a life


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns there are.

    Attributes:
        namespaces: the namespace comes first.
        wide: registry and time of the last refresh come last.
        messages: and after them the message; else it is told below the table.
    """

    namespaces: bool
    wide: bool
    messages: bool

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [
            *(["NAMESPACE"] if self.namespaces else []),
            *("RESOURCE", "STATE", "REASON", "TIME LEFT", "NEXT REFRESH", "SECRET"),
            *(["REGISTRY", "REFRESHED"] if self.wide else []),
            *(["MESSAGE"] if self.messages else []),
        ]

    def cells(self, row: Row, now: datetime) -> list[str]:
        """A row's text, column by column; a dash where there is none."""
        found = [
            *([row.namespace] if self.namespaces else []),
            *(_resource(row), row.state, row.reason),
            *(time_left(row, now), next_refresh(row, now), row.secret),
            *([row.registry, _refreshed(row, now)] if self.wide else []),
            *([row.message] if self.messages else []),
        ]
        return [cell or "-" for cell in found]


def time_left(row: Row, now: datetime) -> str:
    """How long the token still lives; with `~` where that is reckoned."""
    if row.expires_at is None:
        return ""
    if now >= row.expires_at:
        return "expired"
    return ("~" if row.estimated else "") + in_words(row.expires_at - now)


def next_refresh(row: Row, now: datetime) -> str:
    """When the token is renewed."""
    if row.next_refresh_at is None:
        return ""
    if row.is_overdue(now):
        return f"overdue {in_words(now - row.next_refresh_at)}"
    return "now" if now >= row.next_refresh_at else f"in {in_words(row.next_refresh_at - now)}"


def _resource(row: Row) -> str:
    """The resource as kubectl and `refresh` take it."""
    return f"{SHORT_NAMES[row.kind]}/{row.name}"


def _refreshed(row: Row, now: datetime) -> str:
    return f"{in_words(now - row.refreshed_at)} ago" if row.refreshed_at and now >= row.refreshed_at else ""


class PlainTable:
    """Lines of columns, as wide as they need to be; later lines keep the widths of the first ones."""

    def __init__(self, names: Sequence[str]) -> None:
        """Args: names: of the columns."""
        self._names = names
        self._widths = [len(name) for name in names]

    def lines(self, rows: Sequence[Sequence[str]], *, with_names: bool) -> list[str]:
        """Set rows, with the names of the columns above if so asked."""
        found = [self._names, *rows] if with_names else rows
        for row in found:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, row, strict=True)]
        return [
            _GAP.join(f"{cell:{width}}" for cell, width in zip(row, self._widths, strict=True)).rstrip()
            for row in found
        ]


def remarks(rows: Iterable[Row], columns: Columns) -> list[str]:
    """What to say of the rows that are not well, and an empty line; nothing where a column says it."""
    said = [
        f"{f'{row.namespace} ' if columns.namespaces else ''}{_resource(row)}: {row.message}"
        for row in rows
        if row.state != "Ready" and row.message
    ]
    return [*said, ""] if said and not columns.messages else []


def summary(rows: Sequence[Row]) -> str:
    """How many there are, in each state."""
    counts = [(sum(row.state == state for row in rows), state) for state in _STYLES]
    told = ", ".join(f"{count} {state.lower()}" for count, state in counts if count) or "none"
    return f"{len(rows)} {'resource' if len(rows) == 1 else 'resources'}: {told}"


def drawing(
    rows: Sequence[Row], now: datetime, marks: Marks, columns: Columns, errors: Iterable[str] = ()
) -> "Group":
    """The table for a terminal, with bars; below it what to say of the rows that are not well, and errors."""
    from rich.console import Group  # noqa: PLC0415 - not for a pipe
    from rich.table import Table  # noqa: PLC0415 - the same
    from rich.text import Text  # noqa: PLC0415 - the same

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns.names:
        table.add_column(name, no_wrap=name not in _FOLDED, overflow="fold")
    for row in rows:
        drawn = [Text(cell) for cell in columns.cells(row, now)]
        drawn[columns.names.index("STATE")].stylize(_STYLES[row.state])
        drawn[columns.names.index("TIME LEFT")] = _bar(row, now, marks)
        table.add_row(*drawn)
    said = [Text(line, "yellow") for line in remarks(rows, columns)]
    failed = [Text(line, "red") for line in errors]
    return Group(table, "", *said, Text(summary(rows), "dim"), *failed)


def _bar(row: Row, now: datetime, marks: Marks) -> "Text":
    from rich.text import Text  # noqa: PLC0415 - not for a pipe

    left = time_left(row, now)
    if row.expires_at is None or row.refreshed_at is None:
        return Text(left or "-")
    remaining, life = row.expires_at - now, row.expires_at - row.refreshed_at
    full = filled(remaining, life, _CELLS)
    style = "green" if remaining > life * _SHORT else "red"
    return Text.assemble(
        (marks.full * full, style), (marks.empty * (_CELLS - full), "bright_black"), f" {left}"
    )
