"""The few elements of SVG that a drawing needs, as text. Pure."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

# Of the font's size, on average for a sans-serif font; narrow letters make up for wide ones.
_LETTER = 0.56


class Box(NamedTuple):
    """A rectangle, from its upper left corner."""

    x: float
    y: float
    w: float
    h: float


def number(value: float) -> str:
    """Write a number with one digit after the point, if it needs that."""
    return f"{value:.1f}".removesuffix(".0")


def width_of(words: str, size: float) -> float:
    """Estimate how wide words are in a font of that size."""
    return len(words) * size * _LETTER


def cut(words: str, room: float, size: float) -> str:
    """Shorten words so that they fit into a width."""
    letters = int(room / (size * _LETTER))
    return words if len(words) <= letters else f"{words[: max(letters - 1, 1)]}…"


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "") -> str:
    """Write words; `y` is their base line."""
    anchored = f' text-anchor="{anchor}"' if anchor and anchor != "start" else ""
    return f'<text x="{number(x)}" y="{number(y)}"{_kind(kind)}{anchored}>{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float) -> str:
    """Draw a line of a grid."""
    return f"<line{_at(('x1', 'y1', 'x2', 'y2'), (x1, y1, x2, y2))}/>"


def rect(box: Box, kind: str = "", corner: int = 0) -> str:
    """Draw a rectangle."""
    rounded = f' rx="{corner}"' if corner else ""
    return f"<rect{_at(('x', 'y', 'width', 'height'), box)}{rounded}{_kind(kind)}/>"


def path(points: Sequence[tuple[float, float]], kind: str) -> str:
    """Draw a line through points; the kind says whether it is filled."""
    steps = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return f'<path d="M{steps}"{_kind(kind)}/>'


def group(content: str, kind: str = "", *, title: str = "", told: str = "") -> str:
    """Put elements together; the title shows at the pointer, what is told is for who reads the file."""
    titled = f"<title>{escape(title)}</title>\n" if title else ""
    described = f"<desc>{escape(told)}</desc>\n" if told else ""
    return f"<g{_kind(kind)}>\n{titled}{described}{content}\n</g>"


def _at(names: Sequence[str], values: Sequence[float]) -> str:
    pairs = zip(names, values, strict=True)
    return "".join(f' {name}="{number(value)}"' for name, value in pairs)


def _kind(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
