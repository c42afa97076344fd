"""Whether the operator is alive and ready, for the kubelet's probes.

Alive: every watch is still attempted. A restart helps where one is not; a blocked event loop answers no
probe at all. Ready: every watched collection was listed once, and no stop was requested.
Neither asks whether AWS or the API server can be reached: a restart would not bring them back.
"""

from collections.abc import Callable
from time import monotonic
from typing import Final

_TOLERANCE: Final = 60.0  # seconds after a beat was due


class Heartbeat:
    """Shows that one watch is still attempted.

    Args:
        name: of what is watched.
        now: monotonic seconds.
        on_restart: called when the watch is started again after a failure.

    Attributes:
        synced: the watched collection was listed once.
    """

    def __init__(
        self,
        name: str = "",
        now: Callable[[], float] = monotonic,
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._now = now
        self._on_restart = on_restart
        self._due: float | None = None
        self.synced = False

    def beat(self, within: float) -> None:
        """Record an attempt; the next beat is due within that many seconds."""
        self._due = self._now() + within

    def restarts(self, within: float) -> None:
        """Record a failure; the watch is started again within that many seconds."""
        self._on_restart()
        self.beat(within)

    def rest(self) -> None:
        """Expect no further beat until the next one comes."""
        self._due = None

    def overdue(self) -> float:
        """Seconds since the next beat was due; 0 before that, and while none is expected."""
        return 0.0 if self._due is None else max(self._now() - self._due, 0.0)


class Probes:
    """Collects the heartbeats of all watches.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._heartbeats: list[Heartbeat] = []
        self._needed: list[Heartbeat] = []
        self._stopping = False

    def watch(
        self, name: str, on_restart: Callable[[], None] = lambda: None, *, needed: bool = True
    ) -> Heartbeat:
        """Add a watch, without whose first list the operator is not ready if it is `needed`."""
        heartbeat = Heartbeat(name, self._now, on_restart)
        self._heartbeats.append(heartbeat)
        if needed:
            self._needed.append(heartbeat)
        return heartbeat

    def stopping(self) -> None:
        """Report not ready from now on."""
        self._stopping = True

    def liveness_failures(self) -> list[str]:
        """Why a restart would help; empty while alive."""
        return [
            f"{heartbeat.name}: the next watch attempt is {heartbeat.overdue():.0f} s overdue"
            for heartbeat in self._heartbeats
            if heartbeat.overdue() > _TOLERANCE
        ]

    def readiness_failures(self) -> list[str]:
        """Why the operator is not ready; empty once it is."""
        if self._stopping:
            return ["stopping"]
        if not self._needed:
            return ["starting"]
        return [f"{heartbeat.name}: not listed yet" for heartbeat in self._needed if not heartbeat.synced]
