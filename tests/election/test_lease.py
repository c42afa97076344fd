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
    patience,
)

WALL = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
OTHERS = LeaseRecord(
    holder="v0.6.0_1", acquired_at=WALL - timedelta(days=9), renewed_at=WALL, transitions=4, version="70"
)
WAIT = 1.5


def candidate() -> ElectorState:
    return ElectorState("ours_1")


def leader(at: float = 0.0) -> ElectorState:
    """Return a candidate that has just created the Lease."""
    ours = candidate()
    ours.saw(None, at, WAIT)
    assert write(ours, at, version="1")
    return ours


def write(ours: ElectorState, at: float, version: str) -> bool:
    """Have the candidate write at a time, and the server store it."""
    assert ours.next_action(at)[0] is Action.WRITE
    return ours.wrote(replace(ours.draft(at, WALL + timedelta(seconds=at)), version=version))


def lose_answer(ours: ElectorState, at: float) -> LeaseRecord:
    """Have the candidate write at a time, and never know what came of it."""
    draft = ours.draft(at, WALL + timedelta(seconds=at))
    ours.failed(at, at + 4, WAIT)
    return draft


def test_the_timings_are_those_of_v0_6_0() -> None:
    assert (LEASE_DURATION, RENEW_DEADLINE, RETRY_PERIOD, JITTER_FACTOR) == (15, 10, 2, 1.2)


def test_a_standby_looks_at_least_every_retry_period_and_not_in_step_with_others() -> None:
    assert patience(1.0) == RETRY_PERIOD
    assert patience(0.0) == pytest.approx(RETRY_PERIOD / 2.2)


def test_it_looks_first() -> None:
    assert candidate().next_action(0.0) == (Action.LOOK, 0.0)
    assert not candidate().leads(0.0)


def test_a_lease_that_does_not_exist_is_created() -> None:
    ours = candidate()
    ours.saw(None, 0.0, WAIT)
    assert ours.next_action(0.0) == (Action.WRITE, 0.0)
    draft = ours.draft(0.0, WALL)
    assert draft == LeaseRecord(holder="ours_1", duration=15, acquired_at=WALL, renewed_at=WALL)


def test_a_released_lease_is_taken_at_once() -> None:
    ours = candidate()
    ours.saw(replace(OTHERS, holder="", duration=1), 0.0, WAIT)
    draft = ours.draft(0.0, WALL)
    assert (draft.holder, draft.duration, draft.transitions, draft.version) == ("ours_1", 15, 5, "70")


def test_a_held_lease_is_taken_when_it_has_not_changed_for_its_duration() -> None:
    ours = candidate()
    ours.saw(OTHERS, 100.0, WAIT)
    assert ours.holder == "v0.6.0_1"
    assert ours.next_action(100.0) == (Action.WAIT, WAIT)
    assert ours.next_action(101.5) == (Action.LOOK, 0.0)
    ours.saw(OTHERS, 114.9, WAIT)
    move, seconds = ours.next_action(114.9)
    assert (move, seconds) == (Action.WAIT, 115.0 - 114.9)
    ours.saw(OTHERS, 115.0, WAIT)
    draft = ours.draft(115.0, WALL)
    assert draft == replace(
        OTHERS, holder="ours_1", acquired_at=WALL, renewed_at=WALL, transitions=5, version="70"
    )


def test_every_change_begins_the_wait_anew_whatever_the_clocks_say() -> None:
    ours = candidate()
    ours.saw(OTHERS, 100.0, WAIT)
    ours.saw(replace(OTHERS, renewed_at=WALL - timedelta(days=400), version="71"), 114.0, WAIT)
    ours.saw(replace(OTHERS, renewed_at=WALL - timedelta(days=400), version="71"), 128.9, WAIT)
    assert ours.next_action(128.9)[0] is Action.WAIT


@pytest.mark.parametrize(
    ("says", "waits"),
    [
        pytest.param(40.0, 40.0, id="the Lease's own duration counts"),
        pytest.param(0.0, 15.0, id="where it says none, ours does"),
    ],
)
def test_the_duration_of_a_lease(says: float, waits: float) -> None:
    ours = candidate()
    ours.saw(replace(OTHERS, duration=says), 0.0, 100.0)
    assert ours.next_action(0.0) == (Action.WAIT, waits)


def test_belief_counts_from_before_the_write_was_sent() -> None:
    ours = leader(at=100.0)
    assert ours.leads(100.0)
    assert ours.leads(109.9)
    assert not ours.leads(110.0)


def test_a_leader_renews_without_looking() -> None:
    ours = leader()
    assert ours.next_action(0.5) == (Action.WAIT, 1.5)
    assert write(ours, 2.0, "2")
    assert ours.leads(11.9)


def test_a_renewal_keeps_all_but_the_time() -> None:
    ours = leader()
    draft = ours.draft(2.0, WALL + timedelta(seconds=2))
    assert draft == LeaseRecord(
        holder="ours_1", acquired_at=WALL, renewed_at=WALL + timedelta(seconds=2), version="1"
    )


