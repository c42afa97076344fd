"""What others wrote: measured within a limit, read, shortened for messages, and interned."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_operator.api.text import (
    excerpt,
    excerpt_unless_word,
    format_time,
    intern_json,
    is_within,
    mapping_in,
    mappings_in,
    one_line,
    parse_time,
    text_in,
)
from tests.api.json_values import json_values
from tests.builders import NOW


class Endless(dict[str, Any]):
    """An object that claims to be large, and counts how often its keys are read."""

    taken = 0

    def __len__(self) -> int:
        """Claim to be large."""
        return 10**9

    def keys(self) -> Any:
        """Count the read."""
        Endless.taken += 1
        return super().keys()


SIZES: Final = [("x" * 10, 12), ("\N{EURO SIGN}" * 10, 32), (None, 2), (1.5, 2), (["xx", "xx"], 14)]


@pytest.mark.parametrize(
    ("value", "size"), [*SIZES, ({"xx": "xx"}, 12), ({"a": [{"b": [[]]}]}, 24)], ids=ascii
)
def test_is_within_counts_bytes_at_any_depth(value: object, size: int) -> None:
    assert is_within(value, size)
    assert not is_within(value, size - 1)


def test_is_within_does_not_look_through_a_value_that_is_too_large() -> None:
    Endless.taken = 0
    assert not is_within({"a": [Endless()]}, 100_000)
    assert Endless.taken == 0


@pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, ["a", "\udfff"]], ids=ascii)
def test_is_within_refuses_invalid_unicode(value: object) -> None:
    assert not is_within(value, 1000)


def nested(depth: int) -> Any:
    deep: Any = "end"
    for _ in range(depth):
        deep = [deep]
    return deep


def test_depth_is_no_danger() -> None:
    deep = nested(30_000)
    assert not is_within(deep, 100_000)
    assert is_within(deep, 1_000_000)
    assert intern_json(nested(900)) == nested(900)


@given(json_values)
def test_any_value_can_be_measured_and_looked_into(value: Any) -> None:
    assert is_within(value, 10**6) or not is_within(value, 10)
    for holder in (value, {"a": value}):
        assert all(isinstance(entry, dict) for entry in mappings_in(holder, "a"))
        assert len(text_in(mapping_in(holder, "a"), "a", 3) or "") <= 3


EXCERPTS: Final = {
    "short": ("10h", '"10h"'),
    "empty": ("", '""'),
    "just the limit": ("12345", '"12345"'),
    "longer": ("123456", '"12345…"'),
    "control characters": ("a\nb\x00c", '"a?b?c"'),
    "a change of direction": ("a\u202eb", '"a?b"'),
    "other scripts stay": ("12µs", '"12µs"'),
}


@pytest.mark.parametrize(("text", "shown"), EXCERPTS.values(), ids=EXCERPTS)
def test_excerpt_is_short_quoted_and_printable(text: str, shown: str) -> None:
    assert excerpt(text, limit=5) == shown


def test_excerpt_unless_word_leaves_a_short_word_unquoted() -> None:
    texts = ("kube-controller-manager/v1.2", "a b", "", "x" * 41, "a\n")
    shown = [texts[0], '"a b"', '""', f'"{"x" * 40}…"', '"a?"']
    assert [excerpt_unless_word(text) for text in texts] == shown


@pytest.mark.parametrize(("message", "line"), [("a b", "a b"), ("a\n\x00b", "a ?b"), ("12345", "1234…")])
def test_one_line_is_printable_and_cut(message: str, line: str) -> None:
    assert one_line(message, limit=4) == line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2026-03-01T12:00:00Z", NOW, id="UTC"),
        pytest.param("2026-03-01T14:00:00+02:00", NOW, id="another zone"),
        pytest.param("2026-03-01T12:00:00.5Z", NOW + timedelta(milliseconds=500), id="a fraction"),
        pytest.param("2026-03-01T12:00:00", None, id="no zone"),
        pytest.param("yesterday", None, id="a word"),
        pytest.param(7, None, id="a number"),
        pytest.param(None, None, id="null"),
        pytest.param("0001-01-01T00:00:00+14:00", None, id="before the first year"),
        pytest.param("2" * 41, None, id="too long"),
    ],
)
def test_parse_time_reads_rfc_3339(text: object, expected: datetime | None) -> None:
    assert parse_time(text) == expected


@given(st.text() | st.datetimes(timezones=st.timezones()).map(datetime.isoformat))
def test_parse_time_never_raises(text: str) -> None:
    parsed = parse_time(text)
    assert parsed is None or parsed.tzinfo is UTC


def test_format_time_is_utc_with_seconds() -> None:
    assert format_time(NOW + timedelta(microseconds=999_999)) == "2026-03-01T12:00:00Z"


STATUS: Final = {
    "phase": "Updated",
    "observedGeneration": 3,
    "conditions": [{"type": "Ready", "status": "True", "message": "holds a token that lives for long"}],
}


@pytest.mark.parametrize(
    "value",
    [STATUS, {}, [], None, 1, 1.5, True, "", "x" * 200, {"x" * 200: None, "b": [None, [["deep"]]]}],
    ids=repr,
)
def test_intern_json_changes_no_value(value: Any) -> None:
    assert intern_json(value) == value


def test_intern_json_makes_keys_and_short_values_one_object() -> None:
    first, second = (intern_json(json.loads(json.dumps(STATUS))) for _ in range(2))
    for mine, other in ((first, second), (first["conditions"][0], second["conditions"][0])):
        assert [*map(id, mine)] == [*map(id, other)]
    assert first["phase"] is second["phase"]


def test_interned_texts_are_bounded() -> None:
    before, now = (json.loads('{"kept": 1}') for _ in range(2))
    (first,) = intern_json(before)
    for number in range(5000):
        intern_json(f"value {number}")
    (second,) = intern_json(now)
    assert second is not first, "the table was emptied in between"
