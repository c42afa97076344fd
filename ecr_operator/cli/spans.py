"""Spans of time for people: in two units, and as a bar."""

from datetime import timedelta
from typing import Final

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def in_words(span: timedelta) -> str:
    """A span of any sign in its two largest units, cut: `9h12m`, `45s`, `2d3h`, `0s`."""
    rest = int(abs(span.total_seconds()))
    largest = next((number for number, (_, size) in enumerate(_UNITS) if rest >= size), len(_UNITS) - 1)
    words = ""
    for unit, size in _UNITS[largest : largest + 2]:
        count, rest = divmod(rest, size)
        words += f"{count}{unit}" if count or not words else ""
    return words


def filled(left: timedelta, life: timedelta, cells: int) -> int:
    """How many cells of a bar are full: all at the beginning of a life, one to its very end, none after."""
    if left <= timedelta(0) or life <= timedelta(0):
        return 0
    return min(max(round(cells * (left / life)), 1), cells)
