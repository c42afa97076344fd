"""When service accounts are linked and unlinked, and which resources are looked at for what fails.

Guarantees: one ServiceAccount is with one worker at a time, and no namespace holds all of them; no caller
waits for the API server; what fails is tried again by the queue alone, for each namespace at a bounded
rate; the API server is asked nothing about ServiceAccounts while no resource names any, but once after a
start.
"""

import asyncio
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import OperatorError, PermanentError, StaleObjectError
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.core.cache import AccountName
from ecr_operator.core.outcomes import link_failed
from ecr_operator.core.ports import Clock
from ecr_operator.core.queue import DeadlineQueue
from ecr_operator.core.repair_limit import SECRETS, Repairs
from ecr_operator.core.schedule import kubernetes_retry_delay, link_retry_delay
from ecr_operator.core.state import Result
from ecr_operator.links.account import AccountReconciler, contested
from ecr_operator.links.accounts import LinkedAccountStore
from ecr_operator.links.ports import ServiceAccounts

_WORKERS: Final = 4
_ATTEMPTS: Final = 8
_AFTER_A_FAULT: Final = 30.0
# Between two looks at resources whose links fail: of a hundred links each may fail in a moment of its own.
_NEWS_INTERVAL: Final = 1.0
# Between two retries of one namespace, at least.
_RETRY_INTERVAL: Final = 0.1
# An account with more links rests after each pass in proportion, so that its share of the processor does not
# grow with their number.
_SMALL: Final = 50
_REST_PER_LINK: Final = 0.002

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _State:
    """What is remembered of an account until it is as it should be.

    Attributes:
        error: what failed last, if the last pass failed.
        failures: how many in a row.
        stale: how many writes in a row came too late.
        asked_from: when a resource or a timer wants a pass, monotonic seconds; one that comes earlier is
            caused by somebody else's change.
        held_until: no pass before, monotonic seconds.
        waiting: resources to be looked at after the next pass.
    """

    error: OperatorError | None = None
    failures: int = 0
    stale: int = 0
    asked_from: float = math.inf
    held_until: float = 0.0
    waiting: set[ResourceKey] = field(default_factory=set)


