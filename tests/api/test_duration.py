"""Durations against Go's own answers, and what must hold for any text.

go_durations.json is written by tools/go_durations/main.go, which says how to renew it.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_operator.api.duration import parse_go_duration, parse_go_nanoseconds
from tests.api.json_values import texts

Row = dict[str, Any]

LONGEST: Final = 64
# A busy machine is no failure.
UNHURRIED: Final = settings(deadline=None)
ENOUGH: Final = 150
LONGEST_MESSAGE: Final = 160


def go_answers() -> list[Row]:
    """Read the table."""
    rows: list[Row] = json.loads(Path(__file__).with_name("go_durations.json").read_text(encoding="utf-8"))
    return rows


def name(row: Row) -> str:
    """Make a sentence for a test's id."""
    shown = ascii(row["input"])[:50]
    return f"{shown} is {row['text']}" if "text" in row else f"{shown} is refused"


WITHIN: Final = [row for row in go_answers() if len(row["input"]) <= LONGEST]
ACCEPTED: Final = [row for row in WITHIN if "nanoseconds" in row]
REFUSED: Final = [row for row in WITHIN if "error" in row]
BEYOND: Final = [row for row in go_answers() if len(row["input"]) > LONGEST]


def message_for(text: str) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_go_duration(text)
    return str(caught.value)


def test_the_table_is_large_and_has_both_kinds() -> None:
    assert len(ACCEPTED) >= ENOUGH
    assert len(REFUSED) >= ENOUGH


@pytest.mark.parametrize("row", ACCEPTED, ids=name)
def test_what_go_takes_has_the_same_value(row: Row) -> None:
    assert parse_go_nanoseconds(row["input"]) == row["nanoseconds"]


@pytest.mark.parametrize("row", REFUSED, ids=name)
def test_what_go_refuses_is_refused_for_the_same_cause(row: Row) -> None:
    message = message_for(row["input"])
    assert ("has no unit" in message) == ("missing unit" in row["error"])
    assert ("unknown unit" in message) == ("unknown unit" in row["error"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", '"" is not valid; expected a duration such as 10h or 90m', id="nothing written"),
        pytest.param("10", '"10" has no unit; expected a duration such as 10h or 90m', id="a bare number"),
        pytest.param("abc", '"abc" is not valid; expected a duration such as 10h or 90m', id="a word"),
        pytest.param(
            "2d",
            '"2d" has the unknown unit "d"; expected a duration such as 10h or 90m',
            id="days",
        ),
        pytest.param(
            "2562048h",
            '"2562048h" is more than the longest duration, 2562047h; expected a duration such as 10h or 90m',
            id="three centuries",
        ),
    ],
)
def test_a_refusal_says_what_to_write(text: str, message: str) -> None:
    assert message_for(text) == message


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x" * 1_000_000, id="a million letters"),
        pytest.param("9" * 1_000_000, id="a million digits"),
        pytest.param("9" * 1_000_000 + "h", id="a million digits with a unit"),
        pytest.param("1h" * 100_000 + "1" + "y" * 1_000_000, id="a long unit at the end of a long duration"),
        pytest.param("1\n2\x00\u202e" * 100, id="unprintable characters"),
    ],
)
def test_a_refusal_is_one_short_line(text: str) -> None:
    message = message_for(text)
    assert len(message) <= LONGEST_MESSAGE
    assert message.isprintable()


class Long(str):
    """Text that is only measured and cut."""

    __slots__ = ()

    def startswith(self, *_: object) -> bool:
        """Fail, as any look at the text would."""
        raise AssertionError

    __iter__ = __eq__ = __contains__ = isprintable = encode = startswith  # type: ignore[assignment]
    __hash__ = str.__hash__


@pytest.mark.parametrize("row", BEYOND, ids=name)
def test_what_is_longer_than_64_characters_is_refused_whatever_go_says(row: Row) -> None:
    assert "is longer than 64 characters" in message_for(row["input"])


def test_the_longest_is_taken() -> None:
    assert parse_go_duration("0." + "3" * (LONGEST - 3) + "h") == timedelta(minutes=20)


def test_what_is_too_long_is_not_looked_through() -> None:
    with pytest.raises(ValueError, match=r'^"1h1h.*…" is longer than 64 characters'):
        parse_go_nanoseconds(Long("1h" * 600_000))


@pytest.mark.parametrize(
    ("nanoseconds", "microseconds"),
    [
        pytest.param("1999ns", 1, id="down when positive"),
        pytest.param("-1999ns", -1, id="up when negative"),
        pytest.param("999ns", 0, id="to zero when less than one"),
    ],
)
def test_nanoseconds_are_cut_towards_zero(nanoseconds: str, microseconds: int) -> None:
    assert parse_go_duration(nanoseconds) == timedelta(microseconds=microseconds)


@UNHURRIED
@given(texts | st.text(alphabet="0123456789.+-hmsnuµμ \u0663"))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        nanoseconds = parse_go_nanoseconds(text)
    except ValueError as error:
        assert len(str(error)) <= LONGEST_MESSAGE  # noqa: PT017 - most texts are refused, some are not
    else:
        assert -(2**63) <= nanoseconds < 2**63
