"""Which scopes' linked ServiceAccounts have to be watched: those where there are or were links.

Invariant: nothing is asked about ServiceAccounts while no resource names any, except one list after a start.
Leaves out: the watch itself, and all ServiceAccounts (all_accounts).
"""

import asyncio
import random
from collections.abc import Sequence

import structlog

from ecr_operator.api.errors import OperatorError, PermanentError
from ecr_operator.core.ports import Clock
from ecr_operator.core.schedule import kubernetes_retry_delay
from ecr_operator.links.state import ServiceAccounts

log = structlog.get_logger(__name__)


class LinkScopes:
    """The scopes, and which of them have links.

    Args:
        accounts: shows whether any ServiceAccount is linked.
        clock: both times.
        rng: the source of jitter.
        scopes: the namespaces that are watched; an empty string for all.
    """

    def __init__(
        self, accounts: ServiceAccounts, clock: Clock, rng: random.Random, scopes: Sequence[str]
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._rng = rng
        self._used = {scope: asyncio.Event() for scope in scopes}

    def used(self, scope: str) -> asyncio.Event:
        """Set once the linked ServiceAccounts of a scope have to be watched."""
        return self._used[scope]

    def use(self, namespace: str) -> None:
        """A resource of a namespace names ServiceAccounts."""
        self._used["" if "" in self._used else namespace].set()

    async def find_links(self) -> None:
        """Find out whether links are left of resources that were deleted while no operator ran."""
        async with asyncio.TaskGroup() as group:
            for scope in self._used:
                group.create_task(self._find_links(scope), name=f"links from before {scope}")

    async def _find_links(self, scope: str) -> None:
        failures = 0
        while not self._used[scope].is_set():
            try:
                if await self._accounts.any_linked(scope):
                    self._used[scope].set()
            except PermanentError as error:
                # The rules for it are an optional component; without it there are no links.
                log.debug("can't list linked ServiceAccounts", reason=error.reason)
                return
            except OperatorError as error:
                failures += 1
                await self._clock.sleep(kubernetes_retry_delay(error, failures, self._rng))
            else:
                return
