"""Brings one ServiceAccount to what the resources of its namespace wish of it.

Invariant: each write is made from what was read just before, in that very version; and nothing is taken out
for a resource before the API server says that it is gone.
"""

import contextlib
from collections.abc import Collection
from typing import Final

from ecr_operator.control.accounts import TendedAccounts
from ecr_operator.control.contests import Contests
from ecr_operator.control.inventory import AccountName, Inventory
from ecr_operator.control.ports import Clock, ResourceReader, ServiceAccounts
from ecr_operator.model.errors import OperatorError, StaleObjectError, TransientError
from ecr_operator.model.links import Account, Change, Link, Place, plan, stays, wished_links
from ecr_operator.model.outcome import Reason, ResourceKey
from ecr_operator.model.parsing import Resource

_ATTEMPTS: Final = 8
# For a resource that exists, and that our watch does not show yet.
_RECHECK: Final = 5.0
# Anybody who may write a ServiceAccount may fill its record with names, and others wait meanwhile.
_MOST_ASKED: Final = 100


class Tending:
    """Reads, plans and writes, one ServiceAccount at a time.

    Args:
        inventory: what was last seen of resources and Secrets.
        accounts: the API server's ServiceAccounts.
        resources: to make sure that a resource is gone.
        clock: the time.

    Attributes:
        tended: the ServiceAccounts with our label, as last seen.
    """

    def __init__(
        self, inventory: Inventory, accounts: ServiceAccounts, resources: ResourceReader, clock: Clock
    ) -> None:
        self._inventory = inventory
        self._accounts = accounts
        self._resources = resources
        self._clock = clock
        self._contests = Contests(clock)
        # What was put in before, so that putting it in again is known for a fight.
        self._added: dict[AccountName, frozenset[Place]] = {}
        self.tended = TendedAccounts()

    def forget_writes(self) -> None:
        """Drop what is kept of own writes: somebody else of us has written since."""
        self._contests = Contests(self._clock)
        self._added.clear()

    def needs_work(self, account: AccountName) -> bool:
        """Whether it has to be read or written, by all that is known."""
        known = self.tended.get(account)
        return self._plan(known) is not None if known else bool(self._wished(account))

    def concerned(self, account: AccountName) -> list[ResourceKey]:
        """The resources that name it now, or are named in its record."""
        known = self.tended.get(account)
        by = {_key(account[0], link.by) for link in known.record} if known else set()
        named = {resource.key for resource in self._inventory.linking(account)}
        return [key for key in sorted(by | named, key=str) if self._inventory.resource(key)]

    async def bring_about(self, account: AccountName) -> float | None:
        """Link and unlink what is to be.

        Returns:
            Seconds until it should be looked at again; None where it is as it should be.

        Raises:
            OperatorError: `LinkFailed`, or from the API server.
        """
        for _ in range(_ATTEMPTS):
            if not self.needs_work(account):
                self._forget_untended(account)
                return None
            present = await self._accounts.read(*account)
            if present is None:
                self.tended.drop(account)
                if self._wished(account):
                    raise _absent(account[1])
                continue
            living = await self._living(present)
            change = self._plan(present, living)
            if change is None:
                self.tended.put(present)
                return _RECHECK if living else None
            await self._write(account, present, change)
        raise _contested(account[1], "while the operator writes it", None)

    async def _write(self, account: AccountName, present: Account, change: Change) -> None:
        added = self._added.get(account, frozenset())
        if change.added & added or not (change.added | change.removed):
            if wait := self._contests.wait(account):
                raise _contested(account[1], "by somebody, who takes the links out", wait)
            self._contests.repaired(account)
        with contextlib.suppress(StaleObjectError):
            self.tended.put(await self._accounts.patch(present, change.patch))
            self._added[account] = (added | change.added) - change.removed

    def _forget_untended(self, account: AccountName) -> None:
        if self.tended.get(account) is None:
            self._added.pop(account, None)
            self._contests.forget(account)

    def _wished(self, account: AccountName) -> frozenset[Link]:
        return wished_links(account[1], self._inventory.linking(account), self._has_secret)

    def _plan(self, account: Account, living: Collection[str] = ()) -> Change | None:
        """What to write; `living` are resources that exist though they are not in the inventory."""
        name = (account.namespace, account.name)
        wished = self._wished(name)
        kept = {link for link in account.record if link.by in living or self._stays(account, link, wished)}
        return plan(account, wished, frozenset(kept), named=bool(self._inventory.linking(name)))

    def _stays(self, account: Account, link: Link, wished: frozenset[Link]) -> bool:
        by = self._inventory.resource(_key(account.namespace, link.by))
        if by:
            return stays(link, account.name, by, wished)
        # With deletion_policy Orphan the Secret outlives its resource, and so do its links.
        view = self._inventory.secret(account.namespace, link.secret)
        return bool(view and view.owner and not view.owner.controller and view.owner.name == link.by)

    async def _living(self, account: Account) -> set[str]:
        """Which resources of the record exist though they are not known: their watch may lag behind.

        Of too many some count as if they did; their turn comes when others are out of the record.
        """
        keys = {_key(account.namespace, link.by) for link in account.record}
        unknown = sorted((key for key in keys if not self._inventory.resource(key)), key=str)
        asked, presumed = unknown[:_MOST_ASKED], unknown[_MOST_ASKED:]
        found = {key.name for key in asked if await self._resources.uid_of(key) is not None}
        return found | {key.name for key in presumed}

    def _has_secret(self, resource: Resource) -> bool:
        name = resource.wanted.secret_name if resource.wanted else ""
        view = self._inventory.secret(resource.key.namespace, name)
        return bool(view and view.owner and view.owner.uid == resource.uid)


def _key(namespace: str, name: str) -> ResourceKey:
    return ResourceKey(kind="Secret", namespace=namespace, name=name)


def _absent(name: str) -> OperatorError:
    return TransientError(
        Reason.LINK_FAILED,
        f"ServiceAccount {name} does not exist. Create it, or take it out of spec.link_service_accounts; it "
        "is linked when it appears.",
    )


def _contested(name: str, how: str, wait: float | None) -> OperatorError:
    return TransientError(
        Reason.LINK_FAILED,
        f"ServiceAccount {name} is changed again and again {how}. It is linked at a bounded rate; stop the "
        "other writer.",
        retry_after=wait,
    )
