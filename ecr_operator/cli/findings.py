"""What `check` finds, and how it is told: a tick or a cross, and what to do next. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ecr_operator.cli.terminal import Marks, Piece
from ecr_operator.kube.access_review import Need, Right

ErrorMeaning = Literal["good", "bad", "optional"]

_STYLES: Final[dict[ErrorMeaning, str]] = {"good": "green", "bad": "bold red", "optional": "yellow"}
_TOPIC: Final = 13  # characters
_INDENT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        verdict: `optional` is for what is missing, but not needed by everybody.
        topic: in a word or two.
        text: what was found.
        advice: what to do next; empty for nothing.
    """

    verdict: ErrorMeaning
    topic: str
    text: str
    advice: str = ""

    def lines(self, marks: Marks) -> list[list[Piece]]:
        """How it is shown, line by line."""
        mark = {"good": marks.good, "bad": marks.bad, "optional": marks.optional}[self.verdict]
        style = _STYLES[self.verdict]
        found: list[list[Piece]] = [
            [(" " * _INDENT, ""), (mark, style), (f" {self.topic:{_TOPIC}} ", "bold"), (self.text, "")]
        ]
        if self.advice:
            found.append(
                [(" " * (_INDENT + len(mark) + _TOPIC + 2), ""), (f"{marks.next} {self.advice}", style)]
            )
        return found


def of_right(need: Need, missing: Sequence[Right]) -> Finding:
    """Whether a need of the table is met.

    Args:
        need: of the table.
        missing: those of its rights that we lack.
    """
    if not missing:
        whom = "" if need.required else f", for {need.purpose}"
        return Finding(verdict="good", topic="rights", text=f"{need}: {', '.join(need.verbs)}{whom}")
    verbs = ", ".join(dict.fromkeys(right.verb for right in missing))
    places = [right.namespace for right in missing]
    where = f"in {', '.join(dict.fromkeys(places))}" if all(places) else "in all namespaces"
    return Finding(
        verdict="bad" if need.required else "optional",
        topic="rights",
        text=f"{need}: no {verbs} {where}; needed for {need.purpose}",
        advice=f"grant what {need.granted_by} grants" + ("" if need.required else ", if you use it"),
    )


def conclusion(findings: Iterable[Finding]) -> str:
    """The last line."""
    bad = sum(finding.verdict == "bad" for finding in findings)
    if not bad:
        return "All is well."
    return f"{bad} {'thing is' if bad == 1 else 'things are'} missing: see the lines with a cross."
