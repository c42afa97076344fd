"""Schedule: when a token is due, which cached one serves, how long to wait after a failure."""

# ruff: noqa: S311 - a seed that tests can repeat

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_operator.api.duration import parse_go_duration
from ecr_operator.api.errors import OperatorError
from ecr_operator.api.outcome import TokenTimes
from ecr_operator.core.schedule import (
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
from tests.builders import HOUR, NOW, TWELVE_HOURS, cases, permanent, times, transient

MINUTE: Final = timedelta(minutes=1)
SECOND: Final = timedelta(seconds=1)
JITTER: Final = 0.05
SEEDS: Final = [f"uid-{number}" for number in range(100)]

lives = st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=3650))
frequencies = st.none() | st.timedeltas() | st.sampled_from([timedelta.min, timedelta(0), timedelta.max])


def interval(life: timedelta, frequency: str | None, seed: str = "uid") -> timedelta:
    """The time from issue to deadline."""
    parsed = None if frequency is None else parse_go_duration(frequency)
    return refresh_deadline(times(life=life), parsed, seed) - NOW


@cases(
    "life, frequency, latest",
    {
        "10h and 2h before expiry are the same": (TWELVE_HOURS, "10h", 10 * HOUR),
        "a shorter frequency counts": (TWELVE_HOURS, "1h", HOUR),
        "24h can't let a token expire": (TWELVE_HOURS, "24h", 10 * HOUR),
        "without a frequency it is by expiry": (TWELVE_HOURS, None, 10 * HOUR),
        "Go's longest duration is clamped": (TWELVE_HOURS, "2562047h", 10 * HOUR),
        "a short life keeps a third": (40 * SECOND, "10h", 40 * SECOND * 2 / 3),
        "an hour keeps twenty minutes": (HOUR, "10h", 40 * MINUTE),
        "1s can't hammer AWS": (TWELVE_HOURS, "1s", 5 * MINUTE),
        "0s is clamped": (TWELVE_HOURS, "0s", 5 * MINUTE),
        "a negative one is clamped": (TWELVE_HOURS, "-1h", 5 * MINUTE),
        "Go's smallest duration is clamped": (TWELVE_HOURS, "-2562047h", 5 * MINUTE),
        "twenty minutes have a minimum of five": (20 * MINUTE, "1s", 5 * MINUTE),
        "a short life is used to a quarter at least": (8 * MINUTE, "1s", 2 * MINUTE),
    },
)
def test_refresh_deadline_goes_by_frequency_margin_and_minimum_less_five_percent(
    life: timedelta, frequency: str | None, latest: timedelta
) -> None:
    earliest = max(latest * (1 - JITTER), minimum_interval(life))
    assert earliest <= interval(life, frequency) <= latest


@settings(max_examples=60)
@given(life=lives, frequency=frequencies, seed=st.text())
def test_refresh_deadline_lies_between_minimum_and_margin_and_is_the_same_for_the_same_seed(
    life: timedelta, frequency: timedelta | None, seed: str
) -> None:
    deadline = refresh_deadline(times(life=life), frequency, seed)
    assert NOW + minimum_interval(life) <= deadline
    assert deadline <= NOW + life - min(2 * HOUR, life / 3) + timedelta(microseconds=1)
    assert deadline == refresh_deadline(times(life=life), frequency, seed)


def test_refresh_deadline_spreads_the_resources_of_one_token_and_each_token_anew() -> None:
    assert len({interval(TWELVE_HOURS, "10h", seed) for seed in SEEDS}) > 90
    later = refresh_deadline(times(issued_at=NOW + HOUR), None, "uid") - (NOW + HOUR)
    assert later != interval(TWELVE_HOURS, None)


def since(age: timedelta) -> TokenTimes:
    return times(issued_at=NOW - age)


OLD: Final = since(10 * HOUR)


@cases(
    "age, present, serves",
    {
        "a token just fetched": (timedelta(0), OLD, True),
        "a tenth of its life later, an older one": (72 * MINUTE, OLD, True),
        "not after a tenth of its life": (73 * MINUTE, OLD, False),
        "where there is none": (72 * MINUTE, None, True),
        "itself within the rate bound": (4 * MINUTE, since(4 * MINUTE), True),
        "not itself beyond the rate bound": (6 * MINUTE, since(6 * MINUTE), False),
        "not a newer one": (30 * MINUTE, since(MINUTE), False),
        "not once it has expired": (TWELVE_HOURS, None, False),
        "one from the future, after a step of the clock": (-HOUR, OLD, True),
    },
)
def test_a_cached_token_serves(age: timedelta, present: TokenTimes | None, *, serves: bool) -> None:
    assert serves_renewal(since(age), present, NOW) is serves


def test_a_token_is_alive_until_the_moment_of_its_expiry() -> None:
    assert is_alive(times(life=SECOND), NOW + SECOND - timedelta(microseconds=1))
    assert not is_alive(times(life=SECOND), NOW + SECOND)


def delays(of: Callable[[random.Random], float]) -> tuple[float, float]:
    """The shortest and the longest of many delays."""
    rng = random.Random(7)
    found = [of(rng) for _ in range(300)]
    return min(found), max(found)


