"""An election in memory: candidates with clocks of their own, and a network that does what a test says.

True time passes in one queue of events. A request is on its way twice: each way takes a while, and either can
be lost; a paused candidate does nothing, whatever arrives. Two kinds of candidate: ours, and one that follows
client-go's rules, which is safe only where its requests and its process are not held up.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import inf

from ecr_operator.election.lease import (
    LEASE_DURATION,
    RENEW_DEADLINE,
    RETRY_PERIOD,
    Action,
    ElectorState,
    LeaseRecord,
    patience,
)

REQUEST_LIMIT = 4.0
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Trip:
    """What becomes of one request: seconds each way, and which way is lost."""

    out: float = 0.01
    back: float = 0.01
    lost: str = ""


class Lease:
    """The API server's one Lease."""

    def __init__(self) -> None:
        self.record: LeaseRecord | None = None
        self._versions = itertools.count(1)

    def write(self, record: LeaseRecord) -> LeaseRecord | None:
        """Store the record if it names the present version; None for a conflict."""
        present = self.record.version if self.record else ""
        if record.version != present:
            return None
        self.record = replace(record, version=str(next(self._versions)))
        return self.record


class Election:
    """The candidates, the Lease and the network.

    Attributes:
        now: true time in seconds.
        trips: what becomes of the next requests of our candidates; all goes well when it has run out.
    """

    def __init__(self, trips: Iterator[Trip]) -> None:
        self.now = 0.0
        self.lease = Lease()
        self.trips = trips
        self.candidates: list[Ours | ClientGo] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Have something happen in that much true time."""
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), event))

    def run(self, until: float) -> None:
        """Let time pass, and check after each event that at most one believes."""
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
            leaders = self.leaders()
            assert len(leaders) <= 1, f"two lead at {self.now}: {leaders}"
        self.now = until

    def leaders(self) -> list[str]:
        """Who believes to lead now."""
        return [each.identity for each in self.candidates if each.leads()]


class Ours:
    """A process of ours: the candidacy and the loop around it.

    Args:
        election: which it takes part in.
        identity: its name.
        offset: by which its clocks are off, in seconds.
        rate: seconds of its clock in a true second.
    """

    def __init__(self, election: Election, identity: str, offset: float = 0.0, rate: float = 1.0) -> None:
        self.identity = identity
        self._election = election
        self._offset = offset
        self._rate = rate
        self._paused_until = 0.0
        self._gone = False
        self._request = 0
        self._luck = itertools.cycle((0.0, 0.7, 0.3, 1.0))
        self._candidacy = ElectorState(identity)
        election.candidates.append(self)
        election.after(0.0, self._go_on)

    def leads(self) -> bool:
        """Whether it would begin to write if it ran at this moment."""
        return not self._gone and self._candidacy.leads(self._clock())

    def pause(self, seconds: float) -> None:
        """SIGSTOP, for that long."""
        self._paused_until = max(self._paused_until, self._election.now + seconds)

    def stop(self, *, release: bool) -> None:
        """End it by SIGTERM, which releases, or by SIGKILL."""
        if self._gone:
            return
        self._candidacy.resign()
        farewell = self._candidacy.farewell(self._wall())
        self._gone = True
        if release and farewell:
            trip = next(self._election.trips, Trip())
            if trip.lost != "out":
                self._election.after(trip.out, lambda: _ignore(self._election.lease.write(farewell)))

    def _clock(self) -> float:
        return self._offset + self._election.now * self._rate

    def _wall(self) -> datetime:
        return _EPOCH + timedelta(seconds=self._clock())

    def _when_awake(self, event: Callable[[], None]) -> None:
        if self._gone:
            return
        if (left := self._paused_until - self._election.now) > 0:
            self._election.after(left, lambda: self._when_awake(event))
        else:
            event()

    def _later(self, seconds: float, event: Callable[[], None]) -> None:
        """Have something happen in seconds of its own clock."""
        self._election.after(seconds / self._rate, lambda: self._when_awake(event))

    def _go_on(self) -> None:
        move, seconds = self._candidacy.next_action(self._clock())
        if move is Action.WAIT:
            self._later(seconds + 1e-6, self._go_on)
        elif move is Action.LOOK:
            self._ask(lambda: self._election.lease.record, self._has_seen)
        else:
            draft = self._candidacy.draft(self._clock(), self._wall())
            self._ask(lambda: self._election.lease.write(draft), self._has_written)

    def _ask(
        self,
        serve: Callable[[], LeaseRecord | None],
        answered: Callable[[LeaseRecord | None, float], None],
    ) -> None:
        self._request += 1
        number, begun, trip = self._request, self._clock(), next(self._election.trips, Trip())

        def arrive() -> None:
            answer = serve()
            if trip.lost != "back":
                self._election.after(trip.back, lambda: self._when_awake(lambda: come_back(answer)))

        def come_back(answer: LeaseRecord | None) -> None:
            if self._request == number:
                self._request += 1
                answered(answer, begun)
                self._go_on()

        def give_up() -> None:
            if self._request == number:
                self._request += 1
                self._candidacy.failed(begun, self._clock(), patience(next(self._luck)))
                self._go_on()

        if trip.lost != "out":
            self._election.after(trip.out, arrive)
        self._later(REQUEST_LIMIT, give_up)

    def _has_seen(self, record: LeaseRecord | None, _: float) -> None:
        self._candidacy.saw(record, self._clock(), patience(next(self._luck)))

    def _has_written(self, stored: LeaseRecord | None, begun: float) -> None:
        if stored is None or not self._candidacy.wrote(stored):
            self._candidacy.failed(begun, self._clock(), patience(next(self._luck)))


class ClientGo:
    """A candidate by client-go's rules, as v0.6.0 is one; its requests take 10 ms, and `losing` are lost.

    It reads the Lease before each write, notes by its own clock when it last saw it change, takes one without
    a holder at once, and counts its deadline anew from each round of renewals.
    """

    def __init__(self, election: Election, identity: str, losing: Iterator[bool]) -> None:
        self.identity = identity
        self._election = election
        self._losing = losing
        self._observed: LeaseRecord | None = None
        self._observed_at = 0.0
        self._believed_until = -inf
        self._luck = itertools.cycle((0.1, 0.9, 0.5))
        election.candidates.append(self)
        election.after(0.0, self._try)

    def leads(self) -> bool:
        """Whether it writes at this moment."""
        return self._election.now < self._believed_until

    def _try(self) -> None:
        was_leader = self._believed_until > -inf
        if was_leader and not self.leads():
            return  # as a process that has lost its lease ends
        if self._acquire_or_renew():
            self._believed_until = self._election.now + RETRY_PERIOD + RENEW_DEADLINE
        wait = RETRY_PERIOD if was_leader else RETRY_PERIOD * (1 + 1.2 * next(self._luck))
        self._election.after(wait, self._try)

    def _acquire_or_renew(self) -> bool:
        now, record = self._election.now, self._election.lease.record
        wall = _EPOCH + timedelta(seconds=now)
        if next(self._losing, False):
            return False
        if record is None:
            fresh = LeaseRecord(holder=self.identity, acquired_at=wall, renewed_at=wall)
            return self._write(fresh)
        if self._observed != record:
            self._observed, self._observed_at = record, now
        ours = record.holder == self.identity
        if record.holder and not ours and self._observed_at + record.duration > now:
            return False
        return self._write(
            replace(
                record,
                holder=self.identity,
                duration=LEASE_DURATION,
                renewed_at=wall,
                transitions=record.transitions + (not ours),
            )
        )

    def _write(self, record: LeaseRecord) -> bool:
        self._observed, self._observed_at = self._election.lease.write(record), self._election.now
        return self._observed is not None and not next(self._losing, False)


def _ignore(_: object) -> None:
    pass
