"""Never two leaders by their own belief, whatever happens; and one before long when nothing happens."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.election.elections import ClientGo, Election, Ours, Trip

FAULTY = 120.0
QUIET = 50.0

seconds = st.floats(0.0, 25.0)
trips = st.lists(
    st.builds(
        Trip,
        out=st.one_of(st.just(0.01), seconds),
        back=st.one_of(st.just(0.01), seconds),
        lost=st.sampled_from(("", "", "", "out", "back")),
    ),
    max_size=60,
)
# As fast or slow as 3 to 2 is what the timings bear.
clocks = st.tuples(st.floats(-1e6, 1e6), st.floats(0.82, 1.22))


@dataclass(frozen=True)
class Deed:
    """What is done to one of the candidates at a time."""

    at: float
    to: int
    what: str
    seconds: float


deeds = st.lists(
    st.builds(
        Deed,
        at=st.floats(0.0, FAULTY),
        to=st.integers(0, 2),
        what=st.sampled_from(("pause", "pause", "kill", "terminate")),
        seconds=seconds,
    ),
    max_size=12,
)


def _do(election: Election, members: list[Ours], deed: Deed) -> None:
    member = members[deed.to % len(members)]
    if deed.what == "pause":
        member.pause(deed.seconds)
        return
    member.stop(release=deed.what == "terminate")
    # The pod that takes its place.
    members[deed.to % len(members)] = Ours(election, f"{member.identity}'", rate=1.0)


def _play(election: Election, members: list[Ours], deeds: list[Deed]) -> None:
    for deed in deeds:
        election.after(deed.at, lambda deed=deed: _do(election, members, deed))  # type: ignore[misc]
    election.run(FAULTY)


@settings(max_examples=400, deadline=None)
@given(trips=trips, clocks=st.lists(clocks, min_size=2, max_size=3), deeds=deeds)
def test_never_do_two_of_ours_lead_and_one_does_when_all_is_well_again(
    trips: list[Trip], clocks: list[tuple[float, float]], deeds: list[Deed]
) -> None:
    election = Election(iter(trips))
    members = [Ours(election, f"ours-{number}", *clock) for number, clock in enumerate(clocks)]
    _play(election, members, deeds)
    election.trips = iter(())
    election.run(FAULTY + QUIET)
    assert len(election.leaders()) == 1


@settings(max_examples=400, deadline=None)
@given(
    trips=trips,
    clocks=st.lists(clocks, min_size=1, max_size=2),
    deeds=deeds,
    losing=st.lists(st.booleans(), max_size=60),
)
def test_never_do_one_of_ours_and_v0_6_0_lead_together(
    trips: list[Trip], clocks: list[tuple[float, float]], deeds: list[Deed], losing: list[bool]
) -> None:
    election = Election(iter(trips))
    ClientGo(election, "v0.6.0", iter(losing))
    members = [Ours(election, f"ours-{number}", *clock) for number, clock in enumerate(clocks)]
    _play(election, members, deeds)
    election.trips = iter(())
    election.run(FAULTY + QUIET)
    assert len(election.leaders()) == 1


def test_while_all_is_well_the_first_leads_for_ever() -> None:
    election = Election(iter(()))
    Ours(election, "first")
    election.run(1.0)
    Ours(election, "second")
    election.run(3600.0)
    assert election.leaders() == ["first"]


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours leads", "v0.6.0 leads"])
def test_ours_and_v0_6_0_respect_each_other_for_as_long_as_the_leader_renews(ours_first: bool) -> None:  # noqa: FBT001 - a table
    election = Election(iter(()))
    for is_ours in (ours_first, not ours_first):
        if is_ours:
            Ours(election, "ours")
        else:
            ClientGo(election, "v0.6.0", iter(()))
        election.run(election.now + 1.0)
    election.run(600.0)
    assert election.leaders() == ["ours" if ours_first else "v0.6.0"]


def test_a_released_lease_is_led_again_within_the_retry_period() -> None:
    election = Election(iter(()))
    first = Ours(election, "first")
    election.run(1.0)
    Ours(election, "second")
    election.run(30.3)
    first.stop(release=True)
    election.run(30.3 + 2.1)
    assert election.leaders() == ["second"]


def test_a_leader_that_was_killed_is_followed_within_the_lease_time_and_a_retry() -> None:
    election = Election(iter(()))
    first = Ours(election, "first")
    election.run(1.0)
    Ours(election, "second")
    election.run(30.3)
    first.stop(release=False)
    election.run(30.3 + 17.1)
    assert election.leaders() == ["second"]
