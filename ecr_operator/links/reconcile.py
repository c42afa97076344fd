"""Reconciles the links of ServiceAccounts: the lists of Secrets that their pods pull with or mount.

Guarantees:
- a ServiceAccount is a key on a queue; it is with one worker at a time, and no namespace holds all workers;
- each write is made from what was read just before, in that very version;
- no link of a resource that the watch no longer shows is removed before the API server says that it is gone;
- no caller waits for the API server; what fails is retried by the queue, at a bounded rate per namespace.

A pass gathers facts, plans, writes and requeues. Left out: what has to be watched (scopes).
"""

import asyncio
import math
import random
from collections.abc import Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

import structlog

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import OperatorError, StaleObjectError, TransientError
from ecr_operator.api.names import ALL_ACCOUNTS
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.core.cache import Cache
from ecr_operator.core.indexes import AccountName
from ecr_operator.core.outcomes import link_failed
from ecr_operator.core.ports import Clock, Resources
from ecr_operator.core.queue import DeadlineQueue, Due
from ecr_operator.core.schedule import REPAIR_LIMIT, link_retry_delay
from ecr_operator.core.state import Result
from ecr_operator.links.plan import LARGEST_RECORD, Change, is_linked, merge_patch, plan, unseen
from ecr_operator.links.scopes import LinkScope
from ecr_operator.links.state import FactsReader, LinkState, LinkStates, ServiceAccounts, ServiceAccountStore

_WORKERS: Final = 4
_MANY_ACCOUNTS: Final = 50
_MOST_STALE_WRITES: Final = 8
_AFTER_UNEXPECTED: Final = 30.0  # seconds, as all that follow
# Of a hundred links each may fail at another moment: within this time the resource is enqueued once.
_REPORT_DELAY: Final = 0.5
# The shortest delay of a retry is this times the number of failing ServiceAccounts of the namespace.
_RETRY_INTERVAL: Final = 0.1
# Until recorded resources that the watch doesn't show are looked up again, and the next few of many.
_RECHECK: Final = 5.0
_NEXT_FEW: Final = 1.0
_ABSENT: Final = (
    "does not exist. Create it, or remove it from spec.link_service_accounts; it is linked when it appears."
)
_FULL: Final = (
    f"is named by too many resources: its record of links would be longer than {LARGEST_RECORD} characters. "
    "Remove it from spec.link_service_accounts of some."
)

log = structlog.get_logger(__name__)


