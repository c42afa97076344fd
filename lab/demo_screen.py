"""Where the demo shows what it has to say: plain lines, or a live table on a terminal.

Whatever is said is kept in `story`, for the picture of the last screen. Nothing here starts a thread, so
nothing writes to a terminal after the demo has let go of it.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from lab import demo_view as view
from lab.demo_rows import Row


class OutputGoneError(Exception):
    """Nobody reads what the demo says: the terminal was closed, or the reader of the pipe has left."""


@dataclass(slots=True)
class Note:
    """What came of a step, filled in while it runs."""

    text: str = ""


class Screen(Protocol):
    """What the demo says things to."""

    story: view.Story

    def step(self, title: str) -> contextlib.AbstractContextManager[Note]:
        """Show that a step runs, and then how long it took."""
        ...

    def table(self, *, passing: bool = False) -> contextlib.AbstractContextManager[None]:
        """Show the table as long as the block lasts; a `passing` one goes with it."""
        ...

    def show(self, rows: Sequence[Row], now: float) -> None:
        """Bring the table up to date; `now` in epoch seconds."""
        ...

    def tell(self, text: str) -> None:
        """Say what happened, with the time."""
        ...

    def say(self, *lines: str) -> None:
        """Print lines that stay as they are."""
        ...

    def sum_up(self, lines: Sequence[str]) -> None:
        """Print the summary."""
        ...


def screen_for(stream: TextIO) -> Screen:
    """Choose: live on a terminal that can move its cursor, plain lines for all else."""
    console = Console(file=stream, force_terminal=stream.isatty(), highlight=False)
    lively = console.is_terminal and not console.is_dumb_terminal
    return LiveScreen(console) if lively else PlainScreen(stream)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputGoneError from error


def _since(began: float | None) -> float:
    return 0.0 if began is None else time.monotonic() - began


class PlainScreen:
    """Lines without control characters, one when something changes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._began: float | None = None
        self._shown: dict[str, Row] = {}
        self.story = view.Story()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Note]:
        """Print a line before and one after."""
        note, began = Note(), time.monotonic()
        self.say(f"{title}…")
        yield note
        step = view.Step(title=title, note=note.text, seconds=time.monotonic() - began)
        self.story.steps.append(step)
        self.say(f"{view.step_line(step)}")

    @contextlib.contextmanager
    def table(self, *, passing: bool = False) -> Iterator[None]:  # noqa: ARG002 - lines always stay
        """Count the time from the first table on."""
        self._began = self._began or time.monotonic()
        yield

    def show(self, rows: Sequence[Row], now: float) -> None:
        """Print those rows that changed in more than their time left."""
        self.story.rows, self.story.now = rows, now
        for row in rows:
            # A Secret is written before it is told of; that is one change, not two.
            seen = replace(row, token=None)
            if self._shown.get(row.key) != seen:
                self._shown[row.key] = seen
                self.say(view.event_line(self._event(view.row_line(row, now))))

    def tell(self, text: str) -> None:
        """Print it with the time."""
        event = self._event(text)
        self.story.events.append(event)
        self.say(view.event_line(event))

    def say(self, *lines: str) -> None:
        """Print and flush."""
        with _writing():
            for line in lines:
                print(line, file=self._stream, flush=True)

    def sum_up(self, lines: Sequence[str]) -> None:
        """Print the summary."""
        self.story.summary = list(lines)
        self.say("Summary", *(f"  {line}" for line in lines))

    def _event(self, text: str) -> view.Event:
        return view.Event(at=_since(self._began), text=text)


class LiveScreen:
    """Steps that turn into a tick, and a table that moves."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began: float | None = None
        self._live: Live | None = None
        self.story = view.Story()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Note]:
        """Show it as running, then with a tick or a cross."""
        note, began = Note(), time.monotonic()
        with self._living() as live:
            self._put(live, Text(f"… {title}"))
            try:
                yield note
            except BaseException:
                self._put(live, Text.assemble(("✗ ", "red"), title))
                raise
            step = view.Step(title=title, note=note.text, seconds=time.monotonic() - began)
            self.story.steps.append(step)
            self._put(live, view.step_text(step))

    @contextlib.contextmanager
    def table(self, *, passing: bool = False) -> Iterator[None]:
        """Keep the table at the foot of the screen, and leave its last state there unless it is passing."""
        self._began = self._began or time.monotonic()
        with self._living(transient=passing) as self._live:
            yield

    def show(self, rows: Sequence[Row], now: float) -> None:
        """Draw the table anew."""
        self.story.rows, self.story.now = rows, now
        if self._live:
            self._put(self._live, view.stage(self.story))

    def tell(self, text: str) -> None:
        """Add a line below the table."""
        self.story.events.append(view.Event(at=_since(self._began), text=text))

    def say(self, *lines: str) -> None:
        """Print above the table, and never break a line, so that it can be copied."""
        with _writing():
            for line in lines:
                self._console.print(line, markup=False, soft_wrap=True)

    def sum_up(self, lines: Sequence[str]) -> None:
        """Print the summary."""
        self.story.summary = list(lines)
        with _writing():
            self._console.print(view.summary_text(lines))

    @contextlib.contextmanager
    def _living(self, *, transient: bool = False) -> Iterator[Live]:
        live = Live(console=self._console, auto_refresh=False, transient=transient)
        with _writing():
            live.start()
        try:
            yield live
        finally:
            with _writing():
                live.stop()

    def _put(self, live: Live, what: Group | Text) -> None:
        with _writing():
            live.update(what, refresh=True)
