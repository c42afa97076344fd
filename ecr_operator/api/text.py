"""What others wrote, handled safely: bounded, read, quoted in messages, and kept in memory once.

Invariants: a check costs no more than its limit, however large the value is; what enters a message is one
short printable line. Leaves out the limits of single fields, which kinds and parsing hold.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

LONGEST_DURATION: Final = 64  # characters
LONGEST_NAME: Final = 253
LONGEST_TEXT: Final = 2048
MOST_ENTRIES: Final = 100
LARGEST_SPEC: Final = 64 * 1024  # bytes of UTF-8
LARGEST_STATUS: Final = 32 * 1024

_BYTES_PER_ENTRY: Final = 2
_EXCERPT: Final = 40
_LONGEST_MESSAGE: Final = 1000
_LONGEST_TIME: Final = 40
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_SPACE: Final = re.compile(r"\s")


# --- bounds -------------------------------------------------------------------------------------------------


def is_within(value: object, limit: int) -> bool:
    """Whether parsed JSON is UTF-8 of at most that many bytes; quotes and brackets count roughly."""
    return remaining_bytes(value, limit) >= 0


def remaining_bytes(value: object, limit: int) -> int:
    """The limit less the size of parsed JSON; negative if the value is larger, or is not valid Unicode."""
    waiting = [value]
    while waiting and limit >= 0:
        item = waiting.pop()
        limit -= _BYTES_PER_ENTRY
        if isinstance(item, str):
            limit -= _size(item, limit)
        elif isinstance(item, (dict, list)):
            # Subtracted before anything is taken out, so that no more ever waits than fits.
            limit -= _BYTES_PER_ENTRY * len(item)
            if limit >= 0:
                waiting += [*item.keys(), *item.values()] if isinstance(item, dict) else item
    return limit


def _size(text: str, limit: int) -> int:
    """Bytes of a text; more than the limit if it has more characters than that, or is not valid Unicode."""
    if text.isascii() or len(text) > limit:
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return limit + 1


def mapping_in(value: object, key: str) -> Mapping[str, Any]:
    """The object below a key; empty where there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def mappings_in(value: object, key: str) -> Iterator[Mapping[str, Any]]:
    """The objects in the list below a key; none where there is no list."""
    found = value.get(key) if isinstance(value, dict) else None
    return (entry for entry in found if isinstance(entry, dict)) if isinstance(found, list) else iter(())


def text_in(value: Mapping[str, Any], key: str, longest: int) -> str | None:
    """The text below a key; None where there is none, or where it is longer."""
    found = value.get(key)
    return found if isinstance(found, str) and len(found) <= longest else None


def base64_in(value: object) -> str | None:
    """The text that a base64 string encodes; None where it is not valid base64 of UTF-8."""
    try:
        return base64.b64decode(value, validate=True).decode() if isinstance(value, str) else None
    except ValueError:
        return None


# --- messages -----------------------------------------------------------------------------------------------


def excerpt(text: str, limit: int = _EXCERPT) -> str:
    """The beginning of a text in double quotes; at most `limit` + 3 characters."""
    return f'"{printable(text, limit)}"'


def excerpt_unless_word(text: str, limit: int = _EXCERPT) -> str:
    """A single short word as it is, anything else as an excerpt."""
    return text if len(text) <= limit and _WORD.fullmatch(text) else excerpt(text, limit)


def printable(text: str, limit: int) -> str:
    """The beginning of a text, with `?` for unprintable characters and an ellipsis for the rest."""
    shown = text[:limit]
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else "?" for char in shown)
    return f"{shown}…" if len(text) > limit else shown


def one_line(message: str, limit: int = _LONGEST_MESSAGE) -> str:
    """A message on one printable line, cut to a number of characters and an ellipsis."""
    if len(message) <= limit and message.isprintable():
        return message
    return printable(_SPACE.sub(" ", message[: limit + 1]), limit)


# --- times --------------------------------------------------------------------------------------------------


def parse_time(text: object) -> datetime | None:
    """An RFC 3339 time as UTC; None if it is not valid."""
    if not isinstance(text, str) or len(text) > _LONGEST_TIME:
        return None
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None


def format_time(time: datetime) -> str:
    """UTC, RFC 3339, with seconds; mostly the same object for the same second."""
    return _format_second(time.replace(microsecond=0))


@lru_cache(maxsize=256)
def _format_second(time: datetime) -> str:
    return f"{time.astimezone(UTC).isoformat()[:19]}Z"


# --- interning ----------------------------------------------------------------------------------------------

# Each answer of the API server brings its own copy of every key. Longer values are messages and names, of
# which there is one each.
_LONGEST_VALUE: Final = 24
_LONGEST_INTERNED: Final = 128
_MOST_INTERNED: Final = 5000
_DEEPEST: Final = 4  # A status has a list of objects; nothing of ours is deeper.

# Not sys.intern: Python 3.12 never frees its strings, and tenants write some of these.
_interned: dict[str, str] = {}


def intern_text(text: str) -> str:
    """An equal string; unless it is long, the same object as for earlier calls."""
    if len(text) > _LONGEST_INTERNED:
        return text
    if len(_interned) >= _MOST_INTERNED:
        _interned.clear()
    return _interned.setdefault(text, text)


def intern_json(value: Any, depth: int = _DEEPEST) -> Any:  # noqa: ANN401 - whatever JSON there is
    """Equal JSON whose keys and short values are interned."""
    if isinstance(value, str):
        return intern_text(value) if len(value) <= _LONGEST_VALUE else value
    if depth == 0:
        return value
    if isinstance(value, Mapping):
        return {intern_text(key): intern_json(inner, depth - 1) for key, inner in value.items()}
    return [intern_json(inner, depth - 1) for inner in value] if isinstance(value, list) else value
