"""`status`: all resources, the most urgent first; once, or with `--watch` until interrupted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, NoReturn

from ecr_operator.cli.cluster import connected, kinds_of, list_all, namespace_of
from ecr_operator.cli.output import CommandError, Terminal, format_span, short_name
from ecr_operator.cli.rows import STATES, Row, State, as_data, by_urgency, changed, row_of
from ecr_operator.core.ports import Clock
from ecr_operator.kube.client import KubeClient
from ecr_operator.settings.commands import Status, TableOutput

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

_INTERVAL: Final = 2.0  # seconds
_LINES_AROUND: Final = 8  # of a table that has to fit, for the summary and notes
_CELLS: Final = 10  # of a bar
_SHORT: Final = 0.15  # of a token's life
_STYLES: Final[Mapping[State, str]] = {"Ready": "green", "Failing": "yellow", "Not ready": "bold red"}
_FOLDED: Final = ("RESOURCE", "SECRET", "REGISTRY")


async def run(command: Status, terminal: Terminal, clock: Clock) -> int:
    """Show the resources once, or until interrupted.

    Returns:
        0 if all are ready and all kinds could be listed, else 1.

    Raises:
        CommandError: the API server can't be reached, or no kind could be listed.
    """
    async with connected(command.place) as client:
        namespace = namespace_of(command.place, client)
        columns = columns_of(command.output, namespaces=not namespace, messages=not terminal.is_interactive)
        view = _View(client, namespace, Printer(command.output, terminal, columns), terminal, clock)
        for note in await view.read():
            terminal.note(note)
        if not command.watch:
            return await view.once()
        if terminal.is_interactive and command.output in ("table", "wide"):
            return await view.redraw()
        return await view.append()


@dataclass(slots=True)
class _View:
    client: KubeClient
    namespace: str
    printer: "Printer"
    terminal: Terminal
    clock: Clock
    rows: Sequence[Row] = ()
    errors: Sequence[str] = ()

    async def read(self) -> list[str]:
        """Read the rows, and return what is not an error."""
        found = await list_all(self.client, self.namespace, kinds_of(self.namespace))
        now = self.clock.now()
        self.errors, self.rows = found.errors, by_urgency(row_of(*each, now) for each in found.objects)
        return found.notes

    async def once(self) -> int:
        if self.rows or self.printer.is_data:
            self.printer.write_all(self.rows, self.clock.now())
        elif not self.errors:
            where = f"namespace {self.namespace}; -A shows all" if self.namespace else "any namespace"
            self.terminal.note(f"No resources in {where}.")
        self._note_errors()
        return 0 if not self.errors and all(row.ready for row in self.rows) else 1

    async def redraw(self) -> NoReturn:
        """One table that is kept up to date."""
        from rich.live import Live  # noqa: PLC0415 - for a terminal only

        console, printer = self.terminal.console, self.printer
        with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
            while True:
                table = printer.table(self.rows, self.clock.now(), self.errors, height=console.height)
                live.update(table, refresh=True)
                await self._read_again()

    async def append(self) -> NoReturn:
        """A line for each change."""
        before: Sequence[Row] = ()
        noted: Sequence[str] = ()
        while True:
            self.printer.write_changes(changed(before, self.rows), self.clock.now())
            if self.errors != noted:
                self._note_errors()
            before, noted = self.rows, self.errors
            await self._read_again()

    async def _read_again(self) -> None:
        """Wait, and keep the rows if the API server can't be reached."""
        await self.clock.sleep(_INTERVAL)
        try:
            await self.read()
        except CommandError as error:
            self.errors = [str(error)]

    def _note_errors(self) -> None:
        for error in self.errors:
            self.terminal.note(error)


class Printer:
    """Writes rows in the requested format: a table, aligned lines on a pipe, JSON or YAML."""

    def __init__(self, output: TableOutput, terminal: Terminal, columns: Sequence[str]) -> None:
        self._output = output
        self._terminal = terminal
        self._columns = columns
        # Lines that are written later keep the widths of earlier ones.
        self._widths: list[int] = []

    @property
    def is_data(self) -> bool:
        """Whether the output is for programs."""
        return self._output in ("json", "yaml")

    def write_all(self, rows: Sequence[Row], now: datetime) -> None:
        """Write all rows."""
        if self.is_data:
            self._terminal.write_data([as_data(row, now) for row in rows], self._output)
        elif self._terminal.is_interactive:
            self._terminal.console.print(self.table(rows, now))
        else:
            self.write_changes(rows, now)
            for line in ["", *notes(rows, self._columns), summary(rows)]:
                self._terminal.write(line)

    def write_changes(self, rows: Sequence[Row], now: datetime) -> None:
        """Append rows that changed."""
        if self.is_data:
            for row in rows:
                if self._output == "yaml":
                    self._terminal.write("---")
                self._terminal.write_data(as_data(row, now), self._output, indent=None)
            return
        lines = [cells(row, self._columns, now) for row in rows]
        if lines and not self._widths:
            lines.insert(0, list(self._columns))
            self._widths = [0] * len(self._columns)
        for line in lines:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, line, strict=True)]
        for line in lines:
            padded = (f"{cell:{width}}" for cell, width in zip(line, self._widths, strict=True))
            self._terminal.write("   ".join(padded).rstrip())

    def table(
        self, rows: Sequence[Row], now: datetime, errors: Sequence[str] = (), height: int | None = None
    ) -> "Group":
        """A table for a terminal, with bars, notes and a summary.

        If it has to fit into a height (in lines), the least urgent rows are left out, and summary and errors
        come first, where they can't be cut off.
        """
        from rich.console import Group  # noqa: PLC0415 - for a terminal only
        from rich.table import Table  # noqa: PLC0415 - the same
        from rich.text import Text  # noqa: PLC0415 - the same

        room = len(rows) if height is None else max(height - _LINES_AROUND, 1)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for name in self._columns:
            table.add_column(name, no_wrap=name not in _FOLDED, overflow="fold")
        for row in rows[:room]:
            drawn = dict(zip(self._columns, map(Text, cells(row, self._columns, now)), strict=True))
            drawn["STATE"].stylize(_STYLES[row.state])
            drawn["TIME LEFT"] = _bar(row, now, self._terminal.marks)
            table.add_row(*drawn.values())
        hidden = f" ({len(rows) - room} more not shown)" if room < len(rows) else ""
        head = [Text(f"{summary(rows)}{hidden}", "dim"), *(Text(line, "red") for line in errors)]
        said = [Text(line, "yellow") for line in notes(rows, self._columns)]
        return Group(table, "", *said, *head) if height is None else Group(*head, "", table, "", *said)


