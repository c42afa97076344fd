"""Schedule: when a token is due, which cached one serves, how long to wait after a failure."""

# ruff: noqa: S311 - a seed that tests can repeat

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_operator.api.duration import parse_go_duration
from ecr_operator.api.errors import OperatorError
from ecr_operator.api.outcome import TokenTimes
from ecr_operator.core.schedule import (
    LABEL_LIMIT,
    REPAIR_LIMIT,
    Repairs,
    is_alive,
    kubernetes_retry_delay,
    link_retry_delay,
    minimum_interval,
    refresh_deadline,
    retry_delay,
    rotation_deadline,
    serves_renewal,
    spread_overdue,
)
from tests.builders import HOUR, NOW, TWELVE_HOURS, permanent, times, transient

MINUTE: Final = timedelta(minutes=1)
SECOND: Final = timedelta(seconds=1)
SEED: Final = "uid"
LONGEST_LIFE: Final = timedelta(days=3650)
# A busy machine must not fail a test.
UNHURRIED: Final = settings(deadline=None)
JITTER: Final = 0.05

lives = st.timedeltas(min_value=timedelta(milliseconds=1), max_value=LONGEST_LIFE)
frequencies = st.none() | st.timedeltas() | st.sampled_from([timedelta.min, timedelta(0), timedelta.max])
remainders = st.none() | st.timedeltas(min_value=timedelta(0), max_value=TWELVE_HOURS)
failures = st.integers(min_value=1, max_value=10**6)
errors = st.sampled_from([transient(), permanent(), transient(retry_after=7.0)])


def interval(life: timedelta, frequency: str | None, seed: str = SEED) -> timedelta:
    """The time from issue to deadline."""
    parsed = None if frequency is None else parse_go_duration(frequency)
    return refresh_deadline(times(life=life), parsed, seed) - NOW


@pytest.mark.parametrize(
    ("life", "frequency", "latest"),
    [
        pytest.param(TWELVE_HOURS, "10h", 10 * HOUR, id="10h and 2h before expiry are the same"),
        pytest.param(TWELVE_HOURS, "1h", HOUR, id="a shorter frequency counts"),
        pytest.param(TWELVE_HOURS, "24h", 10 * HOUR, id="24h can't let a token expire"),
        pytest.param(TWELVE_HOURS, None, 10 * HOUR, id="without a frequency it is by expiry"),
        pytest.param(TWELVE_HOURS, "2562047h", 10 * HOUR, id="Go's longest duration is clamped"),
        pytest.param(40 * SECOND, "10h", 40 * SECOND * 2 / 3, id="a short life keeps a third"),
        pytest.param(HOUR, "10h", 40 * MINUTE, id="an hour keeps twenty minutes"),
    ],
)
def test_refresh_deadline_is_the_earlier_of_frequency_and_margin_less_five_percent(
    life: timedelta, frequency: str | None, latest: timedelta
) -> None:
    assert latest * (1 - JITTER) <= interval(life, frequency) <= latest


@pytest.mark.parametrize(
    ("life", "frequency", "exactly"),
    [
        pytest.param(TWELVE_HOURS, "1s", 5 * MINUTE, id="1s can't hammer AWS"),
        pytest.param(TWELVE_HOURS, "0s", 5 * MINUTE, id="0s is clamped"),
        pytest.param(TWELVE_HOURS, "-1h", 5 * MINUTE, id="a negative one is clamped"),
        pytest.param(TWELVE_HOURS, "-2562047h", 5 * MINUTE, id="Go's smallest duration is clamped"),
        pytest.param(8 * MINUTE, "1s", 2 * MINUTE, id="a short life is used to a quarter at least"),
    ],
)
def test_refresh_deadline_is_never_sooner_than_the_minimum(
    life: timedelta, frequency: str, exactly: timedelta
) -> None:
    assert interval(life, frequency) == exactly


@UNHURRIED
@given(life=lives, frequency=frequencies, seed=st.text())
def test_refresh_deadline_lies_between_minimum_and_margin_for_any_frequency(
    life: timedelta, frequency: timedelta | None, seed: str
) -> None:
    deadline = refresh_deadline(times(life=life), frequency, seed)
    assert NOW + minimum_interval(life) <= deadline
    assert deadline <= NOW + life - min(2 * HOUR, life / 3) + timedelta(microseconds=1)


@UNHURRIED
@given(life=lives, frequency=frequencies, seed=st.text())
def test_refresh_deadline_is_the_same_for_the_same_seed_and_token(
    life: timedelta, frequency: timedelta | None, seed: str
) -> None:
    first, second = (refresh_deadline(times(life=life), frequency, seed) for _ in range(2))
    assert first == second


