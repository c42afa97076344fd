"""Fights over an object: won back at once, then at a bounded rate."""

from collections import deque
from collections.abc import Hashable
from typing import Final

from ecr_operator.core.ports import Clock

_WINDOW: Final = 60.0
_AT_ONCE: Final = 6
_PRUNE_SLACK: Final = 64


class RepairLimit:
    """Counts repairs of each resource's Secret, or of whatever a key stands for.

    A key need not be forgotten: what is older than a fight lasts is pruned as others are noted.

    Args:
        clock: the time.
        window: seconds within which no more than `at_once` repairs are made.
        at_once: repairs.
    """

    def __init__(self, clock: Clock, *, window: float = _WINDOW, at_once: int = _AT_ONCE) -> None:
        self._clock = clock
        self._window = window
        self._at_once = at_once
        self._repairs: dict[Hashable, deque[float]] = {}
        self._prune_beyond = _PRUNE_SLACK

    def __len__(self) -> int:
        return len(self._repairs)

    def repaired(self, key: Hashable) -> None:
        """Note a repair."""
        self._repairs.setdefault(key, deque(maxlen=self._at_once)).append(self._clock.monotonic())
        if len(self._repairs) > self._prune_beyond:
            self._repairs = {each: times for each, times in self._repairs.items() if self.is_on(each)}
            self._prune_beyond = 2 * len(self._repairs) + _PRUNE_SLACK

    def is_on(self, key: Hashable) -> bool:
        """Whether the Secret had to be put right within the last minutes."""
        repairs = self._repairs.get(key)
        return repairs is not None and repairs[-1] + 2 * self._window > self._clock.monotonic()

    def wait(self, key: Hashable) -> float:
        """Seconds until the next repair may be made; 0 for at once."""
        repairs = self._repairs.get(key)
        if repairs is None or len(repairs) < self._at_once:
            return 0.0
        return max(repairs[0] + self._window - self._clock.monotonic(), 0.0)

    def forget(self, key: Hashable) -> None:
        """Drop what is kept of a resource, because it is gone or its spec has changed."""
        self._repairs.pop(key, None)
