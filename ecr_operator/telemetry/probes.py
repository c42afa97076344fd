"""Whether the operator is alive and ready, as the kubelet asks.

Alive: a restart would help otherwise. That is so when a watch is no longer even attempted; a hung event loop
answers nobody, and shows by that. Ready: the caches were synced once, and nobody has said stop.
Neither asks whether AWS or the API server is there: a restart would not bring them back.
"""

from collections.abc import Callable
from time import monotonic
from typing import Final

_PATIENCE: Final = 60.0  # seconds past its due time


class Heartbeat:
    """One watch's signs of life.

    Args:
        name: of what is watched.
        now: monotonic seconds.
        on_restart: called when the watch is begun again after a failure.

    Attributes:
        synced: everything there was has been seen once.
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
        """Say that this goes on, and that the next beat comes within that many seconds."""
        self._due = self._now() + within

    def restarts(self, within: float) -> None:
        """Say that the watch has failed and is begun again within that many seconds."""
        self._on_restart()
        self.beat(within)

    def rest(self) -> None:
        """Expect no beat until the next one."""
        self._due = None

    def overdue(self) -> float:
        """Seconds since the next beat was due; 0 before, and before the first."""
        return 0.0 if self._due is None else max(self._now() - self._due, 0.0)


class Probes:
    """What is wrong, if anything."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        """Start with nothing watched.

        Args:
            now: monotonic seconds.
        """
        self._now = now
        self._heartbeats: list[Heartbeat] = []
        self._needed: list[Heartbeat] = []
        self._stopping = False

    def watch(
        self, name: str, on_restart: Callable[[], None] = lambda: None, *, needed: bool = True
    ) -> Heartbeat:
        """Have a watch count from now on; see `Heartbeat`.

        Args:
            name: of what is watched.
            on_restart: called when the watch is begun again after a failure.
            needed: nobody is ready before it was listed.
        """
        heartbeat = Heartbeat(name, self._now, on_restart)
        self._heartbeats.append(heartbeat)
        if needed:
            self._needed.append(heartbeat)
        return heartbeat

    def stopping(self) -> None:
        """Be ready no more."""
        self._stopping = True

    def liveness_failures(self) -> list[str]:
        """Why a restart would help; empty while alive."""
        return [
            f"{heartbeat.name}: no watch was attempted for {heartbeat.overdue():.0f} s past its time"
            for heartbeat in self._heartbeats
            if heartbeat.overdue() > _PATIENCE
        ]

    def readiness_failures(self) -> list[str]:
        """Why not ready; empty once ready."""
        if self._stopping:
            return ["stopping"]
        if not self._needed:
            return ["starting"]
        return [f"{heartbeat.name}: not listed yet" for heartbeat in self._needed if not heartbeat.synced]
