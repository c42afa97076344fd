"""`python -m tools.diagrams [--check]`: draw docs/diagrams/*.svg from the text beside them, or compare.

A description has `size` (columns and rows of the grid), `title`, and lists of
- `boxes`: `at` and `size` on the grid, `text` (the first line is the name), `style`;
- `arrows`: `from` and `to`, names of boxes, and `text`; `shift` moves one aside, in pixels;
- `marks`: a vertical line `at` a place, so `high`, with `text` above it;
- `notes`: `text` that begins `at` a place.

A picture has its own ground, and colours for light and dark. Text that leaves its box is an error.
"""

import sys
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

FOLDER: Final = Path(__file__).parents[1] / "docs" / "diagrams"
_COLUMN, _ROW, _MARGIN = 80, 60, 24
_LETTER: Final = 7.3  # pixels that a letter takes, at the most
_LINE: Final = 19
_HEAD: Final = (
    '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
    'orient="auto-start-reverse"><path class="head" d="M0 0L10 5L0 10z"/></marker></defs>'
)
_STYLE: Final = """\
text { font: 14px -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; text-anchor: middle; }
text { fill: #1f2328; }
text.name { font-weight: 600; }
text.beside { text-anchor: start; }
text.before { text-anchor: end; }
text.label { paint-order: stroke; stroke: #ffffff; stroke-width: 5px; fill: #59636e; }
.ground { fill: #ffffff; }
.plain { fill: #f6f8fa; stroke: #818b98; }
.strong { fill: #ddf4ff; stroke: #0969da; stroke-width: 2; }
.good { fill: #dafbe1; stroke: #1a7f37; }
.risky { fill: #fff8c5; stroke: #9a6700; }
.bad { fill: #ffebe9; stroke: #cf222e; }
.group { fill: none; stroke: #818b98; stroke-dasharray: 6 4; }
.line { fill: none; stroke: #59636e; stroke-width: 1.5; }
.head { fill: #59636e; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc; }
text.label { stroke: #0d1117; fill: #b7bdc8; }
.ground { fill: #0d1117; }
.plain { fill: #151b23; stroke: #656c76; }
.strong { fill: #0c2d6b; stroke: #4493f8; }
.good { fill: #04260f; stroke: #3fb950; }
.risky { fill: #341a00; stroke: #d29922; }
.bad { fill: #3c0614; stroke: #f85149; }
.group { stroke: #656c76; }
.line { stroke: #b7bdc8; }
.head { fill: #b7bdc8; }
}
"""

Described = Mapping[str, Any]


class DiagramError(Exception):
    """A description that can't be drawn as it is; the message says why."""


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self) -> tuple[float, float]:
        """Its centre."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def main() -> int:
    """Draw or check each picture; 1 if one is stale."""
    check = "--check" in sys.argv[1:]
    stale = [source for source in sorted(FOLDER.glob("*.yaml")) if not _settle(source, check=check)]
    for source in stale:
        print(
            f"{source.with_suffix('.svg').name} differs from its text: run `make diagrams`.", file=sys.stderr
        )
    return 1 if stale else 0


def _settle(source: Path, *, check: bool) -> bool:
    target, picture = source.with_suffix(".svg"), render(yaml.safe_load(source.read_text(encoding="utf-8")))
    if check:
        return target.is_file() and target.read_text(encoding="utf-8") == picture
    target.write_text(picture, encoding="utf-8")
    return True


def render(described: Described) -> str:
    """Return the picture. Raises DiagramError."""
    columns, rows = described["size"]
    width, height = columns * _COLUMN + 2 * _MARGIN, rows * _ROW + 2 * _MARGIN
    boxes = {each["text"][0]: _place(each) for each in described.get("boxes", ())}
    parts = [
        *(part for each in described.get("boxes", ()) for part in _box(each)),
        *(part for each in described.get("arrows", ()) for part in _arrow(each, boxes)),
        *(part for each in described.get("marks", ()) for part in _mark(each)),
        *(_text(*_point(each), each["text"], "beside") for each in described.get("notes", ())),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">',
            f"<title>{escape(described['title'])}</title>",
            f"<style>\n{_STYLE}</style>",
            _HEAD,
            f'<rect class="ground" width="{width:g}" height="{height:g}" rx="8"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _point(described: Described) -> tuple[float, float]:
    x, y = described["at"]
    return _MARGIN + x * _COLUMN, _MARGIN + y * _ROW


def _place(box: Described) -> Box:
    (left, top), (width, height) = _point(box), box["size"]
    return Box(left, top, left + width * _COLUMN, top + height * _ROW)


def _box(described: Described) -> Iterator[str]:
    place, style, lines = _place(described), described.get("style", "plain"), described["text"]
    yield (
        f'<rect class="{style}" x="{place.left:g}" y="{place.top:g}" width="{place.right - place.left:g}" '
        f'height="{place.bottom - place.top:g}" rx="6"/>'
    )
    if style == "group":
        yield _text(place.left + 10, place.top + 20, lines[0], "name beside")
        return
    x, y = place.middle
    for number, line in enumerate(lines):
        if len(line) * _LETTER > place.right - place.left or len(lines) * _LINE > place.bottom - place.top:
            raise DiagramError(f"the box {lines[0]!r} is too small for {line!r}")
        below = (number - (len(lines) - 1) / 2) * _LINE
        yield _text(x, y + below + 5, line, "name" if number == 0 else "")


def _arrow(described: Described, boxes: Mapping[str, Box]) -> Iterator[str]:
    ends = described["from"], described["to"]
    if missing := [end for end in ends if end not in boxes]:
        raise DiagramError(f"there is no box {missing[0]!r}")
    first, second = (boxes[end] for end in ends)
    text, shift = described.get("text", ""), described.get("shift", 0)
    left, right = max(first.left, second.left), min(first.right, second.right)
    top, bottom = max(first.top, second.top), min(first.bottom, second.bottom)
    if left < right:
        x, downwards = (left + right) / 2 + shift, second.top > first.top
        start, end = (first.bottom, second.top) if downwards else (first.top, second.bottom)
        yield _line(f"M{x:g} {start:g}V{end:g}")
        side, kind = (8, "label beside") if shift >= 0 else (-8, "label before")
        yield _text(x + side, (start + end) / 2 + 5, text, kind)
    elif top < bottom:
        y, rightwards = (top + bottom) / 2 + shift, second.left > first.left
        start, end = (first.right, second.left) if rightwards else (first.left, second.right)
        yield _line(f"M{start:g} {y:g}H{end:g}")
        yield _text((start + end) / 2, y + (18 if shift > 0 else -8), text, "label")
    else:
        raise DiagramError(f"{ends[0]!r} and {ends[1]!r} are neither beside nor above each other")


def _mark(described: Described) -> Iterator[str]:
    x, y = _point(described)
    yield f'<path class="line" d="M{x:g} {y:g}v{described["high"] * _ROW:g}"/>'
    if text := described.get("text"):
        yield _text(x, y - 8, text, "label")


def _line(path: str) -> str:
    return f'<path class="line" d="{path}" marker-end="url(#head)"/>'


def _text(x: float, y: float, text: str, kind: str) -> str:
    marked = f' class="{kind}"' if kind else ""
    return f'<text{marked} x="{x:g}" y="{y:g}">{escape(text)}</text>'


if __name__ == "__main__":
    sys.exit(main())
