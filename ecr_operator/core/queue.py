"""The priority queue: which key is due next.

Guarantees:
- a key stands in it at most once, at its earliest time;
- a key is never with two workers: what falls due while it is being worked on waits for `done`;
- due keys are handed out in rounds: each round serves one key of each group, the one nearest to expiry, and
  goes by expiry; so no group waits for more than one key of each other one;
- a group that has keys in hand gets no more once only the reserve is free, so others find a worker;
- a key that is in hand for long, since its requests hang, is set aside: another worker takes the place; a
  group whose keys hang leaves some of these places to others;
- once closed it hands out nothing any more;
- a step of the wall clock forward brings UTC deadlines forward, a step back delays nothing.

A heap with stale entries, which are skipped when they come up and pruned when they outnumber the live.
Rejected: a task or a timer per key, which at 10,000 keys costs more memory than all the rest.
"""

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from ecr_operator.core.ports import Clock

# Waits are short, so that a step of the wall clock is noticed while nothing else happens.
_LONGEST_WAIT = 5.0
_STEP = 1.0
_STALE_SLACK = 64
_SHARE_OF_RESERVE = 4
# A key that is in hand for so many seconds is set aside, but only so many at once, since connections are
# bounded.
_LONG = 2.0
_MOST_ASIDE = 32
# A group may have so many times as many aside as are still free: the first 24, the second 6.
_SHARE_OF_ASIDE = 3
# Seconds: what expires within them comes before what has no expiry.
_PATIENCE = 10.0

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Due(Generic[K]):
    """A key that is due; `by_deadline` because of a UTC deadline, not of an event or a retry."""

    key: K
    by_deadline: bool


@dataclass(slots=True)
class _Entry:
    at: float
    utc: datetime | None
    arrival: int = 0


