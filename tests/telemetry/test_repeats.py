"""What passes the limiter of repeats, and what does not."""

from dataclasses import dataclass

import pytest
import structlog

from ecr_operator.telemetry.repeats import RepeatLimiter


@dataclass(slots=True)
class Time:
    """A clock that is set by hand."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return it."""
        return self.now


def passed(limiter: RepeatLimiter, **line: object) -> dict[str, object] | None:
    """Give the limiter one line and return what comes out."""
    try:
        return dict(limiter(None, "info", dict(line)))
    except structlog.DropEvent:
        return None


def count(limiter: RepeatLimiter, times: int, **line: object) -> int:
    return sum(passed(limiter, **line) is not None for _ in range(times))


def test_five_a_minute_pass_and_five_in_the_next() -> None:
    time = Time()
    limiter = RepeatLimiter(time)
    assert count(limiter, 100, event="again") == 5
    time.now = 59.9
    assert count(limiter, 100, event="again") == 0
    time.now = 60.0
    assert count(limiter, 100, event="again") == 5


def test_the_first_that_passes_again_says_how_many_were_left_out() -> None:
    time = Time()
    limiter = RepeatLimiter(time)
    count(limiter, 12, event="again")
    time.now = 61.0
    assert passed(limiter, event="again") == {"event": "again", "repeated": 7}
    assert passed(limiter, event="again") == {"event": "again"}


@pytest.mark.parametrize(
    "other",
    [
        {"event": "other", "name": "web"},
        {"event": "again", "name": "db"},
        {"event": "again"},
        {"event": "again", "name": "web", "reason": "Throttled"},
    ],
    ids=["the message", "a value", "less", "more"],
)
def test_a_line_that_says_something_else_passes(other: dict[str, object]) -> None:
    limiter = RepeatLimiter(Time())
    count(limiter, 10, event="again", name="web")
    assert passed(limiter, **other) == other


def test_a_line_that_only_took_another_time_is_a_repeat() -> None:
    limiter = RepeatLimiter(Time())
    assert sum(passed(limiter, event="again", duration=each) is not None for each in range(10)) == 5


def test_memory_is_bounded_by_forgetting_the_oldest() -> None:
    limiter = RepeatLimiter(Time())
    count(limiter, 5, event="first")
    for each in range(3000):
        passed(limiter, event=str(each))
    assert count(limiter, 10, event="first") == 5
    assert count(limiter, 10, event="2999") == 4
