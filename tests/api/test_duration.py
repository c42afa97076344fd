"""Durations against Go's own answers.

go_durations.json holds microseconds, or null where Go refuses; tools/go_durations answers its keys anew.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_operator.api.duration import parse_go_duration
from tests.api.json_values import texts

ANSWERS: Final[dict[str, int | None]] = json.loads(
    Path(__file__).with_name("go_durations.json").read_text(encoding="utf-8")
)
LONGEST_MESSAGE: Final = 160


@pytest.mark.parametrize(("text", "microseconds"), ANSWERS.items(), ids=ascii)
def test_a_duration_has_gos_value_or_is_refused_as_by_go(text: str, microseconds: int | None) -> None:
    if microseconds is not None:
        assert parse_go_duration(text) == timedelta(microseconds=microseconds)
        return
    with pytest.raises(ValueError, match="expected a duration such as 10h or 90m"):
        parse_go_duration(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", '"" is not valid'),
        ("abc", '"abc" is not valid'),
        ("10", '"10" has no unit'),
        ("2d", '"2d" has the unknown unit "d"'),
        ("2562048h", '"2562048h" is more than the longest duration, 2562047h'),
    ],
)
def test_a_refusal_says_what_to_write(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_go_duration(text)
    assert str(caught.value) == f"{what}; expected a duration such as 10h or 90m"


class Long(str):
    """Text that is only measured and cut."""

    __slots__ = ()

    def startswith(self, *_: object) -> bool:
        """Fail, as any look at the text would."""
        raise AssertionError

    __iter__ = __eq__ = __contains__ = isprintable = encode = startswith  # type: ignore[assignment]
    __hash__ = str.__hash__


def test_the_longest_text_is_64_characters_and_a_longer_one_is_not_read() -> None:
    assert parse_go_duration(f"0.{'3' * 61}h") == timedelta(minutes=20)
    with pytest.raises(ValueError, match=r'^"1h1h.*…" is longer than 64 characters'):
        parse_go_duration(Long("1h" * 600_000))


@given(texts | st.text(alphabet="0123456789.+-hmsnuµμ \u0663"))
def test_any_text_is_a_duration_or_one_short_line(text: str) -> None:
    try:
        parse_go_duration(text)
    except ValueError as error:
        assert len(str(error)) <= LONGEST_MESSAGE  # noqa: PT017 - most texts are refused, some are not
        assert str(error).isprintable()  # noqa: PT017
