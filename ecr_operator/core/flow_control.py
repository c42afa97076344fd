"""Flow control of the calls to AWS: which source is called next, and how soon after a drop.

Guarantees:
- namespaces that wait start calls in turn, one each, and within a namespace its regions do;
- a namespace that has calls under way leaves the reserve to those that have none;
- regions that the SDK does not list have a lane of their own, so they can't crowd out those that it lists;
- in that lane a namespace has a third as many calls under way as there are slots, at most, with or without a
  slot: each may hold one of the few threads that look up names for as long as a name server is slow;
- a call without an answer after SLOW seconds gives its slot back, and a region that has not answered holds
  one call of each namespace, so regions that hang delay no other;
- after tokens were dropped an identity and region are called once a second at most and ten times in five
  minutes, beyond that at the usual interval of their tokens; this limit ends five minutes after the last
  drop, and forms of one region (FIPS) count as one.

Leaves out: making the call, and what comes of it (tokens).
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ecr_operator.api.identity import Identity
from ecr_operator.api.token import TokenSource
from ecr_operator.core.indexes import count_down

SLOW: Final = 1.9  # seconds
_LISTED_SLOTS: Final = 80
_OTHER_SLOTS: Final = 24
_MOST_OTHERS_OF_ONE: Final = _OTHER_SLOTS // 3
_SHARE_OF_RESERVE: Final = 4
_REMEMBERED: Final = 256
WINDOW: Final = 300.0  # seconds
_CALLS_IN_WINDOW: Final = 10
# A call may reach AWS late; the next one must still come a second after it.
_DISTANCE: Final = 1.25


@dataclass(frozen=True, slots=True)
class _Call:
    namespace: str
    region: str
    started_at: float


_Waiting = OrderedDict[str, OrderedDict[TokenSource, None]]
"""The sources that a namespace waits for, by region, in the order of their turns."""


class _Lane:
    """Slots, the calls that have one, and the sources that wait for one.

    Args:
        slots: how many there are.
        most_of_one: how many calls of one namespace may be under way; None for any number.
    """

    def __init__(self, slots: int, most_of_one: int | None = None) -> None:
        self.slots = slots
        self.most_of_one = most_of_one
        self.waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self.calls: dict[TokenSource, _Call] = {}
        # Those of the calls that have a slot, in the order of their start.
        self.in_slots: OrderedDict[TokenSource, _Call] = OrderedDict()
        self.slots_of: Counter[str] = Counter()
        # Calls of a namespace, with a slot or without, and of a namespace to a region.
        self.under_way: Counter[str] = Counter()
        self.calls_in: Counter[tuple[str, str]] = Counter()

    @property
    def free(self) -> int:
        return self.slots - len(self.in_slots)

    def add(self, source: TokenSource, namespace: str) -> None:
        waiting = self.waiting.setdefault(namespace, OrderedDict())
        waiting.setdefault(source.plain_region, OrderedDict())[source] = None

    def remove(self, source: TokenSource, namespace: str) -> None:
        waiting = self.waiting.get(namespace)
        if waiting is None or (sources := waiting.get(source.plain_region)) is None:
            return
        sources.pop(source, None)
        if not sources:
            del waiting[source.plain_region]
        if not waiting:
            del self.waiting[namespace]

    def begin(self, source: TokenSource, namespace: str, now: float) -> None:
        call = _Call(namespace, source.plain_region, now)
        self.calls[source] = self.in_slots[source] = call
        self.slots_of[namespace] += 1
        self.under_way[namespace] += 1
        self.calls_in[namespace, call.region] += 1

    def end(self, source: TokenSource) -> _Call:
        call = self.calls.pop(source)
        self.give_back(source)
        count_down(self.under_way, call.namespace)
        count_down(self.calls_in, (call.namespace, call.region))
        return call

    def give_back(self, source: TokenSource) -> None:
        """Free a call's slot, unless it has none any more."""
        if call := self.in_slots.pop(source, None):
            count_down(self.slots_of, call.namespace)

    def give_back_slow(self, slow_since: float) -> None:
        while self.in_slots:
            source, call = next(iter(self.in_slots.items()))
            if call.started_at > slow_since:
                return
            self.give_back(source)

    def has_slot_for(self, namespace: str) -> bool:
        if self.most_of_one is not None and self.under_way[namespace] >= self.most_of_one:
            return False
        reserve = self.slots // _SHARE_OF_RESERVE if self.slots_of[namespace] else 0
        return self.free > reserve


