"""Who leads: keeps asking for the Lease, works while it is held, stops before another can take it.

Guarantees:
- `is_leader` is true at most RENEW_DEADLINE seconds after a write of the Lease was begun, by a clock that
  goes on during pauses: whoever asks it right before each write never writes beside another leader;
- work begins only when the work of the last term has ended;
- no failure ends the process: it goes back to standby, with its caches warm, and wants the Lease again.

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
from ecr_operator.election.lease import Action, ElectorState, patience
from ecr_operator.election.ports import LeaseStore

# Who has no rights to the Lease, or a name for it that does not work, gets them from a person.
_WAIT_FOR_A_PERSON: Final = 15.0
_WAIT_AFTER_CONFLICT: Final = 0.5
_CHECK: Final = 0.5
_RELEASE_TRIES: Final = 2

log = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[None]]


class Leading(Protocol):
    """Whether and when to work; `Elector`, or `NoElection` without leader election."""

    def is_leader(self) -> bool:
        """Whether this process may write at this very moment."""
        ...

    async def run(self, work: Work) -> None:
        """Do the work while leading, until cancelled: it is cancelled with each loss, and begun anew."""
        ...

    async def release(self) -> None:
        """Lead no more, and let another lead at once; never raises."""
        ...


class NoElection:
    """Leads always: there is one replica."""

    def __str__(self) -> str:
        return "off"

    def is_leader(self) -> bool:
        """Whether this process may write: always."""
        return True

    async def run(self, work: Work) -> None:
        """Do the work until cancelled."""
        await work()

    async def release(self) -> None:
        """Nothing: there is no Lease."""


class Elector:
    """Leads while it holds the Lease.

    Args:
        leases: where the Lease is.
        clock: one whose monotonic time goes on while the machine sleeps.
        identity: of this process, unlike that of every other, its own restarts too.
        rng: the source of jitter.
    """

    def __init__(
        self, leases: LeaseStore, clock: Clock, identity: str, rng: random.Random | None = None
    ) -> None:
        self._leases = leases
        self._clock = clock
        self._candidacy = ElectorState(identity)
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._elected = asyncio.Event()
        self._resigned = False
        self._trouble: str | None = None
        self._told_holder = ""

    def __str__(self) -> str:
        return f"by Lease {self._leases}"

    def is_leader(self) -> bool:
        """Whether this process may write at this very moment."""
        return not self._resigned and self._candidacy.leads(self._clock.monotonic())

    async def run(self, work: Work) -> None:
        """Stand by, work while leading, stand by again, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stand(), name="election")
            group.create_task(self._serve_terms(work), name="terms")

    async def release(self) -> None:
        """Lead no more, and write that nobody holds the Lease if this process did; never raises."""
        self._resigned = True
        self._candidacy.resign()
        for _ in range(_RELEASE_TRIES):
            if not self._candidacy.may_hold():
                return
            try:
                await self._release_once()
            except StaleObjectError:
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, the Lease then runs out
                log.debug("lease not released", error=type(error).__name__)
            return

    async def _release_once(self) -> None:
        if self._candidacy.must_read():
            self._candidacy.saw(await self._leases.read(), self._clock.monotonic(), 0.0)
        farewell = self._candidacy.farewell(self._clock.now())
        if farewell:
            await self._leases.write(farewell)
            log.info("lease released")

    async def _stand(self) -> None:
        """The election: look, write, wait, for ever."""
        while True:
            move, seconds = self._candidacy.next_action(self._clock.monotonic())
            if move is Action.WAIT:
                await self._clock.sleep(seconds)
                continue
            begun = self._clock.monotonic()
            try:
                await (self._look() if move is Action.LOOK else self._write())
            except Exception as error:  # noqa: BLE001 - no answer whatever may end the operator
                self._failed(error, begun)
            self._note()

    async def _look(self) -> None:
        record = await self._leases.read()
        now = self._clock.monotonic()
        self._candidacy.saw(record, now, self._patience())
        if self._candidacy.next_action(now)[0] is Action.WAIT:
            # Else the write that comes now will show.
            self._tell_recovery()

    async def _write(self) -> None:
        draft = self._candidacy.draft(self._clock.monotonic(), self._clock.now())
        stored = await self._leases.write(draft)
        if not self._candidacy.wrote(stored):
            raise ValueError("the Lease was not stored as it was written")
        self._tell_recovery()

    def _failed(self, error: Exception, begun: float) -> None:
        wait = self._patience()
        if isinstance(error, StaleObjectError):
            wait = _WAIT_AFTER_CONFLICT
        elif isinstance(error, PermanentError) and not self.is_leader():
            wait = _WAIT_FOR_A_PERSON
        self._candidacy.failed(begun, self._clock.monotonic(), wait)
        if not isinstance(error, StaleObjectError):
            self._tell_trouble(error)

    def _patience(self) -> float:
        return patience(self._rng.random())

    def _note(self) -> None:
        if self.is_leader():
            self._elected.set()
            self._told_holder = ""
        elif (holder := self._candidacy.holder) not in ("", self._told_holder, self._candidacy.identity):
            self._told_holder = holder
            log.info("standing by", leader=holder)

    async def _serve_terms(self, work: Work) -> None:
        while True:
            await self._elected.wait()
            self._elected.clear()
            if self.is_leader():
                log.info("elected", identity=self._candidacy.identity)
                await self._serve_term(work)
                log.warning(
                    "lost the lease", **({"leader": self._candidacy.holder} if self._is_taken() else {})
                )

    def _is_taken(self) -> bool:
        return self._candidacy.holder not in ("", self._candidacy.identity)

    async def _serve_term(self, work: Work) -> None:
        """Work until the lead is lost, and see the work end."""
        term = asyncio.ensure_future(work())
        lost = asyncio.ensure_future(self._until_lost())
        try:
            await asyncio.wait((term, lost), return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
            term.cancel()
            await asyncio.wait((term, lost))
        if not term.cancelled():
            term.result()

    async def _until_lost(self) -> None:
        # In short steps: another holder may be seen before the time is up.
        while self.is_leader():
            left = self._candidacy.believed_until() - self._clock.monotonic()
            await self._clock.sleep(min(max(left, 0.0), _CHECK))

    def _tell_trouble(self, error: Exception) -> None:
        told = error.message if isinstance(error, OperatorError) else type(error).__name__
        kind = str(error.reason) if isinstance(error, OperatorError) else told
        if kind != self._trouble:
            self._trouble = kind
            log.warning("no use of the lease", error=told)

    def _tell_recovery(self) -> None:
        if self._trouble:
            self._trouble = None
            log.info("the lease is of use again")
