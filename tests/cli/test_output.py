"""How the commands write: signs and letters, and spans of time."""

import io
from datetime import timedelta

import pytest

from ecr_operator.cli.output import Terminal, format_span


def test_letters_replace_signs_that_the_encoding_lacks() -> None:
    raw = io.BytesIO()
    terminal = Terminal(io.TextIOWrapper(raw, encoding="ascii"), io.StringIO())
    terminal.write(f"hóst {terminal.marks['good']}")
    assert raw.getvalue() == b"h?st ok\n"


@pytest.mark.parametrize(
    ("span", "formatted"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=59.9), "59s"),
        (timedelta(seconds=60), "1m"),
        (timedelta(seconds=61), "1m1s"),
        (timedelta(hours=9, minutes=12, seconds=59), "9h12m"),
        (timedelta(days=3, seconds=59), "3d"),
        (timedelta(hours=1, seconds=5), "1h"),
        (timedelta(seconds=-61), "1m1s"),
        (timedelta(days=4000), "4000d"),
    ],
    ids=str,
)
def test_a_span_has_its_two_largest_units(span: timedelta, formatted: str) -> None:
    assert format_span(span) == formatted