class LinkReconciler:
    """The links of all resources.

    Args:
        account_reconciler: does the work on one ServiceAccount.
        accounts: tells whether there are links from before.
        clock: the time.
        enqueue: called with resources whose links fail now, or do so no more.
        scopes: the namespaces that are watched; an empty string for all.
        rng: the source of jitter.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        *,
        account_reconciler: AccountReconciler,
        accounts: ServiceAccounts,
        clock: Clock,
        enqueue: Callable[[Collection[ResourceKey]], None],
        scopes: Sequence[str],
        rng: random.Random | None = None,
    ) -> None:
        self._account_reconciler = account_reconciler
        self._accounts = accounts
        self._clock = clock
        self._enqueue = enqueue
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        # Of the workers a quarter is the queue's reserve: no namespace holds them all.
        self._queue: DeadlineQueue[AccountName] = DeadlineQueue(
            clock, workers=_WORKERS, group=lambda account: account[0]
        )
        self._used = {scope: asyncio.Event() for scope in scopes}
        self._working = False
        self._begin_term()

    def used(self, scope: str) -> asyncio.Event:
        """Set from when the ServiceAccounts of a scope have to be watched."""
        return self._used[scope]

    def store(self, scope: str) -> LinkedAccountStore:
        """Where the informer of a scope tells what it sees; to be started when its resources are known."""
        return LinkedAccountStore(scope, self._account_reconciler.linked, self._seen, self._listed)

    async def run(self) -> None:
        """Sweep, look after and try again, until cancelled; may be run again, after others have written."""
        self._begin_term()
        self._working = True
        try:
            for account in self._account_reconciler.linked.names():
                self._seen(account)
            async with asyncio.TaskGroup() as group:
                for scope in self._used:
                    group.create_task(self._first_look(scope), name=f"links from before {scope}")
                for number in range(_WORKERS):
                    group.create_task(self._work(), name=f"linker {number}")
                group.create_task(self._report_news(), name="link news")
        finally:
            self._working = False

    def close(self) -> None:
        """Begin nothing more by itself."""
        self._queue.close()

    async def idle(self) -> None:
        """Wait until what was begun by itself is done."""
        await self._queue.idle()

    def after(self, resource: Resource, result: Result) -> Result:
        """Have the links of a resource made after its Secret, and report those that are known to fail."""
        accounts = self._accounts_of(resource)
        self._request(resource, accounts)
        errors = [error for account in accounts if (error := self._error(account))]
        if not errors or result.outcome is None or not result.outcome.succeeded:
            return result
        return replace(result, outcome=link_failed(result.outcome, errors))

    def settle(self, resource: Resource) -> bool:
        """Have the links of a resource made.

        Returns:
            Whether each is as it should be, or has failed. Otherwise the resource is looked at again when
            the last of them was tried.
        """
        requested = self._request(resource, self._accounts_of(resource))
        if requested:
            self._states[requested[-1]].waiting.add(resource.key)
        return not requested

    def forget(self, key: ResourceKey) -> None:
        """Take out the links of a resource that is gone."""
        for account in self._account_reconciler.linked.linked_by(key.namespace, key.name):
            self._ask(account)

    def _begin_term(self) -> None:
        """What was seen of failures and of fights in an earlier run counts no more."""
        self._states: defaultdict[AccountName, _State] = defaultdict(_State)
        self._failing: Counter[str] = Counter()
        self._repairs: dict[AccountName, Repairs] = {}
        self._news: set[ResourceKey] = set()
        self._has_news = asyncio.Event()

    def _accounts_of(self, resource: Resource) -> list[AccountName]:
        """The accounts that a resource has a say in now."""
        desired = resource.desired
        if desired is None or desired.suspended or desired.links is None or desired.argo:
            return []
        return sorted(self._account_reconciler.accounts_of(resource))

    def _request(self, resource: Resource, accounts: Collection[AccountName]) -> list[AccountName]:
        """Ask for what a resource's links need, and return the accounts that were asked for, in order."""
        if resource.desired and resource.desired.links and accounts:
            self._used["" if "" in self._used else resource.key.namespace].set()
        requested = [
            account
            for account in accounts
            if not self._error(account) and not self._account_reconciler.is_linked(resource.key, account)
        ]
        for account in requested:
            self._ask(account)
        return requested

    def _error(self, account: AccountName) -> OperatorError | None:
        state = self._states.get(account)
        return state.error if state else None

    def _ask(self, account: AccountName, seconds: float = 0.0) -> None:
        """Have it looked at after that many seconds, however often others change it."""
        if self._working:
            state = self._states[account]
            state.asked_from = min(state.asked_from, self._clock.monotonic() + seconds)
            self._queue.schedule_in(account, seconds)

    def _seen(self, account: AccountName) -> None:
        """A tended ServiceAccount has changed or is gone."""
        if known := self._account_reconciler.linked.get(account):
            self._account_reconciler.report_ignored(known)
        if self._working:
            self._queue.schedule_now(account)

    def _listed(self, scope: str) -> None:
        """The ServiceAccounts could be listed: what failed may work now."""
        for account, state in self._states.items():
            if state.error and scope in ("", account[0]):
                self._ask(account)

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
            account = (await self._queue.get()).key
            try:
                await self._handle(account)
            except Exception as error:  # noqa: BLE001 - one account's fault must not end the worker
                where = {"namespace": account[0], "service_account": account[1]}
                # The type alone, as in workers.
                log.error("unexpected error", error=type(error).__name__, **where)  # noqa: TRY400
                self._ask(account, _AFTER_A_FAULT)
            finally:
                self._queue.done(account)
            # What needs no request would else keep the loop to itself.
            await asyncio.sleep(0)

    async def _handle(self, account: AccountName) -> None:
        """Bring an account to what is wished, unless it has to rest."""
        state, now = self._states[account], self._clock.monotonic()
        if state.held_until > now:
            self._queue.schedule_in(account, state.held_until - now)
            return
        # Whoever asks from now on may have come too late for this pass.
        asked, state.asked_from = state.asked_from <= now, math.inf
        if not self._account_reconciler.needs_work(account):
            self._succeeded(account)
        elif not asked and (wait := SECRETS.wait(self._repairs.get(account, ()), now)):
            error = contested(account[1], "by somebody, who takes the links out", wait)
            self._failed(account, error, asked=False)
        else:
            if not asked:
                self._repairs[account] = SECRETS.note(self._repairs.get(account, ()), now)
            await self._bring_about(account)

    async def _bring_about(self, account: AccountName) -> None:
        try:
            again_in = await self._account_reconciler.bring_about(account)
        except StaleObjectError:
            self._came_late(account)
        except OperatorError as error:
            self._failed(account, error)
        else:
            if again_in == 0:
                # Something has changed it with our own write or since: that counts as a change by others.
                self._queue.schedule_now(account)
                return
            self._succeeded(account)
            if again_in is not None:
                self._ask(account, again_in)

    def _came_late(self, account: AccountName) -> None:
        state = self._states[account]
        state.stale += 1
        if state.stale < _ATTEMPTS:
            self._ask(account)
        else:
            self._failed(account, contested(account[1], "while the operator writes it", None))

    def _failed(self, account: AccountName, error: OperatorError, *, asked: bool = True) -> None:
        """Note a failure and try again later; not `asked` where the retry counts as a repair."""
        state = self._states[account]
        state.failures += 1
        state.stale = 0
        if state.error is None:
            self._failing[account[0]] += 1
        known, state.error = state.error, error
        delay = link_retry_delay(error, state.failures, self._rng)
        delay = max(delay, self._failing[account[0]] * _RETRY_INTERVAL)
        state.held_until = self._clock.monotonic() + (delay if error.retry_after else self._rest(account))
        if asked:
            self._ask(account, delay)
        else:
            self._queue.schedule_in(account, delay)
        if known is None or (known.reason, known.message) != (error.reason, error.message):
            self._note_news(account)
        self._release(state)

    def _succeeded(self, account: AccountName) -> None:
        state = self._states.pop(account)
        rest = self._rest(account)
        if rest or state.asked_from < math.inf:
            held_until = self._clock.monotonic() + rest
            self._states[account] = _State(asked_from=state.asked_from, held_until=held_until)
        if self._account_reconciler.linked.get(account) is None:
            self._account_reconciler.forget(account)
        if state.error:
            self._failing[account[0]] -= 1
            if not self._failing[account[0]]:
                del self._failing[account[0]]
            self._note_news(account)
        self._release(state)

    def _rest(self, account: AccountName) -> float:
        size = self._account_reconciler.size(account)
        return size * _REST_PER_LINK if size > _SMALL else 0.0

    def _release(self, state: _State) -> None:
        if state.waiting:
            self._enqueue(sorted(state.waiting, key=str))
            state.waiting.clear()

    def _note_news(self, account: AccountName) -> None:
        self._news.update(self._account_reconciler.concerned(account))
        self._has_news.set()

    async def _report_news(self) -> None:
        """Look at the resources whose links have failed, or fail no more, all at once and not too often."""
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            news, self._news = self._news, set()
            self._enqueue(sorted(news, key=str))
            await self._clock.sleep(_NEWS_INTERVAL)
