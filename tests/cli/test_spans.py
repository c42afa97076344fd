"""Spans of time in words, and as bars."""

from datetime import timedelta

import pytest

from ecr_operator.cli.spans import filled, in_words


@pytest.mark.parametrize(
    ("span", "words"),
    [
        pytest.param(timedelta(0), "0s", id="nothing"),
        pytest.param(timedelta(seconds=0.9), "0s", id="less than a second is cut"),
        pytest.param(timedelta(seconds=59.9), "59s", id="seconds"),
        pytest.param(timedelta(seconds=60), "1m", id="a zero is left out"),
        pytest.param(timedelta(seconds=61), "1m1s", id="two units"),
        pytest.param(timedelta(hours=9, minutes=12, seconds=59), "9h12m", id="the third unit is cut"),
        pytest.param(timedelta(hours=24), "1d", id="a day"),
        pytest.param(timedelta(days=3, seconds=59), "3d", id="a small rest of days is cut"),
        pytest.param(timedelta(hours=1, seconds=5), "1h", id="no unit is skipped"),
        pytest.param(timedelta(seconds=-61), "1m1s", id="a past span has no sign"),
        pytest.param(timedelta(days=4000), "4000d", id="years are days"),
    ],
)
def test_a_span_has_its_two_largest_units(span: timedelta, words: str) -> None:
    assert in_words(span) == words


@pytest.mark.parametrize(
    ("left", "cells"),
    [
        pytest.param(12.0, 10, id="all of it"),
        pytest.param(13.0, 10, id="never more than all"),
        pytest.param(6.0, 5, id="half"),
        pytest.param(0.01, 1, id="one to the very end"),
        pytest.param(0.0, 0, id="none at the end"),
        pytest.param(-1.0, 0, id="none after it"),
    ],
)
def test_a_bar_shrinks_with_the_time_left(left: float, cells: int) -> None:
    assert filled(timedelta(hours=left), timedelta(hours=12), 10) == cells


def test_a_life_of_no_length_has_an_empty_bar() -> None:
    assert filled(timedelta(hours=1), timedelta(0), 10) == 0
