"""Where commands write, styled for a terminal and plain for a pipe, and how they show what they have.

Invariant: on a pipe nothing is coloured or cut. Rich, which honours NO_COLOR, is imported for terminals only.
"""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, TextIO

from ecr_operator.api import text
from ecr_operator.api.kinds import SHORT_NAMES
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.settings.flags import PROGRAM

if TYPE_CHECKING:
    from rich.console import Console

# `optional`: something is missing that not everybody needs.
Verdict = Literal["good", "bad", "optional"]

_STYLES: Final[dict[Verdict, str]] = {"good": "green", "bad": "bold red", "optional": "yellow"}
_TOPIC_WIDTH: Final = 13
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_LOGIN: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?[^/?#]*@")
_SIGNS: Final = {"good": "✓", "bad": "✗", "optional": "○", "next": "→", "full": "━", "empty": "━"}
_LETTERS: Final = {"good": "ok", "bad": "NO", "optional": "--", "next": "->", "full": "#", "empty": "."}


class CommandError(Exception):
    """A command can't go on; the message is one line that says what to do."""


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
    def marks(self) -> Mapping[str, str]:
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

    def write_styled(self, *pieces: tuple[str, str]) -> None:
        """Write one line of results made of texts and their rich styles."""
        if not self.is_interactive:
            self.write("".join(piece for piece, _ in pieces).rstrip())
            return
        from rich.text import Text  # noqa: PLC0415 - for a terminal only

        self.console.print(Text.assemble(*pieces), soft_wrap=True)

    def write_result(self, result: Result) -> None:
        """Write one result, with its advice on a line of its own."""
        mark, style = self.marks[result.verdict], _STYLES[result.verdict]
        topic = f" {result.topic:{_TOPIC_WIDTH}} "
        self.write_styled(("  ", ""), (mark, style), (topic, "bold"), (result.text, ""))
        if result.advice:
            indent = " " * (len(mark) + len(topic) + 2)
            self.write_styled((indent, ""), (f"{self.marks['next']} {result.advice}", style))

    def write_data(self, data: object, output: str, indent: int | None = 2) -> None:
        """Write data for programs, as YAML or, with this indent, as JSON."""
        if output == "json":
            self.write(json.dumps(data, indent=indent))
            return
        import yaml  # noqa: PLC0415 - takes time to load

        self.write(yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip())

    def note(self, message: str) -> None:
        """Write a note or error to standard error, as one line."""
        print(f"{self._program}: {' '.join(message.split())}", file=self.errors, flush=True)


def printable(value: str) -> str:
    """A text of any length without characters that could control a terminal."""
    return text.printable(value, len(value))


def without_login(url: str) -> str:
    """A registry key or URL without the login that somebody may have written into it."""
    return _LOGIN.sub(r"\1", url)


def short_name(key: ResourceKey) -> str:
    """A resource as kubectl names it on the command line, in its namespace."""
    return f"{SHORT_NAMES[key.kind]}/{key.name}"


def rfc3339(time: datetime | None) -> str | None:
    """A time for programs; None for none."""
    return text.format_time(time) if time else None


def seconds_left(expires_at: datetime | None, now: datetime) -> int | None:
    """The time until a token expires for programs; 0 when it is past, None without a token."""
    return max(int((expires_at - now).total_seconds()), 0) if expires_at else None


def format_span(span: timedelta) -> str:
    """A time span of either sign in its two largest units, rounded down: `9h12m`, `45s`, `2d3h`, `0s`."""
    rest = int(abs(span.total_seconds()))
    largest = next((number for number, (_, size) in enumerate(_UNITS) if rest >= size), len(_UNITS) - 1)
    formatted = ""
    for unit, size in _UNITS[largest : largest + 2]:
        count, rest = divmod(rest, size)
        formatted += f"{count}{unit}" if count or not formatted else ""
    return formatted
