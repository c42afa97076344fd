"""Strings that thousands of objects have alike, kept in memory once.

Each answer of the API server is parsed by itself, and brings its own copy of every key.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final

# Longer ones are messages and names, of which there is one each.
_LONGEST: Final = 24
# A status has a list of objects; deeper than that is nothing of ours.
_DEEPEST: Final = 4


def share(value: Any, depth: int = _DEEPEST) -> Any:  # noqa: ANN401 - whatever JSON there is
    """Return the same JSON made of shared strings: all keys, and the short values."""
    if isinstance(value, str):
        return sys.intern(value) if len(value) <= _LONGEST else value
    if depth == 0:
        return value
    if isinstance(value, Mapping):
        return {sys.intern(key): share(inner, depth - 1) for key, inner in value.items()}
    return [share(inner, depth - 1) for inner in value] if isinstance(value, list) else value