def time_left(row: Row, now: datetime) -> str:
    """How long until the token expires, with `~` if that is estimated."""
    if row.expires_at is None:
        return ""
    if now >= row.expires_at:
        return "expired"
    return ("~" if row.estimated else "") + format_span(row.expires_at - now)


def next_refresh(row: Row, now: datetime) -> str:
    """When the token will be renewed."""
    if row.next_refresh_at is None:
        return ""
    if row.is_overdue(now):
        return f"overdue {format_span(now - row.next_refresh_at)}"
    return "now" if now >= row.next_refresh_at else f"in {format_span(row.next_refresh_at - now)}"


def _covered(row: Row) -> str:
    """In how many of its namespaces a ClusterSecret is ready."""
    return f"{row.coverage.ready}/{row.coverage.served}" if row.coverage else ""


def _refreshed(row: Row, now: datetime) -> str:
    return (
        f"{format_span(now - row.refreshed_at)} ago" if row.refreshed_at and now >= row.refreshed_at else ""
    )


_COLUMNS: Final[Mapping[str, Callable[[Row, datetime], str]]] = {
    "NAMESPACE": lambda row, _: row.key.namespace or _covered(row),
    "RESOURCE": lambda row, _: short_name(row.key),
    "STATE": lambda row, _: row.state,
    "REASON": lambda row, _: row.reason,
    "TIME LEFT": time_left,
    "NEXT REFRESH": next_refresh,
    "SECRET": lambda row, _: row.secret,
    "REGISTRY": lambda row, _: row.registry,
    "REFRESHED": _refreshed,
    "MESSAGE": lambda row, _: row.message,
}


def columns_of(output: TableOutput, *, namespaces: bool, messages: bool) -> list[str]:
    """The names of the columns; a wide table may have one for messages, which else follow the table."""
    left_out = set() if namespaces else {"NAMESPACE"}
    if output != "wide":
        left_out |= {"REGISTRY", "REFRESHED", "MESSAGE"}
    elif not messages:
        left_out.add("MESSAGE")
    return [name for name in _COLUMNS if name not in left_out]


def cells(row: Row, columns: Sequence[str], now: datetime) -> list[str]:
    """The text of each column, a dash where there is none."""
    return [_COLUMNS[name](row, now) or "-" for name in columns]


def notes(rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """The messages of failing rows and an empty line, unless a column has them."""
    found = [
        f"{f'{row.key.namespace} ' if row.key.namespace and 'NAMESPACE' in columns else ''}"
        f"{short_name(row.key)}: {row.message}"
        for row in rows
        if row.state != "Ready" and row.message
    ]
    return [*found, ""] if found and "MESSAGE" not in columns else []


def summary(rows: Sequence[Row]) -> str:
    """The number of resources in each state."""
    numbers = [(sum(row.state == state for row in rows), state) for state in reversed(STATES)]
    by_state = ", ".join(f"{number} {state.lower()}" for number, state in numbers if number) or "none"
    return f"{len(rows)} {'resource' if len(rows) == 1 else 'resources'}: {by_state}"


def filled_cells(row: Row, now: datetime) -> int:
    """How many cells of the bar are full: all for a new token, at least one until it expires, then none."""
    if row.expires_at is None or row.refreshed_at is None or not now < row.expires_at:
        return 0
    life = max(row.expires_at - row.refreshed_at, row.expires_at - now)
    return max(round(_CELLS * ((row.expires_at - now) / life)), 1)


def _bar(row: Row, now: datetime, marks: Mapping[str, str]) -> "Text":
    from rich.text import Text  # noqa: PLC0415 - for a terminal only

    left = time_left(row, now)
    if row.expires_at is None or row.refreshed_at is None:
        return Text(left or "-")
    full = filled_cells(row, now)
    style = "green" if full > _CELLS * _SHORT else "red"
    return Text.assemble(
        (marks["full"] * full, style), (marks["empty"] * (_CELLS - full), "bright_black"), f" {left}"
    )
