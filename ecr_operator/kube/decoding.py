"""JSON as the API server sends it, which may be more than Python's parser takes.

Seen: it keeps whatever a tenant writes into `managedFields`, 9,000 levels deep, where Python 3.11 and 3.12
refuse 1,000, and keys that are not UTF-8. One such object must not spoil the list of all.
"""

import json
import re
from contextlib import suppress
from typing import Any, Final

# Deeper than anything that is looked at.
_DEEPEST: Final = 64
# What opens, what closes, and the rest; in runs, since there may be very many.
_RUN: Final = re.compile(
    rb'((?:\{"[^"\\{]*":)+|[\[{])'
    rb"|([\]}]+)"
    rb'|(?:"[^"\\]*(?:\\.[^"\\]*)*"(?::(?:\{\}|\[\]))?[,:]?)+',
    re.DOTALL,
)
_OPENS: Final = 1
_CLOSES: Final = 2


def parse(text: bytes) -> Any:  # noqa: ANN401 - whatever JSON there is
    """Parse JSON; what is too deep for Python is null below 64 levels, and what is not UTF-8 is replaced.

    Raises:
        ValueError: it is not JSON.
    """
    with suppress(RecursionError, UnicodeDecodeError):
        return json.loads(text)
    try:
        return json.loads(flattened(text).decode(errors="replace"))
    except RecursionError:
        raise ValueError("brackets without an end") from None


def flattened(text: bytes) -> bytes:
    """The same JSON with null for every object and list deeper than 64 levels."""
    kept, begun, depth, cut = [], 0, 0, 0
    for run in _RUN.finditer(text):
        if run.lastindex == _OPENS:
            before, depth = depth, depth + (run[0].count(b"{") or 1)
            if before <= _DEEPEST < depth:
                cut = _place_of(text, run.start(), _DEEPEST - before)
        elif run.lastindex == _CLOSES:
            before, depth = depth, depth - (run.end() - run.start())
            if before > _DEEPEST >= depth:
                kept += [text[begun:cut], b"null"]
                begun = run.start() + before - _DEEPEST
    return b"".join((*kept, text[begun:]))


def _place_of(text: bytes, place: int, number: int) -> int:
    """Where in a run that begins at a place the bracket after so many others stands."""
    for _ in range(number):
        place = text.index(b"{", place + 1)
    return place
