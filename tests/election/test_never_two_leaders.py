"""Never two leaders at once, whatever fails; and one soon after the faults end. In simulated elections."""

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.election.simulation import ClientGo, Election, Ours, Trip

FAULTY = 90.0
QUIET = 50.0

seconds = st.floats(0.0, 25.0)
delays = st.just(0.01) | seconds
ways = st.sampled_from(("", "", "", "out", "back"))
trips = st.lists(st.builds(Trip, out=delays, back=delays, lost=ways), max_size=30)
# As fast or slow as 3 to 2 is what the timings bear.
clocks = st.tuples(st.floats(-1e6, 1e6), st.floats(0.82, 1.22))


@dataclass(frozen=True)
class Fault:
    """What happens to one of our candidates at a time."""

    at: float
    to: int
    what: str
    seconds: float

    def strike(self, election: Election, members: list[Ours]) -> None:
        """Pause the candidate, or end it and start another in its place."""
        number = self.to % len(members)
        if self.what == "pause":
            members[number].pause(self.seconds)
            return
        members[number].stop(release=self.what == "terminate")
        members[number] = Ours(election, f"{members[number].identity}'")


kinds = st.sampled_from(("pause", "pause", "kill", "terminate"))
times = st.floats(0.0, FAULTY)
faults = st.lists(st.builds(Fault, at=times, to=st.integers(0, 2), what=kinds, seconds=seconds), max_size=8)
MANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def run(election: Election, clocks: list[tuple[float, float]], faults: list[Fault]) -> None:
    """Let all go wrong for a while, then nothing, and check that one leads."""
    members = [Ours(election, f"ours-{number}", *clock) for number, clock in enumerate(clocks)]
    for fault in faults:
        election.after(fault.at, lambda fault=fault: fault.strike(election, members))  # type: ignore[misc]
    election.run(FAULTY)
    election.trips = iter(())
    election.run(FAULTY + QUIET)
    assert len(election.leaders()) == 1


@MANY
@given(trips=trips, clocks=st.lists(clocks, min_size=2, max_size=3), faults=faults)
def test_never_two_of_ours_lead_and_one_does_after_the_faults(
    trips: list[Trip], clocks: list[tuple[float, float]], faults: list[Fault]
) -> None:
    run(Election(iter(trips)), clocks, faults)


@MANY
@given(
    trips=trips,
    clocks=st.lists(clocks, min_size=1, max_size=2),
    faults=faults,
    losing=st.lists(st.booleans(), max_size=30),
)
def test_never_do_ours_and_v0_6_0_lead_together(
    trips: list[Trip], clocks: list[tuple[float, float]], faults: list[Fault], losing: list[bool]
) -> None:
    election = Election(iter(trips))
    ClientGo(election, "v0.6.0", iter(losing))
    run(election, clocks, faults)


@pytest.mark.parametrize("second", ["ours", "v0.6.0"])
@pytest.mark.parametrize("first", ["ours", "v0.6.0"])
def test_first_leads_as_long_as_it_renews(first: str, second: str) -> None:
    election = Election(iter(()))
    for number, version in enumerate((first, second)):
        if version == "ours":
            Ours(election, f"{version} {number}")
        else:
            ClientGo(election, f"{version} {number}", iter(()))
        election.run(election.now + 1.0)
    election.run(900.0)
    assert election.leaders() == [f"{first} 0"]
