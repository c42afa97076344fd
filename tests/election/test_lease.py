"""One candidate's decisions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ecr_operator.election.lease import (
    JITTER_FACTOR,
    LEASE_DURATION,
    RENEW_DEADLINE,
    RETRY_PERIOD,
    Action,
    ElectorState,
    LeaseRecord,
    retry_delay,
)
from tests.builders import cases

WALL = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
OTHERS = LeaseRecord(
    holder="v0.6.0_1", acquire_time=WALL - timedelta(days=9), renew_time=WALL, transitions=4, version="70"
)
WAIT = 1.5


def candidate(seen: LeaseRecord | None = None, at: float = 0.0) -> ElectorState:
    """A candidate that has read the Lease."""
    state = ElectorState("ours_1")
    state.on_read(seen, at, WAIT)
    return state


def leader(at: float = 0.0) -> ElectorState:
    """A candidate that has just created the Lease."""
    state = candidate(at=at)
    assert write(state, at, version="1")
    return state


def write(state: ElectorState, at: float, version: str) -> bool:
    """Have the candidate write at a time, and the server store it."""
    assert state.next_action(at)[0] is Action.WRITE
    return state.on_written(
        replace(state.acquire_or_renew(at, WALL + timedelta(seconds=at)), version=version)
    )


def lose_answer(state: ElectorState, at: float) -> LeaseRecord:
    """Have the candidate write at a time without an answer."""
    record = state.acquire_or_renew(at, WALL + timedelta(seconds=at))
    state.on_failed(at, at + 4, WAIT)
    return record


def test_timings_are_those_of_v0_6_0_and_standbys_read_at_least_every_retry_period_and_not_in_step() -> None:
    assert (LEASE_DURATION, RENEW_DEADLINE, RETRY_PERIOD, JITTER_FACTOR) == (15, 10, 2, 1.2)
    assert retry_delay(1.0) == RETRY_PERIOD
    assert retry_delay(0.0) == pytest.approx(RETRY_PERIOD / 2.2)


def test_a_candidate_reads_first_and_creates_an_absent_lease() -> None:
    assert ElectorState("ours_1").next_action(0.0) == (Action.READ, 0.0)
    assert not ElectorState("ours_1").is_leader(0.0)
    state = candidate()
    assert state.next_action(0.0) == (Action.WRITE, 0.0)
    record = state.acquire_or_renew(0.0, WALL)
    assert record == LeaseRecord(holder="ours_1", duration=15, acquire_time=WALL, renew_time=WALL)


def test_a_released_lease_is_acquired_at_once() -> None:
    record = candidate(replace(OTHERS, holder="", duration=1)).acquire_or_renew(0.0, WALL)
    assert (record.holder, record.duration, record.transitions, record.version) == ("ours_1", 15, 5, "70")


def test_a_held_lease_is_acquired_when_it_has_not_changed_for_its_duration() -> None:
    state = candidate(OTHERS, at=100.0)
    assert state.holder == "v0.6.0_1"
    assert state.next_action(100.0) == (Action.WAIT, WAIT)
    assert state.next_action(101.5) == (Action.READ, 0.0)
    state.on_read(OTHERS, 114.9, WAIT)
    assert state.next_action(114.9) == (Action.WAIT, 115.0 - 114.9)
    state.on_read(OTHERS, 115.0, WAIT)
    assert state.acquire_or_renew(115.0, WALL) == replace(
        OTHERS, holder="ours_1", acquire_time=WALL, renew_time=WALL, transitions=5
    )


def test_every_change_restarts_the_wait_whatever_the_holders_clock_says() -> None:
    state = candidate(OTHERS, at=100.0)
    changed = replace(OTHERS, renew_time=WALL - timedelta(days=400), version="71")
    for at in (114.0, 128.9):
        state.on_read(changed, at, WAIT)
    assert state.next_action(128.9)[0] is Action.WAIT


@cases(
    "duration, waits",
    {
        "the Lease's own duration counts": (40.0, 40.0),
        "where it has none, ours counts": (0.0, 15.0),
    },
)
def test_the_duration_of_a_lease(duration: float, waits: float) -> None:
    state = ElectorState("ours_1")
    state.on_read(replace(OTHERS, duration=duration), 0.0, 100.0)
    assert state.next_action(0.0) == (Action.WAIT, waits)


def test_the_renew_deadline_counts_from_before_the_write_was_sent() -> None:
    state = leader(at=100.0)
    assert state.is_leader(109.9)
    assert not state.is_leader(110.0)


def test_a_renewal_keeps_all_but_the_time() -> None:
    later = WALL + timedelta(seconds=2)
    record = leader().acquire_or_renew(2.0, later)
    assert record == LeaseRecord(holder="ours_1", acquire_time=WALL, renew_time=later, version="1")


def test_a_renewal_that_hangs_is_retried_at_once_and_extends_nothing() -> None:
    state = leader()
    lose_answer(state, 2.0)
    assert state.next_action(6.0) == (Action.READ, 0.0)
    assert not state.is_leader(10.0)


def test_a_lost_answer_is_found_by_reading_and_counts_from_its_sending() -> None:
    state = leader()
    record = lose_answer(state, 2.0)
    state.on_read(replace(record, version="2"), 7.0, WAIT)
    assert state.is_leader(11.9)
    assert not state.is_leader(12.0)
    assert write(state, 7.0, "3")


def test_of_two_lost_answers_the_one_that_is_read_counts() -> None:
    state = candidate()
    first = lose_answer(state, 0.0)
    state.on_read(None, 4.0, WAIT)
    lose_answer(state, 4.0)
    state.on_read(replace(first, version="1"), 8.0, WAIT)
    assert state.is_leader(9.9)
    assert not state.is_leader(10.0)


def test_of_very_many_lost_answers_the_last_sixteen_are_recognized() -> None:
    for number, action in ((0, Action.WAIT), (1, Action.WRITE)):
        state, records = candidate(), []
        for at in range(0, 17 * 5, 5):
            records.append(lose_answer(state, at))
            state.on_read(None, at + 4, WAIT)
        state.on_read(replace(records[number], version="1"), 90.0, WAIT)
        assert state.next_action(90.0)[0] is action


def test_two_writes_at_one_wall_time_differ() -> None:
    state = candidate()
    times = [state.acquire_or_renew(now, WALL).renew_time for now in (0.0, 4.0)]
    assert times[0] != times[1]


def test_after_a_pause_in_which_nobody_acquired_it_one_write_renews() -> None:
    state = leader()
    assert not state.is_leader(60.0)
    assert write(state, 60.0, "2")
    assert state.is_leader(69.9)


def test_an_answer_that_is_not_what_was_written_elects_nobody() -> None:
    state = candidate()
    assert not state.on_written(replace(state.acquire_or_renew(0.0, WALL), holder="", version="1"))
    assert not state.is_leader(0.0)


def test_a_label_on_the_lease_leaves_the_leader_in_place() -> None:
    state, metadata = leader(), {"labels": {"a": "b"}}
    lose_answer(state, 1.0)
    own = LeaseRecord(holder="ours_1", acquire_time=WALL, renew_time=WALL, version="2", metadata=metadata)
    state.on_read(own, 5.0, WAIT)
    assert state.is_leader(5.0)
    assert state.acquire_or_renew(5.0, WALL).metadata == metadata


def test_an_old_record_of_ours_from_a_restored_etcd_is_waited_for_as_any_other() -> None:
    state = leader()
    write(state, 2.0, "2")
    state.on_read(LeaseRecord(holder="ours_1", renew_time=WALL, version="1"), 4.0, WAIT)
    assert not state.is_leader(4.0)
    assert state.next_action(4.0)[0] is Action.WAIT


def test_a_deleted_lease_of_another_is_waited_for_by_a_candidate_that_saw_it() -> None:
    state = candidate(OTHERS)
    state.on_read(None, 2.0, WAIT)
    assert state.next_action(2.0)[0] is Action.WAIT
    state.on_read(None, 15.0, WAIT)
    assert state.next_action(15.0)[0] is Action.WRITE


def test_a_leader_recreates_a_deleted_lease_at_once() -> None:
    state = leader()
    state.on_failed(2.0, 2.0, WAIT)
    state.on_read(None, 3.5, WAIT)
    assert state.is_leader(3.5)
    assert write(state, 3.5, "9")


def test_a_release_is_written_as_client_go_does() -> None:
    assert leader().release(WALL) == LeaseRecord(
        holder="", duration=1, acquire_time=WALL, renew_time=WALL, transitions=0, version="1"
    )
