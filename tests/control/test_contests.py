"""Fights over a Secret."""

import pytest

from ecr_operator.control.contests import Contests
from tests.builders import resource
from tests.fakes import FakeClock

WEB = resource().key


@pytest.fixture
async def clock() -> FakeClock:
    """Virtual time."""
    return FakeClock()


async def test_the_first_repairs_come_at_once_and_then_the_rate_is_bounded(clock: FakeClock) -> None:
    contests = Contests(clock)
    for _ in range(6):
        assert contests.wait(WEB) == 0
        contests.repaired(WEB)
        await clock.advance(2)
    assert contests.wait(WEB) == 48
    await clock.advance(48)
    assert contests.wait(WEB) == 0


async def test_a_fight_is_over_after_two_quiet_minutes(clock: FakeClock) -> None:
    contests = Contests(clock)
    assert not contests.is_on(WEB)
    contests.repaired(WEB)
    await clock.advance(119)
    assert contests.is_on(WEB)
    await clock.advance(1)
    assert not contests.is_on(WEB)


async def test_no_fight_delays_another(clock: FakeClock) -> None:
    contests = Contests(clock)
    for _ in range(9):
        contests.repaired(WEB)
    assert contests.wait(resource(name="shop").key) == 0
    contests.forget(WEB)
    assert contests.wait(WEB) == 0


async def test_what_is_over_is_not_remembered(clock: FakeClock) -> None:
    contests = Contests(clock)
    for number in range(5000):
        contests.repaired(number)
        await clock.advance(1)
    assert len(contests) <= 2 * 120 + 64


def test_another_window_may_be_given() -> None:
    clock = FakeClock()
    contests = Contests(clock, window=600, at_once=1)
    contests.repaired(WEB)
    assert contests.wait(WEB) == 600
    clock.skip(600)
    assert contests.wait(WEB) == 0
