"""When the operator counts as alive and as ready."""

from collections import Counter

from ecr_operator.telemetry.probes import Heartbeat, Probes
from tests.fakes import FakeClock


async def test_alive_while_a_watch_is_attempted_in_time() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    heartbeat = probes.watch("/secrets")
    for _ in range(20):
        heartbeat.beat(60)
        await clock.advance(119)
        assert probes.liveness_failures() == []


async def test_not_alive_a_minute_after_a_watch_was_due_and_alive_again_with_the_next_attempt() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    stuck, well = probes.watch("/stuck"), probes.watch("/well")
    stuck.beat(5)
    await clock.advance(65)
    well.beat(60)
    assert probes.liveness_failures() == []
    await clock.advance(1)
    assert probes.liveness_failures() == ["/stuck: no watch was attempted for 61 s past its time"]
    stuck.beat(5)
    assert probes.liveness_failures() == []


async def test_a_watch_that_has_not_begun_is_no_ailment() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    probes.watch("/secrets")
    await clock.advance(3600)
    assert probes.liveness_failures() == []


async def test_failing_for_hours_is_alive_and_stays_ready_once_synced() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    restarts: Counter[str] = Counter()
    heartbeat = probes.watch("/secrets", lambda: restarts.update(["/secrets"]))
    heartbeat.synced = True
    for _ in range(1000):
        heartbeat.restarts(5)
        await clock.advance(6)
    assert (probes.liveness_failures(), probes.readiness_failures(), restarts["/secrets"]) == ([], [], 1000)


def test_ready_when_everything_was_listed_once() -> None:
    probes = Probes()
    assert probes.readiness_failures() == ["starting"]
    one, other = probes.watch("/one"), probes.watch("/other")
    one.synced = True
    assert probes.readiness_failures() == ["/other: not listed yet"]
    other.synced = True
    assert probes.readiness_failures() == []


async def test_a_watch_that_is_not_needed_counts_for_being_alive_only() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    probes.watch("/one").synced = True
    probes.watch("/extra", needed=False).beat(0)
    assert probes.readiness_failures() == []
    await clock.advance(61)
    assert probes.liveness_failures() == ["/extra: no watch was attempted for 61 s past its time"]


def test_not_ready_but_alive_while_stopping() -> None:
    probes = Probes()
    probes.watch("/one").synced = True
    probes.stopping()
    assert (probes.readiness_failures(), probes.liveness_failures()) == (["stopping"], [])


def test_a_pulse_that_nobody_looks_at_may_beat() -> None:
    heartbeat = Heartbeat()
    heartbeat.restarts(1)
    assert heartbeat.overdue() == 0
