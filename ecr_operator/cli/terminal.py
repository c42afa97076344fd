"""Where a command writes to: colours for a person, plain text for a pipe.

Invariant: on a pipe nothing is coloured or cut, and rich is not imported. Rich itself heeds NO_COLOR.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PROGRAM: Final = "ecr-secret-operator"

# A piece of text and rich's style for it.
Piece = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Marks:
    """The signs in what is shown."""

    good: str
    bad: str
    optional: str
    next: str
    full: str
    empty: str


_SIGNS: Final = Marks("✓", "✗", "○", "→", "━", "━")
_LETTERS: Final = Marks("ok", "NO", "--", "->", "#", ".")


class Terminal:
    """Standard output and error of this process, unless others are given."""

    def __init__(self, out: TextIO | None = None, errors: TextIO | None = None) -> None:
        """Make both streams take any text: what their encoding lacks shows as `?`.

        Args:
            out: for results; standard output by default.
            errors: for remarks and mistakes; standard error by default.
        """
        self.out, self.errors = out or sys.stdout, errors or sys.stderr
        for stream in (self.out, self.errors):
            if reconfigure := getattr(stream, "reconfigure", None):
                reconfigure(errors="replace")

    @property
    def is_interactive(self) -> bool:
        """Whether a person looks on."""
        return self.out.isatty()

    @property
    def marks(self) -> Marks:
        """Signs, or letters where the encoding has no signs."""
        return _SIGNS if "utf" in (self.out.encoding or "").lower() else _LETTERS

    @cached_property
    def console(self) -> "Console":
        """Rich's console on the output."""
        from rich.console import Console  # noqa: PLC0415 - not for a pipe, and not for the operator

        return Console(file=self.out, highlight=False, markup=False, emoji=False)

    def say(self, text: str = "") -> None:
        """Write one line of results as it is."""
        print(text, file=self.out, flush=True)

    def show(self, pieces: Sequence[Piece]) -> None:
        """Write one line of results, in its styles where there are colours."""
        if not self.is_interactive:
            self.say("".join(text for text, _ in pieces).rstrip())
            return
        from rich.text import Text  # noqa: PLC0415 - the same

        self.console.print(Text.assemble(*pieces), soft_wrap=True)

    def draw(self, what: "RenderableType") -> None:
        """Draw what rich can draw; for a terminal only."""
        self.console.print(what)

    def complain(self, text: str) -> None:
        """Write a remark or mistake on standard error, one line."""
        print(f"{PROGRAM}: {' '.join(text.split())}", file=self.errors, flush=True)
