"""Show how far a long step is: one line that rewrites itself on a terminal, else a line now and then."""

import shutil
import sys
import time
from types import TracebackType
from typing import Self, TextIO

_TENTHS = 10
_REPAINT_EVERY = 0.1
_REMARK_EVERY = 10.0


class Progress:
    """A counter of steps on stderr; `total` is the most there can be, None when not known."""

    def __init__(self, title: str, *, total: int | None = None, stream: TextIO | None = None) -> None:
        """Prepare the counter; entering the context shows its title."""
        self._title = title
        self._total = total
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._done = 0
        self._shown_tenths = 0
        self._shown_at = 0.0

    def __enter__(self) -> Self:
        """Show the title and start the clock."""
        self._began = time.monotonic()
        self._say(f"{self._title}…")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show how it ended and how long it took."""
        outcome = "done" if kind is None else "stopped"
        self._say(f"{self._title}: {outcome} after {time.monotonic() - self._began:.0f} s")
        if self._terminal:
            self._stream.write("\n")

    def step(self, what: str) -> None:
        """Count one step; `what` is shown on a terminal."""
        self._done += 1
        tenths = self._done * _TENTHS // self._total if self._total else 0
        if self._terminal:
            self._repaint(f"{self._title} {self._count()} {what}")
        elif tenths > self._shown_tenths:
            self._shown_tenths = tenths
            self._say(f"{self._title} {self._count()}")

    def remark(self, what: str) -> None:
        """Show a step that isn't counted, at most every few seconds where lines stay."""
        if self._terminal:
            self._repaint(f"{self._title}: {what}")
        elif time.monotonic() - max(self._began, self._shown_at) > _REMARK_EVERY:
            self._say(f"{self._title}: {what}")

    def _count(self) -> str:
        return f"{self._done}/{self._total}" if self._total else str(self._done)

    def _repaint(self, line: str) -> None:
        if time.monotonic() - self._shown_at > _REPAINT_EVERY:
            self._say(line)

    def _say(self, line: str) -> None:
        self._shown_at = time.monotonic()
        if self._terminal:
            self._stream.write(f"\r\x1b[K{line[: _columns() - 1]}")
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()


def _columns() -> int:
    return shutil.get_terminal_size().columns
