"""Leader election by a Lease: the state of one candidate and its next action. No I/O, no clock.

Invariant: never two candidates consider themselves leader, whatever their clocks say:
- a leader leads for RENEW_DEADLINE from before the write was sent that acquired or renewed the Lease;
- a candidate acquires the Lease of another only after it has seen one and the same version for the Lease's
  own duration, by its own clock; that begins after the write, and lasts longer than RENEW_DEADLINE;
- every write names the version that it replaces, so that of two only one succeeds.
So clocks may be apart by any time, and as fast or slow as 3 to 2.

A write whose answer was lost is recognised by its renewTime when the Lease is read. client-go's candidates
follow the same rules, and acquire a Lease without a holder at once, as this one does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from math import inf
from typing import Any, Final

# v0.6.0's; it must stay, so that the two never lead together.
LEASE_NAME: Final = "bc9c1120.mobb.redhat.com"
# v0.6.0's, in seconds.
LEASE_DURATION: Final = 15.0
RENEW_DEADLINE: Final = 10.0
RETRY_PERIOD: Final = 2.0
JITTER_FACTOR: Final = 1.2

_RELEASED_DURATION: Final = 1.0  # as client-go writes it
_MAX_PENDING: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """What a Lease says.

    Attributes:
        holder: the identity of the leader; empty when it was released.
        duration: seconds without a change after which another may acquire it.
        acquire_time: when the holder acquired it, by the holder's clock.
        renew_time: when the holder last wrote it, by the holder's clock.
        transitions: how often it changed hands.
        version: the resourceVersion; empty for a Lease that does not exist yet.
        metadata: the rest of the object's metadata, carried along.
    """

    holder: str
    duration: float = LEASE_DURATION
    acquire_time: datetime | None = None
    renew_time: datetime | None = None
    transitions: int = 0
    version: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


class Action(Enum):
    """What a candidate does next."""

    WAIT = auto()
    READ = auto()
    WRITE = auto()


def retry_delay(jitter: float) -> float:
    """Seconds between two reads of a standby, so that candidates don't act in step.

    Spread as client-go's with JITTER_FACTOR, but RETRY_PERIOD is the longest and not the shortest delay: so a
    released Lease is acquired within that time.

    Args:
        jitter: a random number from 0 to 1.
    """
    return RETRY_PERIOD * (1.0 + JITTER_FACTOR * jitter) / (1.0 + JITTER_FACTOR)


class ElectorState:
    """One candidate for the Lease, or its holder.

    Times named `now`, `begun` and `at` are seconds of one steady clock of the process, `wall` is UTC. The
    caller does what `next_action` says, and reports the result by `on_read`, `on_written` or `on_failed`.

    Attributes:
        leads_until: when this process stops to lead, unless it renews before.
    """

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.leads_until = -inf
        self._record: LeaseRecord | None = None
        self._is_holder = False
        # Whether the record is recent enough to be replaced without another read.
        self._may_write = False
        self._expires_at = -inf
        self._next_at = -inf
        # When the writes began whose answer is not known, by their renewTime.
        self._pending: dict[datetime, float] = {}

    @property
    def holder(self) -> str:
        """Who held the Lease when it was last read or written; empty if nobody."""
        return self._record.holder if self._record else ""

    def is_leader(self, now: float) -> bool:
        """Whether this process may act as leader at this very moment."""
        return now < self.leads_until

    def next_action(self, now: float) -> tuple[Action, float]:
        """What to do, and for WAIT for how many seconds."""
        if now < self._next_at:
            return Action.WAIT, self._next_at - now
        return (Action.WRITE if self._may_write else Action.READ), 0.0

    def acquire_or_renew(self, now: float, wall: datetime) -> LeaseRecord:
        """The record to write; from now on it counts as sent."""
        while wall in self._pending:
            wall += timedelta(microseconds=1)
        self._pending[wall] = now
        if len(self._pending) > _MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        self._may_write = False
        old = self._record
        if old is None:
            return LeaseRecord(holder=self.identity, acquire_time=wall, renew_time=wall)
        renewed = replace(old, duration=LEASE_DURATION, renew_time=wall)
        if self._is_holder:
            return renewed
        return replace(renewed, holder=self.identity, acquire_time=wall, transitions=old.transitions + 1)

    def on_written(self, stored: LeaseRecord) -> bool:
        """Note what the server stored; False if that is not the record of the last `acquire_or_renew`."""
        renew_time, begun = next(reversed(self._pending.items()))
        if (stored.holder, stored.renew_time) != (self.identity, renew_time):
            return False
        self._hold(stored, begun)
        self._next_at = begun + RETRY_PERIOD
        return True

    def on_read(self, record: LeaseRecord | None, at: float, wait: float) -> None:
        """Note what the Lease says.

        Args:
            record: as read; None if there is no Lease.
            at: when the answer had arrived: the record may be as young as that.
            wait: seconds to the next read if another holds it.
        """
        if record is None:
            self._on_absent()
        elif record.holder == self.identity and record.renew_time in self._pending:
            self._hold(record, self._pending[record.renew_time])
        elif self._is_unchanged(record):
            self._record = record
        elif self._record is None or record.version != self._record.version:
            self._on_changed(record, at)
        self._may_write = self._is_holder or at >= self._expires_at
        self._next_at = at if self._may_write else min(at + wait, self._expires_at)

    def on_failed(self, begun: float, at: float, wait: float) -> None:
        """Note that a read or write failed, or that its outcome is unknown.

        Args:
            begun: when it began.
            at: when it failed.
            wait: seconds from its beginning to the next read.
        """
        self._may_write = False
        self._next_at = max(at, begun + wait)

    def may_be_holder(self) -> bool:
        """Whether the Lease is this process's, perhaps by a write whose answer was lost."""
        return self._is_holder or bool(self._pending)

    def must_read(self) -> bool:
        """Whether the Lease has to be read before it can be released."""
        return not self._may_write

    def release(self, wall: datetime) -> LeaseRecord | None:
        """The record that releases the Lease, as client-go writes it; None if another holds it."""
        if not self._is_holder or self._record is None:
            return None
        self._may_write = False
        return replace(
            self._record, holder="", duration=_RELEASED_DURATION, acquire_time=wall, renew_time=wall
        )

    def _on_absent(self) -> None:
        """It was deleted, or never created: another holder's time still counts, our own does not."""
        if self._is_holder:
            self._expires_at = -inf
        self._record, self._is_holder = None, False

    def _on_changed(self, record: LeaseRecord, at: float) -> None:
        """Also for an unknown record of our own: a restored etcd brings an old one back."""
        self._record, self._is_holder = record, False
        # They named a version that is past.
        self._pending.clear()
        self.leads_until = -inf
        duration = record.duration if record.duration > 0 else LEASE_DURATION
        self._expires_at = at + duration if record.holder else -inf

    def _is_unchanged(self, record: LeaseRecord) -> bool:
        """Whether we hold it and only its metadata has changed, such as a label."""
        known = self._record if self._is_holder else None
        return known is not None and (known.holder, known.renew_time) == (record.holder, record.renew_time)

    def _hold(self, record: LeaseRecord, begun: float) -> None:
        self._record, self._is_holder, self._may_write = record, True, True
        self._pending.clear()
        self.leads_until = max(self.leads_until, begun + RENEW_DEADLINE)
