"""Brings one ServiceAccount to what the resources of its namespace wish of it.

Invariant: each write is made from what was read just before, in that very version; and nothing is taken out
for a resource before the API server says that it is gone.
"""

import random
from collections.abc import Collection
from typing import Final

import structlog

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import OperatorError, TransientError
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.core.cache import AccountName, Cache
from ecr_operator.core.ports import ResourceReader
from ecr_operator.links.accounts import LinkedAccounts
from ecr_operator.links.plan import LARGEST_RECORD, Account, Change, Link, link_specs, plan, stays
from ecr_operator.links.ports import ServiceAccounts

# For a resource that exists, and that our watch does not show yet.
_RECHECK: Final = 5.0
# For the next few of many names in a record that no known resource has.
_NEXT_FEW: Final = 1.0
# Anybody who may write a ServiceAccount may fill its record with names.
_MOST_ASKED: Final = 5

log = structlog.get_logger(__name__)


class AccountReconciler:
    """Reads, plans and writes, one ServiceAccount at a time.

    Args:
        cache: what was last seen of resources and Secrets.
        accounts: the API server's ServiceAccounts.
        resources: to make sure that a resource is gone.
        rng: picks which names of a long record are asked for.

    Attributes:
        linked: the ServiceAccounts with our label, as last seen.
    """

    def __init__(
        self,
        cache: Cache,
        accounts: ServiceAccounts,
        resources: ResourceReader,
        rng: random.Random | None = None,
    ) -> None:
        self._cache = cache
        self._accounts = accounts
        self._resources = resources
        self._rng = rng or random.Random()  # noqa: S311 - a sample, not a secret
        # Accounts whose record is ignored, for the log to say so once.
        self._ignored: set[AccountName] = set()
        self.linked = LinkedAccounts()

    def needs_work(self, account: AccountName) -> bool:
        """Whether it has to be read or written, by all that is known; linear in `size`."""
        known = self.linked.get(account)
        return self._plan(known) is not None if known else bool(self._wished(account))

    def size(self, account: AccountName) -> int:
        """How many links and entries a look at it goes through."""
        known = self.linked.get(account)
        entries = len(known.record) + sum(map(len, known.entries.values())) if known else 0
        return len(self._cache.linking(account)) + entries

    def accounts_of(self, resource: Resource) -> set[AccountName]:
        """Those that the resource names, and those whose record names it."""
        namespace = resource.key.namespace
        links = (resource.desired.links or ()) if resource.desired else ()
        named = {(namespace, link.account) for link in links}
        return named | self.linked.linked_by(namespace, resource.key.name)

    def is_linked(self, key: ResourceKey, account: AccountName) -> bool:
        """Whether a resource's own links to it are as they should be, by all that is known.

        Whatever the number of other resources, in constant time. Where it is False, `needs_work` is True.
        """
        resource = self._cache.resource(key)
        if resource is None:
            return True
        wished = link_specs(account[1], (resource,), self._has_secret)
        known, index = self.linked.get(account), self.linked.index(account)
        if known is None or index is None:
            return not wished
        recorded = index.by_resource.get(key.name, ())
        return index.has(wished) and all(
            link in wished or self._stays(known, link, wished) for link in recorded
        )

    def concerned(self, account: AccountName) -> list[ResourceKey]:
        """The resources that name it now, or are named in its record."""
        index = self.linked.index(account)
        by = {_key(account[0], name) for name in index.by_resource} if index else set()
        named = {resource.key for resource in self._cache.linking(account)}
        return [key for key in sorted(by | named, key=str) if self._cache.resource(key)]

    async def bring_about(self, account: AccountName) -> float | None:
        """Link and unlink what is to be, with one read and at most one write.

        Returns:
            Seconds until it should be looked at again, 0 where it is not yet as it should be; None where
            it is.

        Raises:
            StaleObjectError: somebody else wrote it meanwhile; try again.
            OperatorError: `LinkFailed`, or from the API server.
        """
        present = await self._accounts.read(*account)
        if present is None:
            self.linked.drop(account)
            if self._wished(account):
                raise _absent(account[1])
            return None
        self.report_ignored(present)
        named = bool(self._cache.linking(account))
        living, presumed = await self._living(present)
        change = self._plan(present, living | presumed)
        if change is None:
            self.linked.put(present, named=named)
        elif change.can_be_recorded:
            self.linked.put(await self._accounts.patch(present, change.patch), named=named)
        else:
            raise _full(account[1])
        if presumed and change:
            return _NEXT_FEW
        if living or presumed:
            return _RECHECK
        return 0.0 if self.needs_work(account) else None

    def report_ignored(self, account: Account) -> None:
        """Say once that the record of an account is too long to be read."""
        name = (account.namespace, account.name)
        if account.record_ignored and name not in self._ignored:
            self._ignored.add(name)
            log.warning(
                "a record of links is too long and is ignored",
                limit=LARGEST_RECORD,
                namespace=account.namespace,
                service_account=account.name,
            )

    def forget(self, account: AccountName) -> None:
        """Drop what is kept of an account that is gone."""
        self._ignored.discard(account)

    def _wished(self, account: AccountName) -> frozenset[Link]:
        return link_specs(account[1], self._cache.linking(account), self._has_secret)

    def _plan(self, account: Account, living: Collection[str] = ()) -> Change | None:
        """What to write; `living` are resources that exist though they are not in the inventory."""
        links = self._cache.linking((account.namespace, account.name))
        wished = link_specs(account.name, links, self._has_secret)
        kept = {link for link in account.record if link.by in living or self._stays(account, link, wished)}
        return plan(account, wished, frozenset(kept), named=bool(links))

    def _stays(self, account: Account, link: Link, wished: frozenset[Link]) -> bool:
        by = self._cache.resource(_key(account.namespace, link.by))
        if by:
            return stays(link, account.name, by, wished)
        # With deletion_policy Orphan the Secret outlives its resource, and so do its links.
        view = self._cache.secret(account.namespace, link.secret)
        return bool(view and view.owner and not view.owner.controller and view.owner.name == link.by)

    async def _living(self, account: Account) -> tuple[set[str], set[str]]:
        """Which resources of the record exist though they are not known: their watch may lag behind.

        Returns:
            The names of those that were found, and of those that were not asked for: of many a few are, and
            the others count as if they existed until their turn comes.
        """
        names = {link.by for link in account.record}
        unknown = sorted(name for name in names if not self._cache.resource(_key(account.namespace, name)))
        asked = set(self._rng.sample(unknown, min(_MOST_ASKED, len(unknown))))
        found = {
            name
            for name in sorted(asked)
            if await self._resources.uid_of(_key(account.namespace, name)) is not None
        }
        return found, set(unknown) - asked

    def _has_secret(self, resource: Resource) -> bool:
        name = resource.desired.secret_name if resource.desired else ""
        view = self._cache.secret(resource.key.namespace, name)
        return bool(view and view.owner and view.owner.uid == resource.uid)


def _key(namespace: str, name: str) -> ResourceKey:
    return ResourceKey(kind="Secret", namespace=namespace, name=name)


def contested(name: str, how: str, wait: float | None) -> OperatorError:
    """Others write an account all the time; `wait` in seconds, None for the usual delay."""
    return TransientError(
        Reason.LINK_FAILED,
        f"ServiceAccount {name} is changed again and again {how}. It is linked at a bounded rate; stop the "
        "other writer.",
        retry_after=wait,
    )


def _absent(name: str) -> OperatorError:
    return TransientError(
        Reason.LINK_FAILED,
        f"ServiceAccount {name} does not exist. Create it, or take it out of spec.link_service_accounts; it "
        "is linked when it appears.",
    )


def _full(name: str) -> OperatorError:
    return TransientError(
        Reason.LINK_FAILED,
        f"ServiceAccount {name} is named by too many resources: its record of links would be longer than "
        f"{LARGEST_RECORD} characters. Remove it from spec.link_service_accounts of some.",
    )
