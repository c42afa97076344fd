"""Leader election by a Lease: what one candidate knows, believes and does next. No I/O, no clock.

Never two believe that they lead, whatever their clocks say:
- a leader believes for RENEW_DEADLINE from before the write was sent that gave it the Lease or renewed it;
- a candidate takes the Lease of another only after it has seen one and the same version for the Lease's
  own duration, by its own clock; that begins after the write, and lasts longer than the belief;
- every write names the version that it replaces, so that of two only one is done.
So clocks may be apart by any time, and as fast or slow as 3 to 2.

A write whose answer was lost is known again by its renewTime when the Lease is read. client-go's candidates
follow the same rules, and take a Lease without a holder at once, as this one does.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from math import inf
from typing import Any, Final

# v0.6.0's; it must stay, so that never two of either write.
LEASE_NAME: Final = "bc9c1120.mobb.redhat.com"
# v0.6.0's, in seconds.
LEASE_DURATION: Final = 15.0
RENEW_DEADLINE: Final = 10.0
RETRY_PERIOD: Final = 2.0
JITTER_FACTOR: Final = 1.2

_RELEASED_DURATION: Final = 1.0  # as client-go writes it
_MOST_UNANSWERED: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """What a Lease says.

    Attributes:
        holder: the identity that holds it; empty when it was released.
        duration: seconds without a change after which it may be taken.
        acquired_at: when the holder got it, by the holder's clock.
        renewed_at: when the holder last wrote it, by the holder's clock.
        transitions: how often it changed hands.
        version: the resourceVersion; empty for a Lease that does not exist yet.
        metadata: the rest of the object's metadata, carried along.
    """

    holder: str
    duration: float = LEASE_DURATION
    acquired_at: datetime | None = None
    renewed_at: datetime | None = None
    transitions: int = 0
    version: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


class Action(Enum):
    """What to do next."""

    WAIT = auto()
    LOOK = auto()
    WRITE = auto()


@dataclass(frozen=True, slots=True)
class _Sent:
    stamp: datetime
    begun: float


def patience(luck: float) -> float:
    """Seconds between two looks of a standby, so that candidates don't act in step.

    Spread as client-go's with JITTER_FACTOR, but RETRY_PERIOD is the longest and not the shortest: so a Lease
    that was released is taken within that time.

    Args:
        luck: a random number from 0 to 1.
    """
    return RETRY_PERIOD * (1.0 + JITTER_FACTOR * luck) / (1.0 + JITTER_FACTOR)


class ElectorState:
    """One process that wants the Lease, or has it.

    Times named `now`, `begun` and `at` are seconds of one steady clock of the process, `wall` is UTC. The
    caller does what `next_action` says, and tells how it went by `saw`, `wrote` or `failed`.
    """

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self._record: LeaseRecord | None = None
        self._mine = False
        self._informed = False
        self._free_at = -inf
        self._next_at = -inf
        self._believed_until = -inf
        self._unanswered: deque[_Sent] = deque(maxlen=_MOST_UNANSWERED)

    @property
    def holder(self) -> str:
        """Who held the Lease when it was last read or written; empty if nobody."""
        return self._record.holder if self._record else ""

    def believed_until(self) -> float:
        """The end of the time in which this process leads, unless it renews before."""
        return self._believed_until

    def leads(self, now: float) -> bool:
        """Whether this process may act as leader at this very moment."""
        return now < self._believed_until

    def next_action(self, now: float) -> tuple[Action, float]:
        """What to do, and for WAIT for how many seconds."""
        if now < self._next_at:
            return Action.WAIT, self._next_at - now
        return (Action.WRITE if self._informed else Action.LOOK), 0.0

    def draft(self, now: float, wall: datetime) -> LeaseRecord:
        """The record to write, which counts as sent from now on."""
        while any(sent.stamp == wall for sent in self._unanswered):
            wall += timedelta(microseconds=1)
        self._unanswered.append(_Sent(wall, now))
        self._informed = False
        old = self._record
        if old is None:
            return LeaseRecord(holder=self.identity, acquired_at=wall, renewed_at=wall)
        if self._mine:
            return replace(old, duration=LEASE_DURATION, renewed_at=wall)
        return replace(
            old,
            holder=self.identity,
            duration=LEASE_DURATION,
            acquired_at=wall,
            renewed_at=wall,
            transitions=old.transitions + 1,
        )

    def wrote(self, stored: LeaseRecord) -> bool:
        """Note that the server has stored the last draft; False if that is not what it stored."""
        sent = self._unanswered[-1]
        if (stored.holder, stored.renewed_at) != (self.identity, sent.stamp):
            return False
        self._hold(stored, sent)
        self._next_at = sent.begun + RETRY_PERIOD
        return True

    def saw(self, record: LeaseRecord | None, at: float, wait: float) -> None:
        """Note what the Lease says.

        Args:
            record: as read; None if there is no Lease.
            at: when the answer was there: the record may be as young as that.
            wait: seconds to the next look if another holds it.
        """
        if record is None:
            self._saw_none()
        elif sent := self._known_again(record):
            self._hold(record, sent)
        elif self._is_as_we_left_it(record):
            self._record = record
        elif self._record is None or record.version != self._record.version:
            self._saw_other(record, at)
        self._informed = self._mine or at >= self._free_at
        self._next_at = at if self._informed else min(at + wait, self._free_at)

    def failed(self, begun: float, at: float, wait: float) -> None:
        """Note that looking or writing failed, or that its outcome is not known.

        Args:
            begun: when it began.
            at: when it failed.
            wait: seconds from its beginning to the next look.
        """
        self._informed = False
        self._next_at = max(at, begun + wait)

    def resign(self) -> None:
        """Lead no more, from now on."""
        self._believed_until = -inf

    def may_hold(self) -> bool:
        """Whether the Lease is this process's, or may be by a write whose answer is not known."""
        return self._mine or bool(self._unanswered)

    def must_read(self) -> bool:
        """Whether the Lease has to be read before it can be released."""
        return not self._informed

    def farewell(self, wall: datetime) -> LeaseRecord | None:
        """The record that releases the Lease, as client-go writes it; None if it is not this process's."""
        if not self._mine or self._record is None:
            return None
        self._informed = False
        return replace(
            self._record, holder="", duration=_RELEASED_DURATION, acquired_at=wall, renewed_at=wall
        )

    def _saw_none(self) -> None:
        """Somebody deleted it, or it never was: the time that the last holder was given still counts."""
        if self._mine:
            self._free_at = -inf
        self._record, self._mine = None, False

    def _saw_other(self, record: LeaseRecord, at: float) -> None:
        """Also a record of our own that we don't know: with a restored etcd an old one comes back."""
        self._record, self._mine = record, False
        # They named a version that is past.
        self._unanswered.clear()
        self._believed_until = -inf
        self._free_at = at + (record.duration if record.duration > 0 else LEASE_DURATION)
        if not record.holder:
            self._free_at = -inf

    def _known_again(self, record: LeaseRecord) -> _Sent | None:
        if record.holder != self.identity:
            return None
        return next((sent for sent in self._unanswered if sent.stamp == record.renewed_at), None)

    def _is_as_we_left_it(self, record: LeaseRecord) -> bool:
        """Whether only its metadata has changed, which somebody may have labelled."""
        known = self._record if self._mine else None
        return known is not None and (known.holder, known.renewed_at) == (record.holder, record.renewed_at)

    def _hold(self, record: LeaseRecord, sent: _Sent) -> None:
        self._record, self._mine, self._informed = record, True, True
        self._unanswered.clear()
        self._believed_until = max(self._believed_until, sent.begun + RENEW_DEADLINE)