class FlowControl:
    """Decides when a source is called.

    Args:
        is_listed: whether the SDK lists a region.
        monotonic: seconds that never step.
        start: calls a source, and calls `ended` afterwards; False if no resource waits for it any more.
    """

    def __init__(
        self,
        is_listed: Callable[[str], bool],
        monotonic: Callable[[], float],
        start: Callable[[TokenSource], bool],
    ) -> None:
        self._is_listed = is_listed
        self._monotonic = monotonic
        self._start = start
        self._listed, self._others = _Lane(_LISTED_SLOTS), _Lane(_OTHER_SLOTS, _MOST_OTHERS_OF_ONE)
        self._answered: OrderedDict[str, None] = OrderedDict()

    @property
    def any_waiting(self) -> bool:
        """Whether any namespace waits for its turn."""
        return bool(self._listed.waiting or self._others.waiting)

    def request(self, source: TokenSource, namespace: str) -> None:
        """Have a source called in a namespace's turn; requesting it again changes nothing."""
        lane = self._lane(source)
        if source not in lane.calls:
            lane.add(source, namespace)
            self._start_next(lane)

    def withdraw(self, source: TokenSource, namespace: str) -> None:
        """Take back a request that has not been started."""
        self._lane(source).remove(source, namespace)

    def ended(self, source: TokenSource, *, cancelled: bool = False) -> None:
        """A call is over, by its answer or because it was cancelled."""
        lane = self._lane(source)
        call = lane.end(source)
        # Any answer in time shows that the region does not hang. A call cancelled early shows nothing.
        is_slow = self._monotonic() - call.started_at >= SLOW
        if is_slow or not cancelled:
            self._note(call.region, answers=not is_slow)
        self._start_next(lane)

    def start_waiting(self) -> None:
        """Start the calls that are allowed by now; call it about twice a second while any wait."""
        for lane in (self._listed, self._others):
            self._start_next(lane)

    def _lane(self, source: TokenSource) -> _Lane:
        return self._listed if self._is_listed(source.plain_region) else self._others

    def _start_next(self, lane: _Lane) -> None:
        lane.give_back_slow(self._monotonic() - SLOW)
        passed_over = 0
        while passed_over < len(lane.waiting) and lane.free:
            namespace, waiting = next(iter(lane.waiting.items()))
            lane.waiting.move_to_end(namespace)
            source = self._choose(lane, namespace, waiting)
            if source is None:
                passed_over += 1
                continue
            passed_over = 0
            lane.remove(source, namespace)
            if source not in lane.calls and self._start(source):
                lane.begin(source, namespace, self._monotonic())

    def _choose(self, lane: _Lane, namespace: str, waiting: _Waiting) -> TokenSource | None:
        """A source that may be called for the namespace now; its region gets its next turn last."""
        if not lane.has_slot_for(namespace):
            return None
        for region, sources in waiting.items():
            if region in self._answered or not lane.calls_in[namespace, region]:
                waiting.move_to_end(region)
                return next(iter(sources))
        return None

    def _note(self, region: str, *, answers: bool) -> None:
        self._answered.pop(region, None)
        if answers:
            self._answered[region] = None
            if len(self._answered) > _REMEMBERED:
                self._answered.popitem(last=False)


_Place = tuple[Identity, str, str]
"""Identity, service and plain region."""


@dataclass(slots=True)
class _DroppedCalls:
    """The last drop and the latest calls, as monotonic seconds, and the usual interval between two calls."""

    dropped_at: float
    interval: float = WINDOW
    starts: deque[float] = field(default_factory=lambda: deque(maxlen=_CALLS_IN_WINDOW))


class DropLimit:
    """Limits the calls of sources that were dropped."""

    def __init__(self) -> None:
        # The one dropped last is last.
        self._calls: OrderedDict[_Place, _DroppedCalls] = OrderedDict()

    def dropped(self, source: TokenSource, now: float, called_at: float, interval: float | None) -> None:
        """Note a drop.

        Args:
            source: whose token or failure is dropped.
            now: monotonic seconds.
            called_at: when it was called last.
            interval: the usual one of its token, in seconds; None if it had none.
        """
        calls = self._calls.setdefault(_place(source), _DroppedCalls(now))
        calls.dropped_at = now
        calls.interval = interval or calls.interval
        if not calls.starts or calls.starts[-1] < called_at:
            calls.starts.append(called_at)
        self._calls.move_to_end(_place(source))
        while self._calls and next(iter(self._calls.values())).dropped_at < now - WINDOW:
            self._calls.popitem(last=False)

    def called(self, source: TokenSource, now: float) -> None:
        """Note a call, if its source was dropped before."""
        if calls := self._calls.get(_place(source)):
            calls.starts.append(now)

    def soonest(self, source: TokenSource, now: float) -> float:
        """When a source may be called, in monotonic seconds; 0 if it was not dropped lately."""
        calls = self._calls.get(_place(source))
        if calls is None or now - calls.dropped_at >= WINDOW:
            return 0.0
        are_many = len(calls.starts) == _CALLS_IN_WINDOW and now - calls.starts[0] < WINDOW
        return calls.starts[-1] + (calls.interval if are_many else _DISTANCE)


def _place(source: TokenSource) -> _Place:
    return source.identity, source.service, source.plain_region
