"""Runs the work while this process is leader: acquires and renews the Lease, and stops before it expires.

Guarantees:
- `is_leader` is true at most RENEW_DEADLINE seconds after a write of the Lease was begun, by a clock that
  goes on during pauses: a process that asks right before each write never writes beside another leader;
- work begins only when the work of the last term has ended;
- no failure ends the process: it goes back to standby, with its caches warm, and competes again.

Rejected: ending the process when the Lease is lost, as client-go's users do: 20 seconds without an API server
would restart every replica, and throw away the tokens that they hold.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from ecr_operator.api.errors import OperatorError, PermanentError, StaleObjectError
from ecr_operator.core.ports import Clock
from ecr_operator.election.lease import Action, ElectorState, LeaseRecord, retry_delay

# A missing right, or a name of the Lease that is refused, is corrected by a person.
_RETRY_PERMANENT: Final = 15.0
_RETRY_CONFLICT: Final = 0.5
_CHECK_PERIOD: Final = 0.5
_RELEASE_TRIES: Final = 2

log = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[None]]


class LeaseStore(Protocol):
    """Reads and writes the one Lease; implemented by `kube.lease_store.KubeLeaseStore`.

    Every method raises OperatorError, in bounded time.
    """

    async def read(self) -> LeaseRecord | None:
        """What the Lease says; None if there is none."""
        ...

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        """Create the Lease if the record has no version, else replace that version; return what is stored.

        Raises:
            StaleObjectError: another version is there, or one where none was seen.
            OperatorError: any other failure; the write may have succeeded all the same.
        """
        ...


class NoElection:
    """Leads always: there is one replica."""

    def __str__(self) -> str:
        return "off"

    def is_leader(self) -> bool:
        """Whether this process may write: always."""
        return True

    async def run(self, work: Work) -> None:
        """Work until cancelled."""
        await work()

    async def release(self) -> None:
        """Nothing: there is no Lease."""


class Elector:
    """Leads while it holds the Lease.

    Args:
        clock: one whose monotonic time goes on while the machine sleeps.
        identity: unlike that of every other process, and of earlier runs of this one.
    """

    def __init__(
        self, store: LeaseStore, clock: Clock, identity: str, rng: random.Random | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._state = ElectorState(identity)
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._elected = asyncio.Event()
        self._is_released = False
        self._reported_error: str | None = None
        self._reported_leader = ""

    def __str__(self) -> str:
        return f"by Lease {self._store}"

    def is_leader(self) -> bool:
        """Whether this process may write at this very moment."""
        return not self._is_released and self._state.is_leader(self._clock.monotonic())

    async def run(self, work: Work) -> None:
        """Stand by and work by turns, until cancelled; the work is cancelled with each loss."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._elect(), name="election")
            group.create_task(self._run_terms(work), name="terms")

    async def release(self) -> None:
        """Stop leading, and remove this process as holder of the Lease; never raises."""
        self._is_released = True
        for _ in range(_RELEASE_TRIES):
            if not self._state.may_be_holder():
                return
            try:
                await self._release_once()
            except StaleObjectError:
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, the Lease then expires
                log.debug("lease not released", error=type(error).__name__)
            return

    async def _release_once(self) -> None:
        if self._state.must_read():
            self._state.on_read(await self._store.read(), self._clock.monotonic(), 0.0)
        if record := self._state.release(self._clock.now()):
            await self._store.write(record)
            log.info("lease released")

    async def _elect(self) -> None:
        """Read, write and wait for ever, as the state says."""
        while True:
            action, seconds = self._state.next_action(self._clock.monotonic())
            if action is Action.WAIT:
                await self._clock.sleep(seconds)
                continue
            begun = self._clock.monotonic()
            try:
                await (self._read() if action is Action.READ else self._write())
            except Exception as error:  # noqa: BLE001 - no answer whatever may end the operator
                self._on_failed(error, begun)
            self._report_leader()

    async def _read(self) -> None:
        record = await self._store.read()
        now = self._clock.monotonic()
        self._state.on_read(record, now, self._retry_delay())
        if self._state.next_action(now)[0] is Action.WAIT:
            # Else the write that follows shows whether all is well.
            self._report_recovery()

    async def _write(self) -> None:
        record = self._state.acquire_or_renew(self._clock.monotonic(), self._clock.now())
        if not self._state.on_written(await self._store.write(record)):
            raise ValueError("the Lease was not stored as it was written")
        self._report_recovery()

    def _on_failed(self, error: Exception, begun: float) -> None:
        wait = self._retry_delay()
        if isinstance(error, StaleObjectError):
            wait = _RETRY_CONFLICT
        elif isinstance(error, PermanentError) and not self.is_leader():
            wait = _RETRY_PERMANENT
        self._state.on_failed(begun, self._clock.monotonic(), wait)
        if not isinstance(error, StaleObjectError):
            self._report_error(error)

    def _retry_delay(self) -> float:
        return retry_delay(self._rng.random())

    async def _run_terms(self, work: Work) -> None:
        while True:
            await self._elected.wait()
            self._elected.clear()
            if self.is_leader():
                log.info("elected", identity=self._state.identity)
                await self._run_term(work)
                leader = {"leader": self._state.holder} if self._has_other_leader() else {}
                log.warning("lost the lease", **leader)

    async def _run_term(self, work: Work) -> None:
        """Work until the Lease is lost, and wait for the end of the work."""
        term = asyncio.ensure_future(work())
        lost = asyncio.ensure_future(self._wait_until_lost())
        try:
            await asyncio.wait((term, lost), return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
            term.cancel()
            await asyncio.wait((term, lost))
        if not term.cancelled():
            term.result()

    async def _wait_until_lost(self) -> None:
        # In short steps: another holder may be seen before the time is up.
        while self.is_leader():
            left = self._state.leads_until - self._clock.monotonic()
            await self._clock.sleep(min(max(left, 0.0), _CHECK_PERIOD))

    def _has_other_leader(self) -> bool:
        return self._state.holder not in ("", self._state.identity)

    def _report_leader(self) -> None:
        if self.is_leader():
            self._elected.set()
            self._reported_leader = ""
        elif self._has_other_leader() and self._state.holder != self._reported_leader:
            self._reported_leader = self._state.holder
            log.info("standing by", leader=self._reported_leader)

    def _report_error(self, error: Exception) -> None:
        message = error.message if isinstance(error, OperatorError) else type(error).__name__
        kind = str(error.reason) if isinstance(error, OperatorError) else message
        if kind != self._reported_error:
            self._reported_error = kind
            log.warning("lease unavailable", error=message)

    def _report_recovery(self) -> None:
        if self._reported_error:
            self._reported_error = None
            log.info("lease available again")


LeaderElection = Elector | NoElection
