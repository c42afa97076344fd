"""Which ServiceAccounts have to be watched: the linked ones, and for links to `name: "*"` the names of all.

Invariant: nothing is asked about ServiceAccounts while no resource names any, except one list after a start;
a name is known only while the watch shows it.
Leaves out: the watches themselves, and what is linked, which the labelled ServiceAccounts show (state).
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import structlog

from ecr_operator.api.errors import OperatorError, PermanentError
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.core.cache import Cache
from ecr_operator.core.indexes import AccountName
from ecr_operator.core.ports import Clock
from ecr_operator.core.schedule import kubernetes_retry_delay
from ecr_operator.links.state import MOST_NAMES, ServiceAccounts

log = structlog.get_logger(__name__)


class LinkScope:
    """The ServiceAccounts of one scope; for the informer of all of them, a store that keeps their names.

    Args:
        scope: a namespace, or an empty string for all.
        request: called with a ServiceAccount that is new where a resource links to all.
        enqueue: enqueues a resource after that many seconds.

    Attributes:
        linked: set once the linked ones have to be watched.
        all: set while all have to be watched, and can be.
        error: why they can't be listed.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        scope: str,
        *,
        cache: Cache,
        accounts: ServiceAccounts,
        clock: Clock,
        rng: random.Random,
        request: Callable[[AccountName], None],
        enqueue: Callable[[ResourceKey, float], None],
    ) -> None:
        self._scope = scope
        self._cache = cache
        self._accounts = accounts
        self._clock = clock
        self._rng = rng
        self._request = request
        self._enqueue = enqueue
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        self._reported: set[str] = set()  # namespaces of which the log says that they have too many
        self._all_wanted = asyncio.Event()
        self.linked = asyncio.Event()
        self.all = asyncio.Event()
        self.error: OperatorError | None = None

    async def find_links(self) -> None:
        """Find out whether links are left of resources that were deleted while no operator ran."""
        failures = 0
        while not self.linked.is_set():
            try:
                if await self._accounts.any_linked(self._scope):
                    self.linked.set()
            except PermanentError as error:
                # The rules for it are an optional component; without it there are no links.
                log.debug("can't list linked ServiceAccounts", reason=error.reason)
                return
            except OperatorError as error:
                failures += 1
                await self._clock.sleep(kubernetes_retry_delay(error, failures, self._rng))
            else:
                return

    async def check_all(self) -> None:
        """Whenever a first resource links to all, find out whether they can be listed; until cancelled."""
        while True:
            await self._all_wanted.wait()
            failures = 0
            while not self.all.is_set():
                try:
                    await self._accounts.any_linked(self._scope)
                except OperatorError as error:
                    failures += 1
                    self._set_error(error)
                    await self._clock.sleep(kubernetes_retry_delay(error, failures, self._rng))
                else:
                    self._set_error(None)
                    self.all.set()
            self._all_wanted.clear()

    def _set_error(self, error: OperatorError | None) -> None:
        before, self.error = self.error, error
        if (before and before.message) != (error and error.message):
            for key in self._cache.links.to_all(self._scope):
                self._enqueue(key, 0.0)

    def want_all(self) -> None:
        """A resource links to all."""
        self._all_wanted.set()

    def is_all_wanted(self) -> bool:
        """Whether a resource still links to all."""
        return bool(self._cache.links.to_all(self._scope))

    def all_ended(self) -> None:
        """The watch of all has ended, as no resource linked to them any more."""
        self.all.clear()
        self.replaced(())
        if self.is_all_wanted():
            self.want_all()  # by one that has come meanwhile

    def names(self, namespace: str) -> AbstractSet[str]:
        """All ServiceAccounts of a namespace, as far as the watch shows them."""
        return self._names.get(namespace, frozenset())

    def read(self, raw: Mapping[str, Any]) -> AccountName:
        """An object of a list."""
        return raw["metadata"]["namespace"], raw["metadata"]["name"]

    def replaced(self, listed: Sequence[AccountName]) -> None:
        """A list: what is not in it is gone."""
        before, self._names = self._names, defaultdict(set)
        for name in listed:
            self._add(name, is_new=name[1] not in before.get(name[0], ()))

    def changed(self, raw: Mapping[str, Any]) -> None:
        """An object that was added or modified."""
        name = self.read(raw)
        self._add(name, is_new=name[1] not in self.names(name[0]))

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """An object that is gone."""
        self.gone(self.read(raw))

    def gone(self, name: AccountName) -> None:
        """A ServiceAccount that does not exist."""
        if name[1] in self.names(name[0]):
            self._names[name[0]].discard(name[1])
            if not self._names[name[0]]:
                del self._names[name[0]]
                self._reported.discard(name[0])

    def _add(self, name: AccountName, *, is_new: bool) -> None:
        namespace, names = name[0], self._names[name[0]]
        if len(names) == MOST_NAMES and name[1] not in names:
            if namespace not in self._reported and self._cache.links.any_to_all(namespace):
                self._reported.add(namespace)
                log.warning("not all ServiceAccounts are linked", limit=MOST_NAMES, namespace=namespace)
            return
        names.add(name[1])
        if is_new and self._cache.links.any_to_all(namespace):
            self._request(name)
