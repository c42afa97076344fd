"""What others wrote, inside a message: short, on one line, with nothing that could fake or garble a log."""

import re
from typing import Final

_LIMIT: Final = 40
_LONGEST_MESSAGE: Final = 1000
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_SPACE: Final = re.compile(r"\s")


def excerpt(text: str, limit: int = _LIMIT) -> str:
    """Put double quotes around the beginning of a text that a user wrote.

    Args:
        text: anything, of any length.
        limit: how many of its characters are shown at most; an ellipsis stands for the rest.

    Returns:
        At most `limit` + 3 characters; what can't be printed shows as `?`.
    """
    return f'"{printable(text, limit)}"'


def excerpt_unless_word(text: str, limit: int = _LIMIT) -> str:
    """A single short word as it is, and anything else in quotes; see `excerpt`."""
    return text if len(text) <= limit and _WORD.fullmatch(text) else excerpt(text, limit)


def printable(text: str, limit: int) -> str:
    """The beginning of a text, with `?` for what can't be printed and an ellipsis for the rest."""
    shown = text[:limit]
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else "?" for char in shown)
    return f"{shown}…" if len(text) > limit else shown


def one_line(message: str, limit: int = _LONGEST_MESSAGE) -> str:
    """A whole message on one line: at most so many characters, and an ellipsis for the rest."""
    if len(message) <= limit and message.isprintable():
        return message
    return printable(_SPACE.sub(" ", message[: limit + 1]), limit)
