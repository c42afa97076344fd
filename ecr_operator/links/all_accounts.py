"""The names of all ServiceAccounts, for resources that link to `name: "*"`.

Invariant: nothing is watched or listed unless a resource links to all; a name is known only while the watch
shows it. Leaves out: what is linked, which the labelled ServiceAccounts show (state).
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.core.cache import Cache
from ecr_operator.core.indexes import AccountName
from ecr_operator.core.ports import Clock, Demand
from ecr_operator.core.schedule import kubernetes_retry_delay
from ecr_operator.links.state import MOST_NAMES, ServiceAccounts

log = structlog.get_logger(__name__)


class AllAccounts:
    """All ServiceAccounts of the scopes in which a resource links to all.

    Args:
        cache: the resources.
        accounts: shows whether ServiceAccounts can be listed at all.
        clock: both times.
        rng: the source of jitter.
        scopes: the namespaces that are watched; an empty string for all.
        request: called with a ServiceAccount that is new where a resource links to all.
        enqueue: enqueues a resource after that many seconds.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        *,
        cache: Cache,
        accounts: ServiceAccounts,
        clock: Clock,
        rng: random.Random,
        scopes: Sequence[str],
        request: Callable[[AccountName], None],
        enqueue: Callable[[ResourceKey, float], None],
    ) -> None:
        self._cache = cache
        self._accounts = accounts
        self._clock = clock
        self._rng = rng
        self._request = request
        self._enqueue = enqueue
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        self._reported: set[str] = set()  # those of which the log says that they have too many
        self._errors: dict[str, OperatorError] = {}
        self._wanted = {scope: Demand() for scope in scopes}
        self._watched = {scope: asyncio.Event() for scope in scopes}

    def watched(self, scope: str) -> asyncio.Event:
        """Set once all ServiceAccounts of a scope have to be watched, and can be."""
        return self._watched[scope]

    def store(self, scope: str) -> "AllAccountsStore":
        """For the informer of a scope."""
        return AllAccountsStore(scope, self)

    def want(self, namespace: str) -> None:
        """A resource of a namespace links to all."""
        self._wanted[self._scope(namespace)].change(needed=True)

    def is_wanted(self, scope: str) -> bool:
        """Whether a resource still links to all."""
        return bool(self._cache.links.to_all(scope))

    def ended(self, scope: str) -> None:
        """The watch of a scope has ended, as no resource links to all any more."""
        self._watched[scope].clear()
        self.saw_all(scope, ())
        self._wanted[scope].change(needed=False)
        if self.is_wanted(scope):
            self._wanted[scope].change(needed=True)  # by one that has come meanwhile

    def names(self, namespace: str) -> set[AccountName]:
        """The ServiceAccounts of a namespace."""
        return {(namespace, name) for name in self._names.get(namespace, ())}

    def number(self, namespace: str) -> int:
        """How many there are in a namespace."""
        return len(self._names.get(namespace, ()))

    def exists(self, name: AccountName) -> bool:
        """Whether the watch shows a ServiceAccount."""
        return name[1] in self._names.get(name[0], ())

    def error(self, namespace: str) -> OperatorError | None:
        """Why they can't be listed."""
        return self._errors.get(self._scope(namespace))

    async def run(self) -> None:
        """Whenever a first resource links to all, find out whether that is permitted; until cancelled."""
        async with asyncio.TaskGroup() as group:
            for scope in self._wanted:
                group.create_task(self._check(scope), name=f"all ServiceAccounts {scope}")

    async def _check(self, scope: str) -> None:
        while True:
            failures = 0
            await self._wanted[scope].on.wait()
            while not self._watched[scope].is_set():
                try:
                    await self._accounts.any_linked(scope)
                except OperatorError as error:
                    failures += 1
                    self._set_error(scope, error)
                    await self._clock.sleep(kubernetes_retry_delay(error, failures, self._rng))
                else:
                    self._set_error(scope, None)
                    self._watched[scope].set()
            await self._wanted[scope].off.wait()

    def _set_error(self, scope: str, error: OperatorError | None) -> None:
        before = self._errors.pop(scope, None)
        if error:
            self._errors[scope] = error
        if (before and before.message) != (error and error.message):
            for key in self._cache.links.to_all(scope):
                self._enqueue(key, 0.0)

    def saw_all(self, scope: str, names: Sequence[AccountName]) -> None:
        """A list of a scope."""
        before = {space: self._names.pop(space) for space in list(self._names) if scope in ("", space)}
        for namespace, name in names:
            self._add(namespace, name, is_new=name not in before.get(namespace, ()))

    def saw(self, name: AccountName) -> None:
        """A ServiceAccount that was added or modified."""
        self._add(*name, is_new=not self.exists(name))

    def gone(self, name: AccountName) -> None:
        """A ServiceAccount that does not exist."""
        if self.exists(name):
            self._names[name[0]].discard(name[1])
            self._reported.discard(name[0])
            if not self._names[name[0]]:
                del self._names[name[0]]

    def _add(self, namespace: str, name: str, *, is_new: bool) -> None:
        names = self._names[namespace]
        if len(names) == MOST_NAMES and name not in names:
            if namespace not in self._reported and self._cache.links.any_to_all(namespace):
                self._reported.add(namespace)
                log.warning("not all ServiceAccounts are linked", limit=MOST_NAMES, namespace=namespace)
            return
        names.add(name)
        if is_new and self._cache.links.any_to_all(namespace):
            self._request((namespace, name))

    def _scope(self, namespace: str) -> str:
        return "" if "" in self._wanted else namespace


class AllAccountsStore:
    """The ServiceAccounts of one scope, as their informer sees them: their names alone are kept."""

    def __init__(self, scope: str, accounts: AllAccounts) -> None:
        self._scope = scope
        self._accounts = accounts

    def read(self, raw: Mapping[str, Any]) -> AccountName:
        """An object of a list."""
        return raw["metadata"]["namespace"], raw["metadata"]["name"]

    def replaced(self, listed: Sequence[AccountName]) -> None:
        """A list: what is not in it is gone."""
        self._accounts.saw_all(self._scope, listed)

    def changed(self, raw: Mapping[str, Any]) -> None:
        """An object that was added or modified."""
        self._accounts.saw(self.read(raw))

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """An object that is gone."""
        self._accounts.gone(self.read(raw))
