"""Fights over a Secret."""

import pytest

from ecr_operator.core.repair_limit import RepairLimit
from tests.builders import resource
from tests.fakes import FakeClock

WEB = resource().key


@pytest.fixture
async def clock() -> FakeClock:
    """Virtual time."""
    return FakeClock()


async def test_the_first_repairs_come_at_once_and_then_the_rate_is_bounded(clock: FakeClock) -> None:
    repair_limit = RepairLimit(clock)
    for _ in range(6):
        assert repair_limit.wait(WEB) == 0
        repair_limit.repaired(WEB)
        await clock.advance(2)
    assert repair_limit.wait(WEB) == 48
    await clock.advance(48)
    assert repair_limit.wait(WEB) == 0


async def test_a_fight_is_over_after_two_quiet_minutes(clock: FakeClock) -> None:
    repair_limit = RepairLimit(clock)
    assert not repair_limit.is_on(WEB)
    repair_limit.repaired(WEB)
    await clock.advance(119)
    assert repair_limit.is_on(WEB)
    await clock.advance(1)
    assert not repair_limit.is_on(WEB)


async def test_no_fight_delays_another(clock: FakeClock) -> None:
    repair_limit = RepairLimit(clock)
    for _ in range(9):
        repair_limit.repaired(WEB)
    assert repair_limit.wait(resource(name="shop").key) == 0
    repair_limit.forget(WEB)
    assert repair_limit.wait(WEB) == 0


async def test_what_is_over_is_not_remembered(clock: FakeClock) -> None:
    repair_limit = RepairLimit(clock)
    for number in range(5000):
        repair_limit.repaired(number)
        await clock.advance(1)
    assert len(repair_limit) <= 2 * 120 + 64


def test_another_window_may_be_given() -> None:
    clock = FakeClock()
    repair_limit = RepairLimit(clock, window=600, at_once=1)
    repair_limit.repaired(WEB)
    assert repair_limit.wait(WEB) == 600
    clock.skip(600)
    assert repair_limit.wait(WEB) == 0
