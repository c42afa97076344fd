"""Where commands write: styled text for a terminal, plain text for a pipe.

Invariant: on a pipe nothing is coloured or cut. Rich, which honours NO_COLOR, is imported for terminals only.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, TextIO

from ecr_operator.api import text
from ecr_operator.settings.flags import PROGRAM

if TYPE_CHECKING:
    from rich.console import Console

# `optional`: something is missing that not everybody needs.
Verdict = Literal["good", "bad", "optional"]

_STYLES: Final[dict[Verdict, str]] = {"good": "green", "bad": "bold red", "optional": "yellow"}
_TOPIC_WIDTH: Final = 13
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


class CommandError(Exception):
    """A command can't go on; the message is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The signs used in the output."""

    good: str
    bad: str
    optional: str
    next: str
    full: str
    empty: str


_SIGNS: Final = Marks("✓", "✗", "○", "→", "━", "━")
_LETTERS: Final = Marks("ok", "NO", "--", "->", "#", ".")


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that was checked.

    Attributes:
        advice: what to do next; empty for nothing.
    """

    verdict: Verdict
    topic: str
    text: str
    advice: str = ""

    def lines(self, marks: Marks) -> list[list[tuple[str, str]]]:
        """Its lines, as texts and their styles."""
        mark = {"good": marks.good, "bad": marks.bad, "optional": marks.optional}[self.verdict]
        style = _STYLES[self.verdict]
        lines = [[("  ", ""), (mark, style), (f" {self.topic:{_TOPIC_WIDTH}} ", "bold"), (self.text, "")]]
        if self.advice:
            indent = " " * (len(mark) + _TOPIC_WIDTH + 4)
            lines.append([(indent, ""), (f"{marks.next} {self.advice}", style)])
        return lines


class Terminal:
    """Standard output and error, or the given streams; what their encoding lacks is written as `?`.

    Notes begin with the program as the user called it.
    """

    def __init__(
        self, out: TextIO | None = None, errors: TextIO | None = None, program: str = PROGRAM
    ) -> None:
        self._program = program
        self.out, self.errors = out or sys.stdout, errors or sys.stderr
        for stream in (self.out, self.errors):
            if reconfigure := getattr(stream, "reconfigure", None):
                reconfigure(errors="replace")

    @property
    def is_interactive(self) -> bool:
        """Whether the output is a terminal."""
        return self.out.isatty()

    @property
    def marks(self) -> Marks:
        """Signs, or letters where the encoding lacks signs."""
        return _SIGNS if "utf" in (self.out.encoding or "").lower() else _LETTERS

    @cached_property
    def console(self) -> "Console":
        """Rich's console on the output; for a terminal only."""
        from rich.console import Console  # noqa: PLC0415 - for a terminal only

        return Console(file=self.out, highlight=False, markup=False, emoji=False)

    def write(self, line: str = "") -> None:
        """Write one line of results."""
        print(line, file=self.out, flush=True)

    def write_styled(self, pieces: Sequence[tuple[str, str]]) -> None:
        """Write one line of results made of texts and their rich styles."""
        if not self.is_interactive:
            self.write("".join(piece for piece, _ in pieces).rstrip())
            return
        from rich.text import Text  # noqa: PLC0415 - for a terminal only

        self.console.print(Text.assemble(*pieces), soft_wrap=True)

    def write_result(self, result: Result) -> None:
        """Write the lines of one result."""
        for line in result.lines(self.marks):
            self.write_styled(line)

    def note(self, message: str) -> None:
        """Write a note or error to standard error, as one line."""
        print(f"{self._program}: {' '.join(message.split())}", file=self.errors, flush=True)


def printable(value: str) -> str:
    """A text of any length without characters that could control a terminal."""
    return text.printable(value, len(value))


def format_span(span: timedelta) -> str:
    """A time span of either sign in its two largest units, rounded down: `9h12m`, `45s`, `2d3h`, `0s`."""
    rest = int(abs(span.total_seconds()))
    largest = next((number for number, (_, size) in enumerate(_UNITS) if rest >= size), len(_UNITS) - 1)
    formatted = ""
    for unit, size in _UNITS[largest : largest + 2]:
        count, rest = divmod(rest, size)
        formatted += f"{count}{unit}" if count or not formatted else ""
    return formatted
