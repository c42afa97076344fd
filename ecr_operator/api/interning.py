"""Strings that thousands of objects have alike, kept in memory once.

Each answer of the API server is parsed by itself, and brings its own copy of every key.
"""

from collections.abc import Mapping
from typing import Any, Final

# Longer ones are messages and names, of which there is one each.
_LONGEST: Final = 24
_MOST: Final = 5000
_LONGEST_SHARED: Final = 128
# A status has a list of objects; deeper than that is nothing of ours.
_DEEPEST: Final = 4


# Not sys.intern: Python 3.12 never frees what that has seen, and some of it is what tenants write.
_known: dict[str, str] = {}


def share_text(text: str) -> str:
    """Return an equal string: where it is not long, the same object as for earlier calls."""
    if len(text) > _LONGEST_SHARED:
        return text
    if len(_known) >= _MOST:
        _known.clear()
    return _known.setdefault(text, text)


def share(value: Any, depth: int = _DEEPEST) -> Any:  # noqa: ANN401 - whatever JSON there is
    """Return the same JSON made of shared strings: all keys, and the short values."""
    if isinstance(value, str):
        return share_text(value) if len(value) <= _LONGEST else value
    if depth == 0:
        return value
    if isinstance(value, Mapping):
        return {share_text(key): share(inner, depth - 1) for key, inner in value.items()}
    return [share(inner, depth - 1) for inner in value] if isinstance(value, list) else value
