"""The forms of `status`: a table on a terminal or a pipe, JSON, YAML; at once or change by change."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from ecr_operator.cli import table
from ecr_operator.cli.rows import Row, as_data
from ecr_operator.cli.terminal import Terminal
from ecr_operator.settings.commands import TableOutput


class Form(Protocol):
    """Writes rows on a terminal or pipe."""

    def whole(self, rows: Sequence[Row], now: datetime) -> None:
        """Show all rows there are."""
        ...

    def more(self, rows: Sequence[Row], now: datetime) -> None:
        """Append rows that have changed."""
        ...


def form_of(output: TableOutput, terminal: Terminal, *, namespaces: bool) -> Form:
    """Choose a form.

    Args:
        output: what the user asked for.
        terminal: where it goes.
        namespaces: whether to tell namespaces.
    """
    match output:
        case "json":
            return _Json(terminal)
        case "yaml":
            return _Yaml(terminal)
    return _Table(terminal, columns_of(output, terminal, namespaces=namespaces))


def columns_of(output: TableOutput, terminal: Terminal, *, namespaces: bool) -> table.Columns:
    """Choose columns; messages have a line of their own on a terminal, where a column would be too narrow."""
    wide = output == "wide"
    return table.Columns(namespaces=namespaces, wide=wide, messages=wide and not terminal.is_interactive)


class _Table:
    def __init__(self, terminal: Terminal, columns: table.Columns) -> None:
        self._terminal = terminal
        self._columns = columns
        self._lines = table.PlainTable(columns.names)
        self._begun = False

    def whole(self, rows: Sequence[Row], now: datetime) -> None:
        if self._terminal.is_interactive:
            self._terminal.draw(table.drawing(rows, now, self._terminal.marks, self._columns))
            return
        self.more(rows, now)
        for line in ["", *table.remarks(rows, self._columns), table.summary(rows)]:
            self._terminal.say(line)

    def more(self, rows: Sequence[Row], now: datetime) -> None:
        if rows:
            cells = [self._columns.cells(row, now) for row in rows]
            for line in self._lines.lines(cells, with_names=not self._begun):
                self._terminal.say(line)
            self._begun = True


class _Json:
    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def whole(self, rows: Sequence[Row], now: datetime) -> None:
        self._terminal.say(json.dumps([as_data(row, now) for row in rows], indent=2))

    def more(self, rows: Sequence[Row], now: datetime) -> None:
        for row in rows:
            self._terminal.say(json.dumps(as_data(row, now)))


class _Yaml:
    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def whole(self, rows: Sequence[Row], now: datetime) -> None:
        self._dump([as_data(row, now) for row in rows])

    def more(self, rows: Sequence[Row], now: datetime) -> None:
        for row in rows:
            self._terminal.say("---")
            self._dump(as_data(row, now))

    def _dump(self, data: object) -> None:
        import yaml  # noqa: PLC0415 - only where it is asked for

        self._terminal.say(yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip())
