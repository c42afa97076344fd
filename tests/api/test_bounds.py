"""What is looked at of what others write: no more than the limit, whatever there is."""

from typing import Any, Final

import pytest
from hypothesis import given, settings

from ecr_operator.api.bounds import is_within, mapping_in, mappings_in, text_in
from tests.api.json_values import json_values

UNHURRIED: Final = settings(deadline=None)


class Endless(dict[str, Any]):
    """An object that says it is large, and counts what is taken out of it."""

    taken = 0

    def __len__(self) -> int:
        """Say so."""
        return 10**9

    def keys(self) -> Any:
        """Note that the keys were asked for."""
        Endless.taken += 1
        return super().keys()


@pytest.mark.parametrize(
    ("value", "size"),
    [
        pytest.param("x" * 10, 12, id="text"),
        pytest.param("\N{EURO SIGN}" * 10, 32, id="text in bytes"),
        pytest.param(None, 2, id="nothing"),
        pytest.param(1.5, 2, id="a number"),
        pytest.param(["xx", "xx"], 14, id="a list"),
        pytest.param({"xx": "xx"}, 12, id="a map, with its keys"),
        pytest.param({"a": [{"b": [[]]}]}, 24, id="whatever is inside"),
    ],
)
def test_the_size_of_a_value(value: object, size: int) -> None:
    assert is_within(value, size)
    assert not is_within(value, size - 1)


def test_what_is_too_large_is_not_looked_through() -> None:
    Endless.taken = 0
    assert not is_within({"a": [Endless()]}, 100_000)
    assert Endless.taken == 0


def test_depth_is_no_danger() -> None:
    deep: Any = "end"
    for _ in range(100_000):
        deep = [deep]
    assert not is_within(deep, 100_000)
    assert is_within(deep, 1_000_000)


@pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, ["a", "\udfff"]], ids=ascii)
def test_what_is_no_unicode_text_is_never_within(value: object) -> None:
    assert not is_within(value, 1000)


@UNHURRIED
@given(json_values)
def test_any_value_can_be_measured_and_looked_into(value: Any) -> None:
    assert is_within(value, 10**6) or not is_within(value, 10)
    for holder in (value, {"a": value}):
        assert all(isinstance(entry, dict) for entry in mappings_in(holder, "a"))
        assert len(text_in(mapping_in(holder, "a"), "a", 3) or "") <= 3