def test_refresh_deadline_spreads_resources_with_one_token() -> None:
    assert len({interval(TWELVE_HOURS, "10h", f"uid-{number}") for number in range(100)}) > 90


def test_refresh_deadline_spreads_each_token_anew() -> None:
    later = refresh_deadline(times(issued_at=NOW + HOUR), None, SEED) - (NOW + HOUR)
    assert later != interval(TWELVE_HOURS, None)


@pytest.mark.parametrize(
    ("life", "expected"),
    [
        pytest.param(TWELVE_HOURS, 5 * MINUTE, id="five minutes of twelve hours"),
        pytest.param(20 * MINUTE, 5 * MINUTE, id="five minutes of twenty"),
        pytest.param(40 * SECOND, 10 * SECOND, id="a quarter of a short life"),
    ],
)
def test_minimum_interval_is(life: timedelta, expected: timedelta) -> None:
    assert minimum_interval(life) == expected


OLD: Final = times(issued_at=NOW - 10 * HOUR)


@pytest.mark.parametrize(
    ("age", "present", "serves"),
    [
        pytest.param(timedelta(0), OLD, True, id="a token just fetched serves"),
        pytest.param(72 * MINUTE, OLD, True, id="a tenth of its life later it still serves an older one"),
        pytest.param(73 * MINUTE, OLD, False, id="after a tenth of its life AWS is asked"),
        pytest.param(72 * MINUTE, None, True, id="it serves where there is none"),
        pytest.param(
            4 * MINUTE, times(issued_at=NOW - 4 * MINUTE), True, id="within the rate bound it serves itself"
        ),
        pytest.param(
            6 * MINUTE, times(issued_at=NOW - 6 * MINUTE), False, id="beyond the rate bound it does not"
        ),
        pytest.param(
            30 * MINUTE, times(issued_at=NOW - MINUTE), False, id="an older one does not renew a newer one"
        ),
        pytest.param(TWELVE_HOURS, None, False, id="an expired one serves none"),
        pytest.param(-HOUR, OLD, True, id="one from the future, after a step of the clock, serves"),
    ],
)
def test_serves_renewal(age: timedelta, present: TokenTimes | None, serves: bool) -> None:  # noqa: FBT001 - a table
    assert serves_renewal(times(issued_at=NOW - age), present, NOW) is serves


def test_is_alive_until_the_moment_of_expiry() -> None:
    assert is_alive(times(life=SECOND), NOW + SECOND - timedelta(microseconds=1))
    assert not is_alive(times(life=SECOND), NOW + SECOND)


def delays(error: OperatorError, count: int, remaining: timedelta | None) -> list[float]:
    rng = random.Random(7)
    return [retry_delay(error, count, remaining, rng) for _ in range(300)]


@pytest.mark.parametrize(
    ("error", "count", "remaining", "least", "most"),
    [
        pytest.param(transient(), 1, TWELVE_HOURS, 1, 2, id="the first retry comes after a second or two"),
        pytest.param(transient(), 4, TWELVE_HOURS, 1, 16, id="each failure doubles the span"),
        pytest.param(transient(), 10**6, TWELVE_HOURS, 1, 60, id="a transient one every minute"),
        pytest.param(transient(), 50, None, 1, 15, id="sooner without a token"),
        pytest.param(transient(), 50, 80 * SECOND, 1, 10, id="more often near the expiry"),
        pytest.param(transient(), 50, 4 * SECOND, 1, 1, id="every second at the end"),
        pytest.param(transient(), 50, timedelta(0), 1, 1, id="never faster than every second"),
        pytest.param(permanent(), 1, TWELVE_HOURS, 300, 600, id="a permanent one after five minutes"),
        pytest.param(permanent(), 10**6, TWELVE_HOURS, 300, 1800, id="after half an hour at most"),
        pytest.param(permanent(), 50, 80 * SECOND, 10, 10, id="after seconds near the expiry"),
        pytest.param(permanent(), 1, None, 5, 10, id="after seconds at first without a token"),
        pytest.param(permanent(), 50, None, 5, 300, id="after five minutes later on"),
    ],
)
def test_retry_delay(
    error: OperatorError, count: int, remaining: timedelta | None, least: float, most: float
) -> None:
    found = delays(error, count, remaining)
    assert least <= min(found)
    assert max(found) <= most
    assert max(found) - min(found) >= (most - least) * 0.8


def test_retry_delay_is_retry_after_even_close_to_expiry() -> None:
    assert min(delays(transient(retry_after=7.0), 1, SECOND)) == 7