def test_a_renewal_that_hangs_is_tried_again_at_once_but_gives_no_belief() -> None:
    ours = leader()
    lose_answer(ours, 2.0)
    assert ours.next_action(6.0) == (Action.LOOK, 0.0)
    assert not ours.leads(10.0)


def test_a_lost_answer_is_found_by_looking_and_counts_from_its_sending() -> None:
    ours = leader()
    draft = lose_answer(ours, 2.0)
    ours.saw(replace(draft, version="2"), 7.0, WAIT)
    assert ours.leads(11.9)
    assert not ours.leads(12.0)
    assert write(ours, 7.0, "3")


def test_of_two_lost_answers_the_one_that_is_found_counts() -> None:
    ours = candidate()
    ours.saw(None, 0.0, WAIT)
    first = lose_answer(ours, 0.0)
    ours.saw(None, 4.0, WAIT)
    lose_answer(ours, 4.0)
    ours.saw(replace(first, version="1"), 8.0, WAIT)
    assert ours.leads(9.9)
    assert not ours.leads(10.0)


def test_two_writes_at_one_wall_time_can_be_told_apart() -> None:
    ours = candidate()
    ours.saw(None, 0.0, WAIT)
    assert ours.draft(0.0, WALL).renewed_at != ours.draft(4.0, WALL).renewed_at


def test_a_lease_that_another_holds_ends_the_belief_at_once() -> None:
    ours = leader()
    ours.failed(2.0, 2.1, WAIT)
    ours.saw(OTHERS, 4.0, WAIT)
    assert not ours.leads(4.0)
    assert ours.next_action(4.0) == (Action.WAIT, WAIT)


def test_after_a_pause_in_which_nobody_took_it_one_write_brings_it_back() -> None:
    ours = leader()
    assert not ours.leads(60.0)
    assert write(ours, 60.0, "2")
    assert ours.leads(69.9)


def test_a_write_whose_answer_comes_after_a_pause_gives_no_belief() -> None:
    ours = candidate()
    ours.saw(None, 0.0, WAIT)
    assert ours.wrote(replace(ours.draft(0.0, WALL), version="1"))
    assert not ours.leads(20.0)


def test_an_answer_that_is_not_what_was_written_gives_no_belief() -> None:
    ours = candidate()
    ours.saw(None, 0.0, WAIT)
    assert not ours.wrote(replace(ours.draft(0.0, WALL), holder="", version="1"))
    assert not ours.leads(0.0)


def test_a_label_on_the_lease_costs_no_belief() -> None:
    ours = leader()
    seen = replace(ours.draft(1.0, WALL), renewed_at=WALL, version="2", metadata={"labels": {"a": "b"}})
    ours.failed(2.0, 2.1, WAIT)
    ours.saw(seen, 3.0, WAIT)
    assert ours.leads(3.0)
    assert ours.draft(3.0, WALL).metadata == {"labels": {"a": "b"}}


def test_an_old_record_of_ours_that_a_restored_etcd_brings_back_is_waited_for_as_any_other() -> None:
    ours = leader()
    write(ours, 2.0, "2")
    ours.saw(LeaseRecord(holder="ours_1", renewed_at=WALL, version="1"), 4.0, WAIT)
    assert not ours.leads(4.0)
    assert ours.next_action(4.0)[0] is Action.WAIT


def test_a_deleted_lease_of_another_is_waited_for_by_who_saw_it() -> None:
    ours = candidate()
    ours.saw(OTHERS, 0.0, WAIT)
    ours.saw(None, 2.0, WAIT)
    assert ours.next_action(2.0)[0] is Action.WAIT
    ours.saw(None, 15.0, WAIT)
    assert ours.next_action(15.0)[0] is Action.WRITE


def test_a_leader_makes_a_deleted_lease_anew_at_once() -> None:
    ours = leader()
    ours.failed(2.0, 2.0, WAIT)
    ours.saw(None, 3.5, WAIT)
    assert ours.leads(3.5)
    assert write(ours, 3.5, "9")


def test_who_resigns_leads_no_more_and_releases_as_client_go_does() -> None:
    ours = leader()
    ours.resign()
    assert not ours.leads(0.0)
    assert ours.farewell(WALL) == LeaseRecord(
        holder="", duration=1, acquired_at=WALL, renewed_at=WALL, transitions=0, version="1"
    )


def test_a_standby_has_nothing_to_release() -> None:
    ours = candidate()
    ours.saw(OTHERS, 0.0, WAIT)
    assert not ours.may_hold()
    assert ours.farewell(WALL) is None


def test_who_may_have_got_it_unknowingly_has_to_look_before_it_goes() -> None:
    ours = candidate()
    ours.saw(None, 0.0, WAIT)
    draft = lose_answer(ours, 0.0)
    assert ours.may_hold()
    assert ours.must_read()
    ours.saw(replace(draft, version="1"), 5.0, WAIT)
    assert not ours.must_read()
    assert ours.farewell(WALL) is not None
