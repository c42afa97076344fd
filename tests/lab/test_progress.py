"""The counter of long steps, on a terminal and off it."""

import io

import pytest

from lab.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_without_a_terminal_every_tenth_part_is_a_line() -> None:
    stream = io.StringIO()
    with Progress("building", total=200, stream=stream) as progress:
        for number in range(200):
            progress.step(f"package {number}")
    lines = stream.getvalue().splitlines()
    assert lines[:3] == ["building…", "building 20/200", "building 40/200"]
    assert lines[-2:] == ["building 200/200", "building: done after 0 s"]


def test_a_terminal_sees_one_line_that_rewrites_itself() -> None:
    stream = Terminal()
    with Progress("building", total=2, stream=stream) as progress:
        progress.step("one")
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith("\r\x1b[Kbuilding: done after 0 s\n")


def test_a_failure_is_not_called_done() -> None:
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt), Progress("building", stream=stream):
        raise KeyboardInterrupt
    assert stream.getvalue().splitlines()[-1] == "building: stopped after 0 s"
