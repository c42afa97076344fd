"""Lines that say again what was just said are left out, and counted.

Invariant: a line that says something new is never left out, and memory is bounded.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

_WINDOW: Final = 60.0  # seconds
_BURST: Final = 5
_REMEMBERED: Final = 2000
# What differs from one repeat to the next without saying anything new.
_PASSING: Final = frozenset({"timestamp", "duration"})


@dataclass(slots=True)
class _Said:
    since: float
    times: int = 0
    left_out: int = 0


class RepeatLimiter:
    """A processor of structlog that lets a line pass five times a minute.

    The first that passes afterwards bears `repeated`, the number that was left out.

    Args:
        monotonic: seconds that never step.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said: OrderedDict[tuple[tuple[str, str], ...], _Said] = OrderedDict()

    def __call__(
        self, _logger: object, _method: str, line: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        """Return the line, or drop it.

        Raises:
            structlog.DropEvent: it is one too many.
        """
        said = self._entry(line)
        if said.times >= _BURST:
            said.left_out += 1
            raise structlog.DropEvent
        said.times += 1
        if said.left_out:
            line["repeated"], said.left_out = said.left_out, 0
        return line

    def _entry(self, line: structlog.typing.EventDict) -> _Said:
        what = tuple((name, str(line[name])) for name in sorted(line) if name not in _PASSING)
        now = self._monotonic()
        said = self._said.get(what)
        if said is None:
            said = self._said[what] = _Said(since=now)
            if len(self._said) > _REMEMBERED:
                self._said.popitem(last=False)
        elif now - said.since >= _WINDOW:
            said.since, said.times = now, 0
        self._said.move_to_end(what)
        return said
