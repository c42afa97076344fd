"""Lines that repeat an earlier one, or that are more than a namespace's share, are left out and counted.

Guarantees: of equal lines five a minute pass. Of different lines that name a namespace ten a second pass, and
besides all that are marked as a first outcome (`first=True`). Memory is bounded, whatever lines hold.
"""

import hashlib
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import structlog

_WINDOW: Final = 60.0  # seconds
_BURST: Final = 5
_REMEMBERED: Final = 2000
_SHARE: Final = 10
_SHARE_WINDOW: Final = 1.0
_NAMESPACES: Final = 2000
# Characters of a value that tell lines apart; as many at least as are shown.
_LOOKED_AT: Final = 1000
# What differs from one repeat to the next without saying anything new.
_PASSING: Final = frozenset({"timestamp", "duration"})
FIRST: Final = "first"


@dataclass(slots=True)
class _Said:
    since: float
    times: int = 0
    left_out: int = 0


@dataclass(slots=True)
class _Share:
    """When the last lines of a namespace passed."""

    passed: deque[float] = field(default_factory=lambda: deque(maxlen=_SHARE))
    left_out: int = 0

    def is_used_up(self, now: float) -> bool:
        return len(self.passed) == _SHARE and now - self.passed[0] < _SHARE_WINDOW


class RepeatLimiter:
    """A processor of structlog that leaves lines out.

    The next equal line that passes bears `repeated`, the number of those that were left out; the next line of
    the namespace that passes bears `left_out`, the number of those that were more than its share.

    Args:
        monotonic: seconds that never step.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said: _Latest[bytes, _Said] = _Latest(_REMEMBERED)
        self._shares: _Latest[str, _Share] = _Latest(_NAMESPACES)

    def __call__(
        self, _logger: object, _method: str, line: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        """Return the line, or drop it.

        Raises:
            structlog.DropEvent: it is one too many.
        """
        first, now = bool(line.pop(FIRST, False)), self._monotonic()
        said = self._said.get(_digest(line), _Said(since=now))
        if now - said.since >= _WINDOW:
            said.since, said.times = now, 0
        if said.times >= _BURST:
            said.left_out += 1
            raise structlog.DropEvent
        self._charge(line, now, first=first)
        said.times += 1
        if said.left_out:
            line["repeated"], said.left_out = said.left_out, 0
        return line

    def _charge(self, line: structlog.typing.EventDict, now: float, *, first: bool) -> None:
        """Take a line out of the share of its namespace.

        Raises:
            structlog.DropEvent: nothing is left of it.
        """
        namespace = line.get("namespace")
        if not isinstance(namespace, str):
            return
        share = self._shares.get(namespace[:_LOOKED_AT], _Share())
        if not first:
            if share.is_used_up(now):
                share.left_out += 1
                raise structlog.DropEvent
            share.passed.append(now)
        if share.left_out:
            line["left_out"], share.left_out = share.left_out, 0


_Key = TypeVar("_Key", bound=Hashable)
_Kept = TypeVar("_Kept")


class _Latest(Generic[_Key, _Kept]):
    """So many things by key: the one not asked for the longest goes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def get(self, key: _Key, fresh: _Kept) -> _Kept:
        """The thing of that key, or from now on the fresh one."""
        kept = self._kept.setdefault(key, fresh)
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return kept


def _digest(line: structlog.typing.EventDict) -> bytes:
    """What a line says, in 16 bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(line):
        if name not in _PASSING:
            digest.update(f"{name}={str(line[name])[:_LOOKED_AT]!r};".encode(errors="replace"))
    return digest.digest()
