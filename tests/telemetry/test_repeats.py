"""What passes the limiter of repeats, and what does not."""

import tracemalloc
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


def test_of_a_namespace_ten_lines_a_second_pass_and_the_rest_is_counted() -> None:
    time = Time()
    limiter = RepeatLimiter(time)
    told = [passed(limiter, event=str(number), namespace="team") for number in range(25)]
    assert [line is not None for line in told] == [True] * 10 + [False] * 15
    time.now = 0.99
    assert passed(limiter, event="more", namespace="team") is None
    assert passed(limiter, event="more", namespace="other") == {"event": "more", "namespace": "other"}
    time.now = 1.0
    assert passed(limiter, event="a", namespace="team") == {
        "event": "a",
        "namespace": "team",
        "left_out": 16,
    }
    assert passed(limiter, event="b", namespace="team") == {"event": "b", "namespace": "team"}


def test_within_no_second_there_are_more_than_ten() -> None:
    time = Time()
    limiter = RepeatLimiter(time)
    times = []
    for tick in range(400):
        time.now = tick / 64
        if passed(limiter, event=str(tick), namespace="team"):
            times.append(time.now)
    assert all(later - earlier >= 1 for earlier, later in zip(times, times[10:], strict=False))
    assert len(times) >= 60


def test_a_first_outcome_always_passes_and_is_not_marked() -> None:
    limiter = RepeatLimiter(Time())
    count(limiter, 5, event="again", namespace="team")
    for number in range(100):
        line = {"event": str(number), "namespace": "team"}
        assert passed(limiter, **line, first=True) == line
    assert sum(passed(limiter, event=f"x{n}", namespace="team") is not None for n in range(50)) == 5


def test_lines_of_no_namespace_have_no_share() -> None:
    limiter = RepeatLimiter(Time())
    assert sum(passed(limiter, event=str(number)) is not None for number in range(100)) == 100


def test_what_is_left_out_for_its_namespace_is_no_repeat() -> None:
    time = Time()
    limiter = RepeatLimiter(time)
    for number in range(10):
        passed(limiter, event=str(number), namespace="team")
    count(limiter, 20, event="again", namespace="team")
    time.now = 2.0
    assert passed(limiter, event="again", namespace="team") == {
        "event": "again",
        "namespace": "team",
        "left_out": 20,
    }


def test_long_lines_are_remembered_as_digests() -> None:
    limiter = RepeatLimiter(Time())
    tracemalloc.start()
    for number in range(3000):
        passed(limiter, event=str(number) + "x" * 10_000, namespace=str(number) + "x" * 10_000)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 6_000_000
    assert passed(limiter, event="\ud800") == {"event": "\ud800"}