class LinkReconciler:
    """The links of all resources.

    Args:
        resources: looks up resources that the watch doesn't show.
        enqueue: enqueues a resource, after that many seconds, whose outcome may have changed.
        scopes: the namespaces that are watched; an empty string for all.
        rng: the source of jitter and samples.

    Attributes:
        scopes: which ServiceAccounts have to be watched, by scope.
        queue: of ServiceAccounts; once it is closed no pass begins.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        *,
        cache: Cache,
        accounts: ServiceAccounts,
        resources: Resources,
        clock: Clock,
        enqueue: Callable[[ResourceKey, float], None],
        scopes: Sequence[str],
        rng: random.Random | None = None,
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._enqueue = enqueue
        self._rng = rng or random.Random()  # noqa: S311 - jitter and samples, not secrets
        self.states = LinkStates()
        self.scopes = {
            scope: LinkScope(
                scope,
                cache=cache,
                accounts=accounts,
                clock=clock,
                rng=self._rng,
                request=self._request,
                enqueue=enqueue,
            )
            for scope in scopes
        }
        self._gatherer = FactsReader(cache, resources, self._all_names, self._rng)
        # Of the workers a quarter is the queue's reserve: no namespace holds them all.
        self.queue: DeadlineQueue[AccountName] = DeadlineQueue(
            clock, workers=_WORKERS, group=lambda account: account[0]
        )
        self._leading = False

    def store(self, scope: str) -> ServiceAccountStore:
        """For the informer of a scope, to be started when its resources are known."""
        return ServiceAccountStore(scope, self.states, self._changed)

    async def run(self) -> None:
        """Reconcile until cancelled; may be run again, after others have written."""
        self.states.begin_term()
        self._leading = True
        try:
            for name in self.states.names():
                self.queue.schedule_now(name)
            async with asyncio.TaskGroup() as group:
                for scope, watched in self.scopes.items():
                    group.create_task(watched.find_links(), name=f"links from before {scope}")
                    group.create_task(watched.check_all(), name=f"all ServiceAccounts {scope}")
                group.create_task(self.queue.run(_WORKERS, self._work), name="link workers")
        finally:
            self._leading = False

    def report_links(self, resource: Resource, result: Result) -> Result:
        """Request the links of a resource after its Secret was written, and report those that fail."""
        names = self._accounts_of(resource)
        self._request_links(resource, names)
        errors = [error for name in names if (error := self.states.peek(name).error)]
        if _links_all(resource) and (error := self._scope(resource.key.namespace).error):
            errors.append(error)
        if not errors or result.outcome is None or not result.outcome.succeeded:
            return result
        return replace(result, outcome=link_failed(result.outcome, errors))

    def request_links(self, resource: Resource) -> bool:
        """Request the links of a resource.

        Returns:
            Whether each is as it should be, or has failed. Otherwise the resource is enqueued after the last
            of their passes.
        """
        requested = self._request_links(resource, self._accounts_of(resource))
        if requested:
            self.states.get(requested[-1]).waiting |= {resource.key}
        return not requested

    def unlink(self, key: ResourceKey) -> None:
        """Request that the links of a resource that is gone are removed."""
        for name in self.states.recorded_for(key):
            self._request(name)

    def _scope(self, namespace: str) -> LinkScope:
        return self.scopes["" if "" in self.scopes else namespace]

    def _all_names(self, namespace: str) -> AbstractSet[str]:
        return self._scope(namespace).names(namespace)

    def _accounts_of(self, resource: Resource) -> list[AccountName]:
        """Where the resource asks for links, or has some by the record; nothing while they are left alone."""
        desired = resource.desired
        if not desired or desired.suspended or desired.links is None or desired.argo or desired.withdrawn:
            return []
        namespace = resource.key.namespace
        named = {(namespace, link.account) for link in desired.links if link.account != ALL_ACCOUNTS}
        if _links_all(resource):
            named |= {(namespace, name) for name in self._all_names(namespace)}
        return sorted(named | self.states.recorded_for(resource.key))

    def _request_links(self, resource: Resource, names: Collection[AccountName]) -> list[AccountName]:
        """Request a pass of each ServiceAccount that needs one; returns them in the order of the queue."""
        scope = self._scope(resource.key.namespace)
        if links_all := _links_all(resource):
            scope.want_all()
        if resource.desired and resource.desired.links and (names or links_all):
            scope.linked.set()
        has_secret = self._gatherer.has_secret(resource)
        requested = [
            name
            for name in names
            if not (state := self.states.peek(name)).error
            and not is_linked(state.account, resource, has_secret=has_secret)
        ]
        for name in requested:
            self._request(name)
        return requested

    def _request(self, name: AccountName, seconds: float = 0.0) -> None:
        """Have a pass after that many seconds, however often others change the ServiceAccount."""
        if self._leading:
            state = self.states.get(name)
            state.requested_at = min(state.requested_at, self._clock.monotonic() + seconds)
            self.queue.schedule_in(name, seconds)

    def _changed(self, name: AccountName, relisted: bool) -> None:  # noqa: FBT001 - the store's callback
        """The watch shows a change or a list; after a list, what failed may work."""
        if not self._leading:
            self.states.prune(name, self._clock.monotonic())
        elif relisted and self.states.peek(name).error:
            self._request(name)
        else:
            self.queue.schedule_now(name)

    async def _work(self, due: Due[AccountName]) -> None:
        name = due.key
        try:
            await self._reconcile(name)
        except Exception as error:  # noqa: BLE001 - one account's fault must not end the worker
            where = {"namespace": name[0], "service_account": name[1]}
            # The type alone: a text may hold a secret.
            log.error("unexpected error", error=type(error).__name__, **where)  # noqa: TRY400
            self._request(name, _AFTER_UNEXPECTED)

    async def _reconcile(self, name: AccountName) -> None:
        """Make one pass, unless the ServiceAccount has to rest."""
        state, now = self.states.get(name), self._clock.monotonic()
        if state.not_before > now:
            self.queue.schedule_in(name, state.not_before - now)
            return
        # A request from now on may come too late for this pass.
        requested, state.requested_at = state.requested_at <= now, math.inf
        if self._plan(state) is None:
            self._succeeded(name, state)
        elif not requested and (wait := REPAIR_LIMIT.wait(state.repairs, now)):
            error = _contested(name, "by another writer, which removes the links", wait)
            self._failed(name, state, error, requested=False)
        else:
            if not requested:
                state.repairs = REPAIR_LIMIT.note(state.repairs, now)
            await self._apply(name, state)

    async def _apply(self, name: AccountName, state: LinkState) -> None:
        """Read and write, and requeue by what came of it."""
        try:
            recheck = await self._read_and_write(name, state)
        except StaleObjectError:
            state.stale_writes += 1
            if state.stale_writes < _MOST_STALE_WRITES:
                self._request(name)
            else:
                self._failed(name, state, _contested(name, "while the operator writes it"))
        except OperatorError as error:
            self._failed(name, state, error)
        else:
            if not recheck and self._plan(state):
                # It was changed with our own write or since: a change by others, so not requested.
                self.queue.schedule_now(name)
            else:
                self._succeeded(name, state)
                if recheck:
                    self._request(name, recheck)

    async def _read_and_write(self, name: AccountName, state: LinkState) -> float:
        """Read once, write at most once; returns seconds until resources are looked up again, 0 for never."""
        account = await self._accounts.read(*name)
        if account is None:
            self.states.see(unseen(*name))
            self._scope(name[0]).gone(name)
            if self._plan(state):
                raise _link_failed(name, _ABSENT)
            return 0.0
        existing, unchecked = await self._gatherer.look_up(account)
        change = plan(self._gatherer.facts(account, existing | unchecked))
        if change:
            if len(change.annotation or "") > LARGEST_RECORD:
                raise _link_failed(name, _FULL)
            account = await self._accounts.patch(account, merge_patch(account, change))
        # The watch may have shown a later version meanwhile.
        if not state.account.is_newer_than(account):
            self.states.see(account)
        if change and unchecked:
            return _NEXT_FEW
        return _RECHECK if existing or unchecked else 0.0

    def _plan(self, state: LinkState) -> Change | None:
        """What has to be written, by all that was last seen."""
        facts = self._gatherer.facts(state.account)
        # Resources that link to all multiply: with 500 ServiceAccounts each rests ten times as long.
        many = max(len(self._all_names(state.account.namespace)) / _MANY_ACCOUNTS, 1.0)
        state.desired, state.size = facts.desired.keys(), int(facts.size * many)
        return plan(facts)

    def _failed(
        self, name: AccountName, state: LinkState, error: OperatorError, *, requested: bool = True
    ) -> None:
        """Note a failure and retry later; not `requested` where the retry undoes a change by others."""
        before = state.error
        self.states.set_error(name, error)
        state.failures += 1
        state.stale_writes = 0
        delay = link_retry_delay(error, state.failures, self._rng)
        delay = max(delay, self.states.failing[name[0]] * _RETRY_INTERVAL)
        state.not_before = self._clock.monotonic() + (delay if error.retry_after else state.rest())
        if requested:
            self._request(name, delay)
        else:
            self.queue.schedule_in(name, delay)
        self._report(state, changed=before is None or before.message != error.message)

    def _succeeded(self, name: AccountName, state: LinkState) -> None:
        now = self._clock.monotonic()
        state.not_before = now + state.rest()
        state.failures = state.stale_writes = 0
        failed = state.error is not None
        self.states.set_error(name, None)
        self._report(state, changed=failed)
        if (left := self.states.prune(name, now)) < math.inf:
            self.queue.schedule_in(name, left)

    def _report(self, state: LinkState, *, changed: bool) -> None:
        """Enqueue the resources that wait for the pass, and all whose outcome has changed with it."""
        for key in sorted(state.waiting, key=str):
            self._enqueue(key, 0.0)
        state.waiting = frozenset()
        if changed:
            for resource in self._gatherer.facts(state.account).resources.values():
                self._enqueue(resource.key, _REPORT_DELAY)


def _links_all(resource: Resource) -> bool:
    links = (resource.desired.links or ()) if resource.desired else ()
    return any(link.account == ALL_ACCOUNTS for link in links)


def _link_failed(name: AccountName, message: str, retry_after: float | None = None) -> OperatorError:
    return TransientError(Reason.LINK_FAILED, f"ServiceAccount {name[1]} {message}", retry_after=retry_after)


def _contested(name: AccountName, how: str, wait: float | None = None) -> OperatorError:
    message = f"keeps being changed {how}. It is linked at a limited rate; stop the other writer."
    return _link_failed(name, message, wait)
