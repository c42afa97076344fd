"""How soon AWS may be asked again after tokens were dropped, so that drops can't be used to hammer it.

Guarantee: after a drop an identity and region are asked once a second at most and ten times in five minutes;
beyond that at the usual interval of their tokens. The bound ends five minutes after the last drop. Forms of
one region (FIPS) count as one.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from ecr_operator.api.identity import Identity
from ecr_operator.api.token import TokenSource

WINDOW: Final = 300.0  # seconds
_CALLS_IN_WINDOW: Final = 10
# A call may reach AWS late, and the next one must keep its distance all the same.
_DISTANCE: Final = 1.25

_Place = tuple[Identity, str, str]


@dataclass(slots=True)
class _Calls:
    """The last drop and the latest calls, as monotonic seconds, and the usual interval between two calls."""

    dropped_at: float
    interval: float = WINDOW
    starts: deque[float] = field(default_factory=lambda: deque(maxlen=_CALLS_IN_WINDOW))


class DropBounds:
    """The calls of sources that were dropped."""

    def __init__(self) -> None:
        # The one dropped last is last.
        self._calls: OrderedDict[_Place, _Calls] = OrderedDict()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._calls)

    def dropped(self, source: TokenSource, now: float, called_at: float, interval: float | None) -> None:
        """Note a drop.

        Args:
            source: whose token or failure is dropped.
            now: monotonic seconds.
            called_at: when it was asked last.
            interval: the usual one of its token, in seconds; None if it had none.
        """
        calls = self._calls.setdefault(_place(source), _Calls(now))
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
        """When a source may be asked, in monotonic seconds; 0 if it was not dropped lately."""
        calls = self._calls.get(_place(source))
        if calls is None or now - calls.dropped_at >= WINDOW:
            return 0.0
        are_many = len(calls.starts) == _CALLS_IN_WINDOW and now - calls.starts[0] < WINDOW
        return calls.starts[-1] + (calls.interval if are_many else _DISTANCE)


def _place(source: TokenSource) -> _Place:
    return source.identity, source.service, source.plain_region
