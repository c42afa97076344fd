"""An election in memory: candidates with clocks of their own, and a network with the faults of a test.

True time passes in one queue of events. A request takes time each way, and is lost on either; a paused
candidate does nothing, whatever arrives. Two kinds of candidate: ours, and one that follows client-go's
rules, which is safe only where its requests and its process are not held up.
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
    retry_delay,
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
    """The candidates, the Lease and the network."""

    def __init__(self, trips: Iterator[Trip]) -> None:
        self.now = 0.0  # true time in seconds
        self.lease = Lease()
        self.trips = trips  # of the next requests of ours; all goes well when it has run out
        self.candidates: list[Ours | ClientGo] = []
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, event: Callable[[], object]) -> None:
        """Have something happen in that much true time."""
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), event))

    def run(self, until: float) -> None:
        """Let time pass, and check after each event that at most one leads."""
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
            leaders = self.leaders()
            assert len(leaders) <= 1, f"two lead at {self.now}: {leaders}"
        self.now = until

    def leaders(self) -> list[str]:
        """Who considers itself leader now."""
        return [each.identity for each in self.candidates if each.is_leader()]


class Ours:
    """A process of ours: the elector's state and a loop around it."""

    def __init__(self, election: Election, identity: str, offset: float = 0.0, rate: float = 1.0) -> None:
        self.identity = identity
        self._election = election
        self._offset = offset  # of its clocks, in seconds
        self._rate = rate  # seconds of its clock in a true second
        self._paused_until = 0.0
        self._ended = False
        self._request = 0
        self._jitter = itertools.cycle((0.0, 0.7, 0.3, 1.0))
        self._state = ElectorState(identity)
        election.candidates.append(self)
        election.after(0.0, self._act)

    def is_leader(self) -> bool:
        """Whether it would begin to write if it ran at this moment."""
        return not self._ended and self._state.is_leader(self._clock())

    def pause(self, seconds: float) -> None:
        """SIGSTOP, for that long."""
        self._paused_until = max(self._paused_until, self._election.now + seconds)

    def stop(self, *, release: bool) -> None:
        """End it by SIGTERM, which releases, or by SIGKILL."""
        if self._ended:
            return
        self._ended = True
        record = self._state.release(self._wall())
        trip = next(self._election.trips, Trip())
        if release and record and trip.lost != "out":
            self._election.after(trip.out, lambda: self._election.lease.write(record))

    def _clock(self) -> float:
        return self._offset + self._election.now * self._rate

    def _wall(self) -> datetime:
        return _EPOCH + timedelta(seconds=self._clock())

    def _when_awake(self, event: Callable[[], None]) -> None:
        if self._ended:
            return
        if (left := self._paused_until - self._election.now) > 0:
            self._election.after(left, lambda: self._when_awake(event))
        else:
            event()

    def _later(self, seconds: float, event: Callable[[], None]) -> None:
        """Have something happen in seconds of its own clock."""
        self._election.after(seconds / self._rate, lambda: self._when_awake(event))

    def _act(self) -> None:
        action, seconds = self._state.next_action(self._clock())
        if action is Action.WAIT:
            self._later(seconds + 1e-6, self._act)
        elif action is Action.READ:
            self._ask(lambda: self._election.lease.record, self._on_read)
        else:
            record = self._state.acquire_or_renew(self._clock(), self._wall())
            self._ask(lambda: self._election.lease.write(record), self._on_written)

    def _ask(
        self, serve: Callable[[], LeaseRecord | None], answered: Callable[[LeaseRecord | None, float], None]
    ) -> None:
        self._request += 1
        number, begun, trip = self._request, self._clock(), next(self._election.trips, Trip())

        def end(event: Callable[[], None]) -> None:
            # Whichever comes first, the answer or the end of patience.
            if self._request == number:
                self._request += 1
                event()
                self._act()

        def arrive() -> None:
            answer = serve()
            if trip.lost != "back":
                come_back = lambda: end(lambda: answered(answer, begun))  # noqa: E731 - one of three
                self._election.after(trip.back, lambda: self._when_awake(come_back))

        if trip.lost != "out":
            self._election.after(trip.out, arrive)
        self._later(REQUEST_LIMIT, lambda: end(lambda: self._on_failed(begun)))

    def _on_read(self, record: LeaseRecord | None, _: float) -> None:
        self._state.on_read(record, self._clock(), retry_delay(next(self._jitter)))

    def _on_written(self, stored: LeaseRecord | None, begun: float) -> None:
        if stored is None or not self._state.on_written(stored):
            self._on_failed(begun)

    def _on_failed(self, begun: float) -> None:
        self._state.on_failed(begun, self._clock(), retry_delay(next(self._jitter)))


class ClientGo:
    """A candidate by client-go's rules, such as v0.6.0; its requests take no time, and `losing` are lost.

    It reads the Lease before each write, notes by its own clock when it last saw it change, acquires one
    without a holder at once, and counts its deadline anew from each round of renewals.
    """

    def __init__(self, election: Election, identity: str, losing: Iterator[bool]) -> None:
        self.identity = identity
        self._election = election
        self._losing = losing
        self._observed: LeaseRecord | None = None
        self._observed_at = 0.0
        self._leads_until = -inf
        self._jitter = itertools.cycle((0.1, 0.9, 0.5))
        election.candidates.append(self)
        election.after(0.0, self._try)

    def is_leader(self) -> bool:
        """Whether it writes at this moment."""
        return self._election.now < self._leads_until

    def _try(self) -> None:
        was_leader = self._leads_until > -inf
        if was_leader and not self.is_leader():
            return  # as a process that has lost its lease ends
        if self._try_acquire_or_renew():
            self._leads_until = self._election.now + RETRY_PERIOD + RENEW_DEADLINE
        wait = RETRY_PERIOD if was_leader else RETRY_PERIOD * (1 + 1.2 * next(self._jitter))
        self._election.after(wait, self._try)

    def _try_acquire_or_renew(self) -> bool:
        now, record = self._election.now, self._election.lease.record
        wall = _EPOCH + timedelta(seconds=now)
        if next(self._losing, False):
            return False
        if record is None:
            return self._write(LeaseRecord(holder=self.identity, acquire_time=wall, renew_time=wall))
        if self._observed != record:
            self._observed, self._observed_at = record, now
        ours = record.holder == self.identity
        if record.holder and not ours and self._observed_at + record.duration > now:
            return False
        transitions = record.transitions + (not ours)
        mine = replace(record, holder=self.identity, duration=LEASE_DURATION, renew_time=wall)
        return self._write(replace(mine, transitions=transitions))

    def _write(self, record: LeaseRecord) -> bool:
        self._observed, self._observed_at = self._election.lease.write(record), self._election.now
        return self._observed is not None and not next(self._losing, False)
