"""Go durations → timedelta, for `frequency` and flags.

Invariant: of at most 64 characters, what Go's `time.ParseDuration` accepts is read with the same value, and
what it refuses is refused; tests/api/go_durations.json holds Go's own answers.
Leaves out: clamping, which core.schedule does.
"""

import re
from datetime import timedelta
from typing import Final

from ecr_operator.api.text import LONGEST_DURATION, excerpt

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
# Go keeps a duration in an int64 and parses its size first: 2^63 needs a minus sign.
_MOST: Final = 2**63
# Any text is a row of these.
_TERM: Final = re.compile(r"(?=.)(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?(?P<unit>[^0-9.]*)", re.DOTALL)


def parse_go_duration(text: str) -> timedelta:
    """Read a duration as Go does, such as `10h`, `1h30m`, `-1.5s` or `0`.

    Returns:
        Whole microseconds, cut towards zero; may be zero or negative.

    Raises:
        ValueError: Go refuses it too, or it is longer than 64 characters; the message says what is expected.

    Source: https://pkg.go.dev/time#ParseDuration
    """
    if len(text) > LONGEST_DURATION:
        raise _refusal(text, f"is longer than {LONGEST_DURATION} characters")
    is_negative = text.startswith("-")
    size = text[1:] if text.startswith(("+", "-")) else text
    terms = list(_TERM.finditer(size))
    if not terms:
        raise _refusal(text, "is not valid")
    nanoseconds = 0 if size == "0" else sum(_term_nanoseconds(text, term) for term in terms)
    if nanoseconds > _MOST - (not is_negative):
        raise _refusal(text, "is more than the longest duration, 2562047h")
    microseconds = nanoseconds // 1_000
    return timedelta(microseconds=-microseconds if is_negative else microseconds)


def _term_nanoseconds(text: str, term: re.Match[str]) -> int:
    """One term of a duration, such as the second of `1h30m`."""
    whole, fraction, unit = term["whole"], term["fraction"] or "", term["unit"]
    if not whole and not fraction:
        raise _refusal(text, "is not valid")
    if not unit:
        raise _refusal(text, "has no unit")
    if unit not in _NANOSECONDS:
        raise _refusal(text, f"has the unknown unit {excerpt(unit, 10)}")
    return int(whole or "0") * _NANOSECONDS[unit] + _fraction_nanoseconds(fraction, _NANOSECONDS[unit])


def _fraction_nanoseconds(digits: str, unit: int) -> int:
    """The digits behind the point, rounded as Go does.

    Go reads as many digits as an int64 holds and then calculates in float64, so that `0.3333333333333333333h`
    is 20 minutes.
    """
    value, scale = 0, 1.0
    for digit in digits:
        longer = value * 10 + int(digit)
        if value > (_MOST - 1) // 10 or longer > _MOST:
            break
        value, scale = longer, scale * 10
    return int(float(value) * (float(unit) / scale))


def _refusal(text: str, what: str) -> ValueError:
    return ValueError(f"{excerpt(text)} {what}; expected a duration such as 10h or 90m")
