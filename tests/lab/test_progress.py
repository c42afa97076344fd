"""Progress: what a long step is doing, also while it prints nothing."""

import re
import time
from collections.abc import Iterator

import pytest

from lab.progress import Step, follow

STEP = Step(
    title="Building", usually="a minute", unit=re.compile("unit"), units="packages", about=3, every=0.05
)


def test_a_silent_step_is_reported_on_with_what_it_did_last(capsys: pytest.CaptureFixture[str]) -> None:
    def lines() -> Iterator[str]:
        yield "unit one\n"
        time.sleep(0.3)

    assert follow(STEP, lines()) == []
    first, *reports = capsys.readouterr().err.splitlines()
    assert first == "Building; usually a minute…"
    assert set(reports) == {"  0:00 1 of about 3 packages; unit one"}


def test_lines_that_are_no_units_are_returned_the_last_twenty_of_them() -> None:
    lines = [f"{kind} {number}\n" for number in range(30) for kind in ("unit", "complaint")]
    assert follow(STEP, lines) == [f"complaint {number}" for number in range(10, 30)]


def test_error_while_reading_is_raised() -> None:
    def lines() -> Iterator[str]:
        yield "unit one\n"
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError, match="cut"):
        follow(STEP, lines())
