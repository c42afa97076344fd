"""How the commands write: signs and letters, and spans of time."""

import io
from datetime import timedelta

import pytest

from ecr_operator.cli.output import Result, Terminal, format_span


def test_a_result_has_its_advice_on_a_line_of_its_own() -> None:
    out = io.StringIO()
    terminal = Terminal(out)
    terminal.write_result(Result("good", "CRDs", "Secret"))
    terminal.write_result(Result("bad", "rights", "secrets: no delete", "grant it"))
    terminal.write_result(Result("optional", "pull secrets", "x"))
    assert out.getvalue().splitlines() == [
        "  ok CRDs          Secret",
        "  NO rights        secrets: no delete",
        "                   -> grant it",
        "  -- pull secrets  x",
    ]


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
