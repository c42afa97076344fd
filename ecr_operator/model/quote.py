"""User input inside a message: short, on one line, with nothing in it that could fake or garble a log."""

_LIMIT = 40


def quote(text: str, limit: int = _LIMIT) -> str:
    """Put double quotes around the beginning of a text that a user wrote.

    Args:
        text: anything, of any length.
        limit: how many of its characters are shown at most; an ellipsis stands for the rest.

    Returns:
        At most `limit` + 3 characters; what can't be printed shows as `?`.
    """
    shown = "".join(char if char.isprintable() else "?" for char in text[:limit])
    return f'"{shown}…"' if len(text) > limit else f'"{shown}"'