@cases(
    "error, count, remaining, least, most",
    {
        "the first retry comes after a second or two": (transient(), 1, TWELVE_HOURS, 1, 2),
        "each failure doubles the span": (transient(), 4, TWELVE_HOURS, 1, 16),
        "a transient one every minute": (transient(), 10**6, TWELVE_HOURS, 1, 60),
        "sooner without a token": (transient(), 50, None, 1, 15),
        "more often near the expiry": (transient(), 50, 80 * SECOND, 1, 10),
        "every second at the end": (transient(), 50, 4 * SECOND, 1, 1),
        "never faster than every second": (transient(), 50, timedelta(0), 1, 1),
        "a permanent one after five minutes": (permanent(), 1, TWELVE_HOURS, 300, 600),
        "after half an hour at most": (permanent(), 10**6, TWELVE_HOURS, 300, 1800),
        "after seconds near the expiry": (permanent(), 50, 80 * SECOND, 10, 10),
        "after seconds at first without a token": (permanent(), 1, None, 5, 10),
        "after five minutes later on": (permanent(), 50, None, 5, 300),
        "Retry-After even close to expiry": (transient(retry_after=7.0), 1, SECOND, 7, 7),
    },
)
def test_the_retry_delay_after_aws_failed(
    error: OperatorError, count: int, remaining: timedelta | None, least: float, most: float
) -> None:
    shortest, longest = delays(lambda rng: retry_delay(error, count, remaining, rng))
    assert least <= shortest
    assert longest <= most
    assert longest - shortest >= (most - least) * 0.8


@cases(
    "delay, error, count, least, most",
    {
        "soon at first": (kubernetes_retry_delay, transient(), 1, 0.25, 0.5),
        "later every half minute": (kubernetes_retry_delay, transient(), 10**6, 0.25, 30),
        "a permanent one soon at first": (kubernetes_retry_delay, permanent(), 1, 1, 2),
        "a permanent one waits longer": (kubernetes_retry_delay, permanent(), 4, 1, 16),
        "and five minutes at most": (kubernetes_retry_delay, permanent(), 10**6, 1, 300),
        "Retry-After counts": (kubernetes_retry_delay, transient(retry_after=42.0), 1, 42, 42),
        "a link soon at first": (link_retry_delay, transient(), 1, 0.8, 1.0),
        "a link later": (link_retry_delay, transient(), 4, 6.4, 8.0),
        "a link every half minute": (link_retry_delay, transient(), 10**6, 24.0, 30.0),
        "a link: Retry-After": (link_retry_delay, transient(retry_after=45.0), 1, 45, 45),
        "a link: a permanent one slowly": (link_retry_delay, permanent(), 10**6, 1.0, 300.0),
    },
)
def test_the_retry_delay_after_kubernetes_failed(
    delay: Callable[..., float], error: OperatorError, count: int, least: float, most: float
) -> None:
    shortest, longest = delays(lambda rng: delay(error, count, rng))
    assert least <= shortest
    assert longest <= most


def test_spread_overdue_goes_by_expiry() -> None:
    later = [spread_overdue(times(life=HOUR), NOW, seed) - NOW for seed in SEEDS]
    sooner = [spread_overdue(times(life=MINUTE), NOW, seed) - NOW for seed in SEEDS]
    assert timedelta(0) < max(sooner) <= SECOND
    assert max(sooner) < min(later)
    assert max(later) <= MINUTE
    assert len(set(later)) > 90
    assert spread_overdue(times(), NOW, "uid") - NOW <= 2 * MINUTE


@settings(max_examples=60)
@given(st.timedeltas(min_value=-HOUR, max_value=TWELVE_HOURS), st.text(max_size=40))
def test_rotation_deadline_is_within_two_minutes_and_a_sixtieth(left: timedelta, seed: str) -> None:
    now = NOW + TWELVE_HOURS - left
    due = rotation_deadline(times(), now, seed)
    assert now <= due < now + 2 * MINUTE
    assert due - now <= max(left, timedelta(0)) / 60
    assert due == rotation_deadline(times(), now, seed)


def test_rotation_deadline_spreads_resources() -> None:
    found = {rotation_deadline(times(), NOW, seed) for seed in SEEDS}
    assert max(found) - min(found) > MINUTE


def repaired(*times: float) -> Repairs:
    repairs: Repairs = ()
    for time in times:
        repairs = REPAIR_LIMIT.note(repairs, time)
    return repairs


def test_six_repairs_within_a_minute_are_allowed_and_no_more_are_remembered() -> None:
    assert REPAIR_LIMIT.wait((), 0) == 0
    assert REPAIR_LIMIT.wait(repaired(0, 2, 4, 6, 8), 10) == 0
    assert REPAIR_LIMIT.wait(repaired(0, 2, 4, 6, 8, 10), 12) == 48
    assert REPAIR_LIMIT.wait(repaired(0, 2, 4, 6, 8, 10), 60) == 0
    assert repaired(*range(100)) == tuple(range(94, 100))


def test_an_object_is_contested_until_two_windows_after_its_last_repair() -> None:
    found = [REPAIR_LIMIT.is_contested(*each) for each in (((), 0), (repaired(0), 119), (repaired(0), 120))]
    assert found == [False, True, False]