@UNHURRIED
@given(error=errors, count=failures, remaining=remainders, seed=st.integers())
def test_retry_delay_is_a_second_at_least_and_an_eighth_of_the_rest_at_most(
    error: OperatorError, count: int, remaining: timedelta | None, seed: int
) -> None:
    delay = retry_delay(error, count, remaining, random.Random(seed))
    assert 1 <= delay <= 1800
    if remaining is not None:
        assert delay <= max(remaining.total_seconds() / 8, error.retry_after or 0, 1)


@pytest.mark.parametrize(
    ("delay", "error", "count", "least", "most"),
    [
        pytest.param(kubernetes_retry_delay, transient(), 1, 0.25, 0.5, id="soon at first"),
        pytest.param(kubernetes_retry_delay, transient(), 10**6, 0.25, 30, id="later every half minute"),
        pytest.param(
            kubernetes_retry_delay,
            permanent(),
            1,
            1,
            2,
            id="a permanent one soon at first",
        ),
        pytest.param(kubernetes_retry_delay, permanent(), 4, 1, 16, id="a permanent one waits longer"),
        pytest.param(kubernetes_retry_delay, permanent(), 10**6, 1, 300, id="and five minutes at most"),
        pytest.param(kubernetes_retry_delay, transient(retry_after=42.0), 1, 42, 42, id="Retry-After counts"),
        pytest.param(link_retry_delay, transient(), 1, 0.8, 1.0, id="a link soon at first"),
        pytest.param(link_retry_delay, transient(), 4, 6.4, 8.0, id="a link later"),
        pytest.param(link_retry_delay, transient(), 10**6, 24.0, 30.0, id="a link every half minute"),
        pytest.param(link_retry_delay, transient(retry_after=45.0), 1, 45, 45, id="a link: Retry-After"),
        pytest.param(link_retry_delay, permanent(), 10**6, 1.0, 300.0, id="a link: a permanent one slowly"),
    ],
)
def test_the_retry_delay_after_kubernetes_failed(
    delay: Callable[..., float], error: OperatorError, count: int, least: float, most: float
) -> None:
    rng = random.Random(7)
    found = [delay(error, count, rng) for _ in range(300)]
    assert least <= min(found)
    assert max(found) <= most


def test_spread_overdue_goes_by_expiry() -> None:
    later = [spread_overdue(times(life=HOUR), NOW, f"uid-{number}") - NOW for number in range(100)]
    sooner = [spread_overdue(times(life=MINUTE), NOW, f"uid-{number}") - NOW for number in range(100)]
    assert timedelta(0) < max(sooner) <= SECOND
    assert max(sooner) < min(later)
    assert max(later) <= MINUTE
    assert len(set(later)) > 90
    assert spread_overdue(times(), NOW, SEED) - NOW <= 2 * MINUTE


@given(st.timedeltas(min_value=-HOUR, max_value=TWELVE_HOURS), st.text(max_size=40))
@UNHURRIED
def test_rotation_deadline_is_within_two_minutes_and_a_sixtieth_of_the_rest(
    left: timedelta, seed: str
) -> None:
    now = NOW + TWELVE_HOURS - left
    due = rotation_deadline(times(), now, seed)
    assert now <= due < now + 2 * MINUTE
    assert due - now <= max(left, timedelta(0)) / 60
    assert due == rotation_deadline(times(), now, seed)


def test_rotation_deadline_spreads_resources() -> None:
    found = {rotation_deadline(times(), NOW, f"uid-{number}") for number in range(100)}
    assert max(found) - min(found) > MINUTE


def repaired(*times: float) -> Repairs:
    repairs: Repairs = ()
    for time in times:
        repairs = REPAIR_LIMIT.note(repairs, time)
    return repairs


def test_six_repairs_within_a_minute_are_allowed_at_once() -> None:
    assert REPAIR_LIMIT.wait((), 0) == 0
    assert REPAIR_LIMIT.wait(repaired(0, 2, 4, 6, 8), 10) == 0
    assert REPAIR_LIMIT.wait(repaired(0, 2, 4, 6, 8, 10), 12) == 48
    assert REPAIR_LIMIT.wait(repaired(0, 2, 4, 6, 8, 10), 60) == 0


def test_no_more_repairs_are_kept_than_count() -> None:
    assert repaired(*range(100)) == tuple(range(94, 100))


def test_an_object_is_contested_until_two_windows_after_its_last_repair() -> None:
    assert not REPAIR_LIMIT.is_contested((), 0)
    assert REPAIR_LIMIT.is_contested(repaired(0), 119)
    assert not REPAIR_LIMIT.is_contested(repaired(0), 120)


def test_a_label_is_tried_every_ten_minutes() -> None:
    tried = LABEL_LIMIT.note((), 0)
    assert LABEL_LIMIT.wait(tried, 1) == 599
    assert LABEL_LIMIT.wait(tried, 600) == 0
