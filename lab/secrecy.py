"""Finds tokens and keys in the output of a program."""

import base64
from collections.abc import Iterable, Mapping

# Any run of so many characters of a secret counts as the secret.
WINDOW = 24
_LATEST = 40


def forms(password: str) -> list[str]:
    """Return a registry password as it is and as the auth field of a login."""
    return [password, base64.b64encode(f"AWS:{password}".encode()).decode()]


def leaks(texts: Mapping[str, str], secrets: Iterable[str]) -> dict[str, list[str]]:
    """Return by place the runs of secrets in the text there; every run counts."""
    forbidden = set(_runs(secrets, 1))
    found = {place: [run for run in _runs([text], 1) if run in forbidden] for place, text in texts.items()}
    return {place: runs[:3] for place, runs in found.items() if runs}


def shows(text: str, passwords: Iterable[str]) -> list[str]:
    """Return runs of the latest passwords that stand in a text; cheaper, and finds what is twice as long."""
    latest = list(passwords)[-_LATEST:]
    runs = _runs([form for password in latest for form in forms(password)], WINDOW)
    return [run for run in runs if run in text]


def _runs(texts: Iterable[str], step: int) -> Iterable[str]:
    return (text[at : at + WINDOW] for text in texts for at in range(0, len(text) - WINDOW + 1, step))
