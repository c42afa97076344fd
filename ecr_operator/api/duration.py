"""Go durations → timedelta, as `frequency` needs them.

Invariant: of at most 64 characters, what Go's `time.ParseDuration` takes is taken with the same value, and
what it refuses is refused; tests/model/go_durations.json holds Go's own answers.
Leaves out: clamping, which is the schedule's.
"""

import re
from datetime import timedelta
from typing import Final

from ecr_operator.api.bounds import LONGEST_DURATION
from ecr_operator.api.text import excerpt

_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek letter mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
# Go keeps a duration in an int64 and parses its size first: 2^63 is fine with a minus sign only.
_MOST: Final = 2**63
_TERM: Final = re.compile(r"(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?(?P<unit>[^0-9.]*)", re.DOTALL)


def parse_go_duration(text: str) -> timedelta:
    """Read a duration exactly as Go does.

    Args:
        text: for example `10h`, `1h30m`, `-1.5s`, `0`.

    Returns:
        The duration in whole microseconds, cut towards zero; it may be zero or negative.

    Raises:
        ValueError: Go refuses it too, or it is longer than 64 characters; the message says what to write.

    Source: https://pkg.go.dev/time#ParseDuration
    """
    nanoseconds = parse_go_nanoseconds(text)
    microseconds = abs(nanoseconds) // 1_000
    return timedelta(microseconds=-microseconds if nanoseconds < 0 else microseconds)


def parse_go_nanoseconds(text: str) -> int:
    """Read a duration exactly as Go does, in nanoseconds between -2^63 and 2^63 - 1.

    Raises:
        ValueError: Go refuses it too, or it is longer than 64 characters; the message says what to write.

    Source: https://pkg.go.dev/time#ParseDuration
    """
    if len(text) > LONGEST_DURATION:
        raise _refusal(text, f"is longer than {LONGEST_DURATION} characters")
    negative = text.startswith("-")
    start = 1 if text.startswith(("+", "-")) else 0
    if text[start:] == "0":
        return 0
    size = _size(text, start)
    if size == _MOST and not negative:
        raise _too_long(text)
    return -size if negative else size


def _size(text: str, start: int) -> int:
    """Add up the terms of a duration, such as the two of `1h30m`."""
    size = 0
    while True:
        # The pattern takes the empty string too, so there always is a match.
        term = _TERM.match(text, start)
        if term is None or not (term["whole"] or term["fraction"]):
            raise _refusal(text, "is not valid")
        size += _term_size(text, term)
        if size > _MOST:
            raise _too_long(text)
        start = term.end()
        if start == len(text):
            return size


def _term_size(text: str, term: re.Match[str]) -> int:
    whole, unit = _whole(text, term["whole"]), term["unit"]
    if not unit:
        raise _refusal(text, "has no unit")
    if unit not in _NANOSECONDS:
        raise _refusal(text, f"has the unknown unit {excerpt(unit, 10)}")
    return whole * _NANOSECONDS[unit] + _fraction_size(term["fraction"] or "", _NANOSECONDS[unit])


def _whole(text: str, digits: str) -> int:
    whole = int(digits or "0")
    if whole > _MOST:
        raise _too_long(text)
    return whole


def _fraction_size(digits: str, unit: int) -> int:
    """Turn the digits behind the point into nanoseconds, with Go's own rounding.

    Go reads as many digits as an int64 holds and then calculates in float64, so exact arithmetic would differ
    from it in the last nanosecond.
    """
    value, scale = 0, 1.0
    for digit in digits:
        longer = value * 10 + int(digit)
        if value > (_MOST - 1) // 10 or longer > _MOST:
            break
        value, scale = longer, scale * 10
    return int(float(value) * (float(unit) / scale))


def _too_long(text: str) -> ValueError:
    return _refusal(text, "is more than the longest duration, 2562047h")


def _refusal(text: str, what: str) -> ValueError:
    return ValueError(f"{excerpt(text)} {what}; expected a duration such as 10h or 90m")
