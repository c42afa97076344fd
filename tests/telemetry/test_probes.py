"""When the operator counts as alive and as ready."""

from collections import Counter

from ecr_operator.telemetry.probes import Probes, Pulse
from tests.fakes import FakeClock


async def test_alive_while_a_watch_is_attempted_in_time() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    pulse = probes.watch("/secrets")
    for _ in range(20):
        pulse.beat(60)
        await clock.advance(119)
        assert probes.ailments() == []


async def test_not_alive_a_minute_after_a_watch_was_due_and_alive_again_with_the_next_attempt() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    stuck, well = probes.watch("/stuck"), probes.watch("/well")
    stuck.beat(5)
    await clock.advance(65)
    well.beat(60)
    assert probes.ailments() == []
    await clock.advance(1)
    assert probes.ailments() == ["/stuck: no watch was attempted for 61 s past its time"]
    stuck.beat(5)
    assert probes.ailments() == []


async def test_a_watch_that_has_not_begun_is_no_ailment() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    probes.watch("/secrets")
    await clock.advance(3600)
    assert probes.ailments() == []


async def test_failing_for_hours_is_alive_and_stays_ready_once_synced() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    restarts: Counter[str] = Counter()
    pulse = probes.watch("/secrets", lambda: restarts.update(["/secrets"]))
    pulse.synced = True
    for _ in range(1000):
        pulse.restarts(5)
        await clock.advance(6)
    assert (probes.ailments(), probes.obstacles(), restarts["/secrets"]) == ([], [], 1000)


def test_ready_when_everything_was_listed_once() -> None:
    probes = Probes()
    assert probes.obstacles() == ["starting"]
    one, other = probes.watch("/one"), probes.watch("/other")
    one.synced = True
    assert probes.obstacles() == ["/other: not listed yet"]
    other.synced = True
    assert probes.obstacles() == []


async def test_a_watch_that_is_not_needed_counts_for_being_alive_only() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    probes.watch("/one").synced = True
    probes.watch("/extra", needed=False).beat(0)
    assert probes.obstacles() == []
    await clock.advance(61)
    assert probes.ailments() == ["/extra: no watch was attempted for 61 s past its time"]


def test_not_ready_but_alive_while_stopping() -> None:
    probes = Probes()
    probes.watch("/one").synced = True
    probes.stopping()
    assert (probes.obstacles(), probes.ailments()) == (["stopping"], [])


def test_a_pulse_that_nobody_looks_at_may_beat() -> None:
    pulse = Pulse()
    pulse.restarts(1)
    assert pulse.overdue() == 0
