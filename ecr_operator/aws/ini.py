"""Mistakes in a credentials file that the SDK does not accept: corrected, or reported with their line.

v0.6.0's SDK took double quotes around a value off, so they are taken off here too. Pure.
Invariant: a flaw names a line and a key, never a value.
"""

import re
from collections.abc import Iterator, MutableMapping
from typing import Any, Final

_SECTION: Final = re.compile(r"\s*\[([^\]]*)\]")
_SETTING: Final = re.compile(r"\s*(\w+)\s*[=:]\s*(.*?)\s*$")
_BYTE_ORDER_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_DEFAULTS: Final = {"default", "profile default"}
_KEYS: Final = {
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "role_arn",
    "web_identity_token_file",
}


def unquote(settings: MutableMapping[str, Any]) -> None:
    """Take double quotes off all values, in place and at every depth."""
    for name, value in settings.items():
        if isinstance(value, MutableMapping):
            unquote(value)
        elif isinstance(value, str):
            settings[name] = _bare(value)


def find_flaw(content: bytes) -> str | None:
    """Say what is wrong with a credentials file, and on which line; None where nothing is seen."""
    if content.startswith(_BYTE_ORDER_MARKS):
        return "line 1 begins with a byte order mark; save the file as UTF-8 without one"
    lines = content.decode(errors="replace").splitlines()
    return next(_flaws(lines), None)


def _flaws(lines: list[str]) -> Iterator[str]:
    sections: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        if section := _SECTION.match(line):
            sections.append((number, section[1].strip()))
        elif not sections:
            yield f"line {number} comes before any section; put [default] above it"
        elif (setting := _SETTING.match(line)) and setting[1].lower() in _KEYS:
            yield from _flaws_of_value(number, setting[1], _bare(setting[2]))
    if sections and _DEFAULTS.isdisjoint(name for _, name in sections):
        yield f"line {sections[0][0]} begins a section, but none is named [default]"


def _flaws_of_value(number: int, name: str, value: str) -> Iterator[str]:
    if not value:
        yield f"line {number}: {name} is empty"
    elif value[0] in "\"'" or value[-1] in "\"'":
        yield f"line {number}: {name} has a quote at its value; remove it"


def _bare(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return value[1:-1] if quoted else value
