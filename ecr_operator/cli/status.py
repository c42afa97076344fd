"""`status`: all resources, the most urgent first."""

from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from ecr_operator.cli import table
from ecr_operator.cli.errors import CommandError
from ecr_operator.cli.forms import Form, columns_of, form_of
from ecr_operator.cli.reading import connected, list_all, namespace_of
from ecr_operator.cli.rows import Row, by_urgency, changed, row_of
from ecr_operator.cli.terminal import Terminal
from ecr_operator.core.ports import Clock
from ecr_operator.kube.client import KubeClient
from ecr_operator.settings.commands import Status

_EVERY: Final = 2.0


async def run(command: Status, terminal: Terminal, clock: Clock) -> int:
    """Show them once, or until interrupted.

    Returns:
        0 if all of them are ready, and all could be read; else 1.

    Raises:
        CommandError: there is no way to an API server, or nothing could be read.
    """
    async with connected(command.place) as client:
        namespace = namespace_of(command.place, client)
        view = _View(client, namespace, terminal, clock)
        form = form_of(command.output, terminal, namespaces=not namespace)
        if not command.watch:
            return await view.once(form, data=command.output in ("json", "yaml"))
        if terminal.is_interactive and command.output in ("table", "wide"):
            return await view.redraw(columns_of(command.output, terminal, namespaces=not namespace))
        return await view.append(form)


class _View:
    def __init__(self, client: KubeClient, namespace: str, terminal: Terminal, clock: Clock) -> None:
        self._client = client
        self._namespace = namespace
        self._terminal = terminal
        self._clock = clock

    async def once(self, form: Form, *, data: bool) -> int:
        rows, lacking = await self._read()
        if rows or data:
            form.whole(rows, self._clock.now())
        elif not lacking:
            where = (
                f"namespace {self._namespace}. -A looks everywhere" if self._namespace else "any namespace"
            )
            self._terminal.complain(f"No resources in {where}.")
        for words in lacking:
            self._terminal.complain(words)
        return 0 if not lacking and all(row.ready for row in rows) else 1

    async def redraw(self, columns: table.Columns) -> NoReturn:
        """One picture that changes, until interrupted."""
        from rich.live import Live  # noqa: PLC0415 - not for a pipe

        rows, remarks = await self._read()
        console, marks = self._terminal.console, self._terminal.marks
        with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
            while True:
                drawing = table.drawing(rows, self._clock.now(), marks, columns, remarks)
                live.update(drawing, refresh=True)
                await self._clock.sleep(_EVERY)
                try:
                    rows, remarks = await self._read()
                except CommandError as error:
                    remarks = [str(error)]

    async def append(self, form: Form) -> NoReturn:
        """A line for each change, until interrupted."""
        before: Mapping[tuple[str, str, str], Row] = {}
        rows, remarks = await self._read()
        said: Sequence[str] = ()
        while True:
            form.more(changed(before, rows), self._clock.now())
            for words in remarks if remarks != said else ():
                self._terminal.complain(words)
            before, said = {row.identity: row for row in rows}, remarks
            await self._clock.sleep(_EVERY)
            try:
                rows, remarks = await self._read()
            except CommandError as error:
                remarks = [str(error)]

    async def _read(self) -> tuple[list[Row], Sequence[str]]:
        found = await list_all(self._client, self._namespace)
        now = self._clock.now()
        return by_urgency(row_of(kind, raw, now) for kind, raw in found.objects), found.lacking
