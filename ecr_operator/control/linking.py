"""When service accounts are linked and unlinked, and who is told of what fails.

Guarantees: one ServiceAccount is with one worker at a time; what fails is tried again by the queue alone;
the API server is asked nothing about ServiceAccounts while no resource names any, but once after a start.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final
from weakref import WeakValueDictionary

import structlog

from ecr_operator.control.accounts import TendedAccountStore
from ecr_operator.control.deadlines import DeadlineQueue
from ecr_operator.control.inventory import AccountName
from ecr_operator.control.ports import Clock, ServiceAccounts
from ecr_operator.control.step import Step
from ecr_operator.control.tending import Tending
from ecr_operator.model.errors import OperatorError, PermanentError
from ecr_operator.model.outcome import ResourceKey
from ecr_operator.model.outcomes import link_failed
from ecr_operator.model.parsing import Resource
from ecr_operator.model.schedule import kubernetes_retry_delay, link_retry_delay

_WORKERS: Final = 2
_AFTER_A_FAULT: Final = 30.0

log = structlog.get_logger(__name__)


class Linking:
    """The links of all resources.

    Args:
        tending: does the work on one ServiceAccount.
        accounts: tells whether there are links from before.
        clock: the time.
        look_at: called with resources whose links fail now, or do so no more.
        scopes: the namespaces that are watched; an empty string for all.
        rng: the source of jitter.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        *,
        tending: Tending,
        accounts: ServiceAccounts,
        clock: Clock,
        look_at: Callable[[Collection[ResourceKey]], None],
        scopes: Sequence[str],
        rng: random.Random | None = None,
    ) -> None:
        self._tending = tending
        self._accounts = accounts
        self._clock = clock
        self._look_at = look_at
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._queue: DeadlineQueue[AccountName] = DeadlineQueue(clock)
        self._turns: WeakValueDictionary[AccountName, asyncio.Lock] = WeakValueDictionary()
        self._failing: dict[AccountName, OperatorError] = {}
        self._failures: Counter[AccountName] = Counter()
        self._held_until: dict[AccountName, float] = {}
        self._used = {scope: asyncio.Event() for scope in scopes}

    def used(self, scope: str) -> asyncio.Event:
        """Set from when the ServiceAccounts of a scope have to be watched."""
        return self._used[scope]

    def store(self, scope: str) -> TendedAccountStore:
        """Where the informer of a scope tells what it sees; to be started when its resources are known."""
        return TendedAccountStore(scope, self._tending.tended, self._seen, self._listed)

    async def run(self) -> None:
        """Sweep, look after and try again, until cancelled; may be run again, after others have written."""
        self._begin()
        async with asyncio.TaskGroup() as group:
            for scope in self._used:
                group.create_task(self._first_look(scope), name=f"links from before {scope}")
            for number in range(_WORKERS):
                group.create_task(self._work(), name=f"linker {number}")

    def close(self) -> None:
        """Begin nothing more by itself."""
        self._queue.close()

    async def idle(self) -> None:
        """Wait until what was begun by itself is done."""
        await self._queue.idle()

    async def after(self, resource: Resource, step: Step) -> Step:
        """See to a resource's links after its Secret, and tell of those that fail."""
        errors = await self.settle(resource)
        if not errors or step.outcome is None or not step.outcome.succeeded:
            return step
        return replace(step, outcome=link_failed(step.outcome, errors))

    async def settle(self, resource: Resource) -> list[OperatorError]:
        """Link and unlink as a resource wishes, and return what failed."""
        wanted = resource.wanted
        if wanted is None or wanted.suspended or wanted.links is None or wanted.argo:
            return []
        namespace = resource.key.namespace
        named = {(namespace, link.account) for link in wanted.links}
        if named:
            self._used["" if "" in self._used else namespace].set()
        linked = self._tending.tended.linked_by(namespace, resource.key.name)
        found = [await self._look(account, again=False) for account in sorted(named | linked)]
        return [error for error in found if error]

    def forget(self, key: ResourceKey) -> None:
        """Take out the links of a resource that is gone."""
        for account in self._tending.tended.linked_by(key.namespace, key.name):
            self._queue.schedule_now(account)

    def _begin(self) -> None:
        """What was seen of failures and of own writes in an earlier run counts no more."""
        self._failing.clear()
        self._failures.clear()
        self._held_until.clear()
        self._tending.forget_writes()
        for account in self._tending.tended.names():
            self._seen(account)

    def _seen(self, account: AccountName) -> None:
        """A tended ServiceAccount has changed or is gone."""
        if self._tending.needs_work(account):
            self._queue.schedule_now(account)

    def _listed(self, scope: str) -> None:
        """The ServiceAccounts could be listed: what failed may work now."""
        for account in self._failing:
            if scope in ("", account[0]):
                self._queue.schedule_now(account)

    async def _first_look(self, scope: str) -> None:
        """Find out whether anything is left of resources that went while no operator ran."""
        failures = 0
        while not self._used[scope].is_set():
            try:
                if await self._accounts.any_linked(scope):
                    self._used[scope].set()
            except PermanentError as error:
                # The rules for it are a component that need not be there: then there is nothing to find.
                log.debug("links not looked for", reason=error.reason)
                return
            except OperatorError as error:
                failures += 1
                await self._clock.sleep(kubernetes_retry_delay(error, failures, self._rng))
            else:
                return

    async def _work(self) -> None:
        while True:
            account = (await self._queue.take()).key
            try:
                if (wait := self._held_until.get(account, 0.0) - self._clock.monotonic()) > 0:
                    self._queue.schedule_in(account, wait)
                else:
                    await self._look(account, again=True)
            except Exception as error:  # noqa: BLE001 - one account's fault must not end the worker
                where = {"namespace": account[0], "service_account": account[1]}
                # The type alone, as in workers.
                log.error("unforeseen", error=type(error).__name__, **where)  # noqa: TRY400
                self._queue.schedule_in(account, _AFTER_A_FAULT)
            finally:
                self._queue.done(account)

    async def _look(self, account: AccountName, *, again: bool) -> OperatorError | None:
        """Bring an account to what is wished; what failed is tried again by the queue alone."""
        turn = self._turns.setdefault(account, asyncio.Lock())
        async with turn:
            if not again and account in self._failing:
                return self._failing[account]
            try:
                look_again_in = await self._tending.bring_about(account)
            except OperatorError as error:
                self._failed(account, error)
                return error
            self._succeeded(account)
            if look_again_in is not None:
                self._queue.schedule_in(account, look_again_in)
            return None

    def _failed(self, account: AccountName, error: OperatorError) -> None:
        self._failures[account] += 1
        delay = link_retry_delay(error, self._failures[account], self._rng)
        if error.retry_after:
            self._held_until[account] = self._clock.monotonic() + delay
        self._queue.schedule_in(account, delay)
        told, self._failing[account] = self._failing.get(account), error
        if told is None or (told.reason, told.message) != (error.reason, error.message):
            self._look_at(self._tending.concerned(account))

    def _succeeded(self, account: AccountName) -> None:
        self._failures.pop(account, None)
        self._held_until.pop(account, None)
        if self._failing.pop(account, None):
            self._look_at(self._tending.concerned(account))
