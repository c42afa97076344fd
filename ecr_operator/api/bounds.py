"""Limits for what others write, checked before any work is done with it.

Invariant: a check costs no more than its limit, however large the value is.
Leaves out: limits of single fields, which the models (resources) and their parsers hold.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

LONGEST_DURATION: Final = 64  # characters
LONGEST_NAME: Final = 253
LONGEST_TEXT: Final = 2048
MOST_ENTRIES: Final = 100
LARGEST_SPEC: Final = 64 * 1024  # bytes of UTF-8
LARGEST_STATUS: Final = 32 * 1024
_PER_ENTRY: Final = 2


def is_within(value: object, limit: int) -> bool:
    """Whether parsed JSON is UTF-8 of at most that many bytes; quotes and brackets count roughly."""
    return left_after(value, limit) >= 0


def left_after(value: object, left: int) -> int:
    """What is left of a number of bytes after a JSON value; negative if that is too large or not UTF-8."""
    waiting = [value]
    while waiting and left >= 0:
        item = waiting.pop()
        left -= _PER_ENTRY
        if isinstance(item, str):
            left -= _size(item, left)
        elif isinstance(item, (dict, list)):
            # Before anything is taken out, so that no more is ever waiting than fits.
            left -= _PER_ENTRY * len(item)
            if left >= 0:
                waiting += _contents(item)
    return left


def mapping_in(value: object, key: str) -> Mapping[str, Any]:
    """The object below a key; empty where there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def mappings_in(value: object, key: str) -> Iterator[Mapping[str, Any]]:
    """The objects in the list below a key; none where there is no list."""
    found = value.get(key) if isinstance(value, dict) else None
    return (entry for entry in found if isinstance(entry, dict)) if isinstance(found, list) else iter(())


def text_in(value: Mapping[str, Any], key: str, longest: int) -> str | None:
    """The text below a key; None where there is none, or one that is longer."""
    found = value.get(key)
    return found if isinstance(found, str) and len(found) <= longest else None


def _contents(item: dict[str, Any] | list[Any]) -> list[Any]:
    return [*item.keys(), *item.values()] if isinstance(item, dict) else item


def _size(text: str, limit: int) -> int:
    """Bytes of a text; more than the limit if it has more characters than that, or is not Unicode text."""
    if text.isascii() or len(text) > limit:
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return limit + 1
