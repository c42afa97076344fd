"""When the operator is alive, and when it is ready."""

from ecr_operator.telemetry.probes import Probes
from tests.fakes import FakeClock


async def test_liveness_holds_before_the_first_watch_and_while_watches_are_in_time() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    heartbeat = probes.watch("/secrets")
    await clock.advance(3600)
    assert probes.liveness_failures() == []
    for _ in range(20):
        heartbeat.beat(60)
        await clock.advance(119)
        assert probes.liveness_failures() == []


async def test_liveness_fails_a_minute_after_a_watch_was_due_until_the_next_attempt() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    stuck, well = probes.watch("/stuck"), probes.watch("/well")
    stuck.beat(5)
    await clock.advance(65)
    well.beat(60)
    assert probes.liveness_failures() == []
    await clock.advance(1)
    assert probes.liveness_failures() == ["/stuck: the next watch attempt is 61 s overdue"]
    stuck.beat(5)
    assert probes.liveness_failures() == []


async def test_watches_that_fail_for_hours_are_alive_and_stay_ready_once_synced() -> None:
    clock, restarts = FakeClock(), list[int]()
    probes = Probes(clock.monotonic)
    heartbeat = probes.watch("/secrets", lambda: restarts.append(1))
    heartbeat.synced = True
    for _ in range(1000):
        heartbeat.restarts(5)
        await clock.advance(6)
    assert (probes.liveness_failures(), probes.readiness_failures(), len(restarts)) == ([], [], 1000)


def test_readiness_holds_once_everything_was_listed_until_the_stop() -> None:
    probes = Probes()
    assert probes.readiness_failures() == ["starting"]
    one, other = probes.watch("/one"), probes.watch("/other")
    one.synced = True
    assert probes.readiness_failures() == ["/other: not listed yet"]
    other.synced = True
    assert probes.readiness_failures() == []
    probes.stopping()
    assert (probes.readiness_failures(), probes.liveness_failures()) == (["stopping"], [])


async def test_a_watch_that_is_not_needed_counts_for_liveness_only() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    probes.watch("/one").synced = True
    extra = probes.watch("/extra", needed=False)
    extra.beat(0)
    assert probes.readiness_failures() == []
    await clock.advance(61)
    assert probes.liveness_failures() == ["/extra: the next watch attempt is 61 s overdue"]
    extra.rest()
    assert probes.liveness_failures() == []
