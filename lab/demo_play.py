"""What the demo plays: the main job, a refresh, a deleted Secret that comes back, another refresh."""

import asyncio
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lab.api import SECRETS, ApiError, Json
from lab.demo_figures import Figures
from lab.demo_rows import NAMESPACE, Row, held_token, read_rows
from lab.demo_screen import Screen
from lab.demo_stage import TOKEN_LIFE, Stage
from lab.kubectl import find_kubectl
from lab.processes import LabError

_LOOK_EVERY = 0.25
_BRIEFLY = 0.002
_READY_LIMIT = 15.0
_REPAIR_LIMIT = 5.0
# Seconds after the table's first line: a demo has to end while people still watch.
_LATEST_END = 52.0


class NotSeenError(LabError):
    """Something that was to happen did not; the message holds how things are, and the operator's log."""


class Play:
    """The play on a stage."""

    def __init__(self, stage: Stage, screen: Screen) -> None:
        """Prepare it; nothing happens yet."""
        self._stage = stage
        self._screen = screen
        self._began = time.monotonic()
        self._rows: list[Row] = []
        self._cast: frozenset[str] = frozenset()
        self._figures = Figures()

    async def until_ready(self) -> None:
        """Wait until every resource is ready."""
        self._began = time.monotonic()
        await self._watch(self._all_ready, _READY_LIMIT, "all resources Ready, with live tokens")
        # Whatever somebody adds later, to try things, has no part in it.
        self._cast = frozenset(row.key for row in self._rows)
        self._figures.ready_after = time.monotonic() - self._stage.operator.started_at
        self._screen.tell("All are Ready: each generated Secret holds a live token of the local AWS.")

    async def go_on(self) -> None:
        """Show a refresh, delete a Secret, and show another refresh. Raises NotSeenError."""
        await self._watch(lambda: self._refreshed(1), TOKEN_LIFE, "a refresh of every token")
        margin = min(self._figures.margins)
        self._screen.tell(
            f"Refreshed: every Secret has a new token, {margin:.0f} s before the old one's end."
        )
        await self._linger(3)
        await self._repair()
        # Where the machine was slow, the end comes first.
        if await self._sees(lambda: self._refreshed(2), self._began + _LATEST_END - time.monotonic()):
            self._screen.tell("Refreshed again.")
            await self._linger(2)

    async def stay(self) -> None:
        """Keep looking until cancelled, whatever people do in the cluster meanwhile."""
        while True:
            try:
                await self._linger(_LOOK_EVERY)
            except ApiError:
                # The kinds were taken away, say: they may come back.
                self._screen.show([], time.time())

    async def stop_operator(self) -> None:
        """End the operator in the usual way. Raises LabError unless it ends well."""
        if code := await self._stage.operator.stop():
            raise self._stage.operator.process.error(f"ended with exit code {code} when asked to stop")

    def summary(self) -> list[str]:
        """Say in figures what happened."""
        return self._figures.summary(self._stage.aws.count("GetAuthorizationToken"))

    async def to_try(self) -> list[str]:
        """Say how to look at the cluster and the operator from another terminal."""
        kubectl = "kubectl" if shutil.which("kubectl") else _shortest(find_kubectl())
        secret = self._rows[0].secret_name
        return [
            "",
            "To try in another terminal:",
            f"  export KUBECONFIG={self._stage.plane.kubeconfig}",
            f"  {kubectl} get ecr",
            f"  {kubectl} describe ecrsecret {self._rows[0].name}",
            f"  {kubectl} delete secret {secret}; {kubectl} get secret {secret}",
            f"  {_shortest(Path(sys.executable))} -m ecr_operator status --watch",
            f"  curl http://127.0.0.1:{await self._stage.operator.port('/metrics')}/metrics",
        ]

    async def _look(self) -> None:
        """Read everything, show it, and keep count."""
        operator = self._stage.operator
        if not operator.running:
            raise operator.process.error(f"ended with exit code {operator.process.returncode}")
        rows, now = await read_rows(self._stage.api), time.time()
        self._rows = [row for row in rows if row.key in self._cast or not self._cast]
        for row in self._rows:
            self._figures.take(row, now)
        self._screen.show(rows, now)

    async def _watch(self, seen: Callable[[], bool], limit: float, what: str) -> None:
        if not await self._sees(seen, limit):
            raise self._not_seen(f"not within {limit:.0f} s: {what}")

    async def _sees(self, seen: Callable[[], bool], limit: float) -> bool:
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            await self._look()
            if seen():
                return True
            await asyncio.sleep(_LOOK_EVERY)
        return False

    async def _linger(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(_LOOK_EVERY)
            await self._look()

    async def _repair(self) -> None:
        """Delete a Secret, and look as often as can be until there is another."""
        api, aws, name = self._stage.api, self._stage.aws, self._a_secret()
        before, calls = await api.get(SECRETS, name, NAMESPACE), aws.count()
        self._screen.tell(f"Deleting Secret {name}…")
        began = time.monotonic()
        await api.delete(SECRETS, name, NAMESPACE)
        while (after := await api.find(SECRETS, name, NAMESPACE)) is None or _same(before, after):
            if time.monotonic() > began + _REPAIR_LIMIT:
                raise self._not_seen(f"not within {_REPAIR_LIMIT:.0f} s: Secret {name} again")
            await asyncio.sleep(_BRIEFLY)
        took = self._figures.repaired_after = time.monotonic() - began
        which = "the same" if held_token(before) == held_token(after) else "another"
        said = f"with {which} token; calls to AWS: {aws.count() - calls}."
        self._screen.tell(f"It was back after {took * 1000:.0f} ms {said}")

    def _a_secret(self) -> str:
        if not self._rows:
            raise self._not_seen("no resource is left")
        return self._rows[0].secret_name

    def _all_ready(self) -> bool:
        now = time.time()
        return bool(self._rows) and all(row.is_ready(now) for row in self._rows)

    def _refreshed(self, times: int) -> bool:
        return self._all_ready() and all(self._figures.refreshes_of(row) >= times for row in self._rows)

    def _not_seen(self, what: str) -> NotSeenError:
        states = "\n".join(f"  {row.key}: {row.phase}, {row.reason}" for row in self._rows)
        return NotSeenError(
            f"{what}\n{states}\nthe end of the operator's log:\n{self._stage.operator.tail()}"
        )


def _same(before: Json, after: Json) -> bool:
    return bool(before["metadata"]["uid"] == after["metadata"]["uid"])


def _shortest(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