class DeadlineQueue(Generic[K]):
    """Keys with a time each; workers `get` what is due and call `done`, as those of `run` do.

    Args:
        clock: gives both times.
        workers: how many keys may be in hand at once, beside those set aside; a quarter is the reserve.
        group: of a key; groups share the workers fairly.
        expires_at: when what a key stands for expires, UTC; None counts as a few seconds after it was due.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        workers: int = 16,
        group: Callable[[K], str] = lambda _: "",
        expires_at: Callable[[K], datetime | None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._limit = workers - workers // _SHARE_OF_RESERVE
        self._group = group
        self._expires_at = expires_at
        self._entries: dict[K, _Entry] = {}
        # Not due yet: (time, arrival, key). Due: by group, and those of the present round, by urgency.
        self._heap: list[tuple[float, int, K]] = []
        self._ready: dict[str, list[tuple[float, int, K]]] = {}
        self._round: list[tuple[float, int, K]] = []
        # In hand, the longest first: since when, in monotonic seconds. Those set aside are no group's.
        self._busy: dict[K, float] = {}
        self._aside: set[K] = set()
        self._held: Counter[str] = Counter()
        self._arrivals = itertools.count()
        self._changed = asyncio.Event()
        self._returned = asyncio.Event()
        self._closed = False
        self._turn = asyncio.Lock()
        self._offset = self._wall_offset()

    def __len__(self) -> int:
        return len(self._entries)

    def schedule_at(self, key: K, utc: datetime) -> None:
        """Have the key come up at that time, or earlier if it was to already."""
        delay = (utc - self._clock.now()).total_seconds()
        self._put(key, _Entry(self._clock.monotonic() + max(delay, 0.0), utc))

    def waiting(self) -> int:
        """How many keys are due and wait for a worker."""
        now = self._clock.monotonic()
        return sum(entry.at <= now and key not in self._busy for key, entry in self._entries.items())

    def schedule_in(self, key: K, seconds: float) -> None:
        """Have the key come up after that many seconds, or earlier if it was to already."""
        self._put(key, _Entry(self._clock.monotonic() + seconds, None))

    def schedule_now(self, key: K) -> None:
        """Have the key come up at once, because something happened."""
        self._put(key, _Entry(self._clock.monotonic(), None))

    def remove(self, key: K) -> None:
        """Drop the key's time; what a worker is doing with it goes on."""
        self._entries.pop(key, None)

    async def run(self, workers: int, handle: Callable[[Due[K]], Awaitable[None]]) -> None:
        """Have so many workers handle what is due, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._work(handle), name=f"worker {number}")
            while True:
                await self._clock.sleep(_LONG / 2)
                for _ in range(self.set_aside()):
                    group.create_task(self._work(handle), name="worker in place of another")

    async def _work(self, handle: Callable[[Due[K]], Awaitable[None]]) -> None:
        while True:
            due = await self.get()
            try:
                await handle(due)
            finally:
                is_replaced = self.done(due.key)
            if is_replaced:
                return
            # What needs no request would otherwise occupy the loop.
            await asyncio.sleep(0)

    async def get(self) -> Due[K]:
        """Wait for the next due key; it is the caller's until `done`."""
        # One waiter watches the heap, the others queue behind it: no herd, and no wake-up gets lost.
        async with self._turn:
            while True:
                self._changed.clear()
                key, wait = self._next()
                if key is not None:
                    entry = self._entries.pop(key)
                    self._busy[key] = self._clock.monotonic()
                    self._held[self._group(key)] += 1
                    return Due(key, entry.utc is not None)
                await self._wait(wait)

    def done(self, key: K) -> bool:
        """Give the key back; what was scheduled meanwhile comes up.

        Returns:
            Whether it was set aside: then another worker has the place of this one.
        """
        was_aside = key in self._aside
        del self._busy[key]
        self._aside.discard(key)
        self._returned.set()
        if not was_aside:
            self._release(self._group(key))
        if (entry := self._entries.get(key)) is not None:
            self._push(key, entry)
        self._changed.set()
        return was_aside

    def set_aside(self) -> int:
        """Set keys aside that are in hand for long; returns how many workers may take their places."""
        latest = self._clock.monotonic() - _LONG
        slow = [key for key, since in self._busy.items() if since <= latest and key not in self._aside]
        return sum(self._set_aside(key) for key in slow)

    def _set_aside(self, key: K) -> bool:
        group = self._group(key)
        has = sum(self._group(each) == group for each in self._aside)
        if has >= _SHARE_OF_ASIDE * (_MOST_ASIDE - len(self._aside)):
            return False
        self._aside.add(key)
        self._release(group)
        self._changed.set()
        return True

    def close(self) -> None:
        """Hand nothing out from now on; what is being worked on may be finished."""
        self._closed = True

    async def idle(self) -> None:
        """Wait until every key that was handed out is back."""
        while self._busy:
            self._returned.clear()
            await self._returned.wait()

    def _put(self, key: K, entry: _Entry) -> None:
        present = self._entries.get(key)
        if present is not None and present.at <= entry.at:
            return
        entry.arrival = next(self._arrivals)
        self._entries[key] = entry
        if key not in self._busy:
            self._push(key, entry)

    def _push(self, key: K, entry: _Entry) -> None:
        heapq.heappush(self._heap, (entry.at, entry.arrival, key))
        if len(self._heap) > 2 * len(self._entries) + _STALE_SLACK:
            self._rebuild()
        self._changed.set()

    def _next(self) -> tuple[K | None, float]:
        """The next key, or none and the seconds to wait."""
        self._follow_wall_clock()
        if self._closed:
            return None, _LONGEST_WAIT
        wait = self._collect_due()
        key = self._from_round()
        if key is None and self._ready:
            self._begin_round()
            key = self._from_round()
        return key, wait

    def _collect_due(self) -> float:
        """Move what is due from the heap to its group, and return the seconds until the next may be."""
        now = self._clock.monotonic()
        while self._heap:
            at, arrival, key = self._heap[0]
            if not self._is_current(arrival, key):
                heapq.heappop(self._heap)
            elif at > now:
                return min(at - now, _LONGEST_WAIT)
            else:
                heapq.heappop(self._heap)
                ready = self._ready.setdefault(self._group(key), [])
                heapq.heappush(ready, (self._urgency(key, at), arrival, key))
        return _LONGEST_WAIT

    def _urgency(self, key: K, at: float) -> float:
        """When what the key stands for expires, in monotonic seconds; without an expiry, a few seconds on."""
        expires_at = self._expires_at(key)
        return at + _PATIENCE if expires_at is None else expires_at.timestamp() - self._offset

    def _from_round(self) -> K | None:
        while self._round:
            urgency, arrival, key = heapq.heappop(self._round)
            if not self._is_current(arrival, key):
                continue
            if self._may_get(self._group(key)):
                return key
            heapq.heappush(self._ready.setdefault(self._group(key), []), (urgency, arrival, key))
        return None

    def _begin_round(self) -> None:
        """Take one key of each group that may have a worker."""
        for group in [group for group in self._ready if self._may_get(group)]:
            waiting = self._ready[group]
            while waiting:
                item = heapq.heappop(waiting)
                if self._is_current(item[1], item[2]):
                    heapq.heappush(self._round, item)
                    break
            if not waiting:
                del self._ready[group]

    def _may_get(self, group: str) -> bool:
        return not self._held[group] or len(self._busy) - len(self._aside) < self._limit

    def _release(self, group: str) -> None:
        self._held[group] -= 1
        if self._held[group] <= 0:
            del self._held[group]

    def _is_current(self, arrival: int, key: K) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry.arrival == arrival and key not in self._busy

    async def _wait(self, seconds: float) -> None:
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((sleep, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            changed.cancel()

    def _follow_wall_clock(self) -> None:
        offset = self._wall_offset()
        if offset - self._offset > _STEP:
            self._bring_forward()
        self._offset = offset

    def _bring_forward(self) -> None:
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        for entry in self._entries.values():
            if entry.utc is not None:
                entry.at = min(entry.at, monotonic + max((entry.utc - wall).total_seconds(), 0.0))
        self._rebuild()

    def _rebuild(self) -> None:
        self._ready.clear()
        self._round.clear()
        self._heap = [
            (entry.at, entry.arrival, key) for key, entry in self._entries.items() if key not in self._busy
        ]
        heapq.heapify(self._heap)

    def _wall_offset(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()
