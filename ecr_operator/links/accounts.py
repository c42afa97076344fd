"""The ServiceAccounts that the operator tends, as last seen: those that bear its label."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from ecr_operator.core.cache import AccountName
from ecr_operator.links.plan import Account, LinkIndex, index_links, view_account

# Of one namespace: anybody may put our label on a ServiceAccount.
_MOST: Final = 500


class LinkedAccounts:
    """ServiceAccounts by namespace and name, and which resources their records name."""

    def __init__(self) -> None:
        self._known: defaultdict[str, dict[str, tuple[Account, LinkIndex]]] = defaultdict(dict)
        self._linked_by: defaultdict[tuple[str, str], set[AccountName]] = defaultdict(set)

    def get(self, name: AccountName) -> Account | None:
        """One of them, as last seen."""
        found = self._known.get(name[0], {}).get(name[1])
        return found[0] if found else None

    def index(self, name: AccountName) -> LinkIndex | None:
        """The links of one of them, as last seen."""
        found = self._known.get(name[0], {}).get(name[1])
        return found[1] if found else None

    def names(self, scope: str = "") -> set[AccountName]:
        """All of a namespace, or of all of them."""
        spaces = [scope] if scope else list(self._known)
        return {(space, name) for space in spaces for name in self._known.get(space, ())}

    def linked_by(self, namespace: str, resource: str) -> AbstractSet[AccountName]:
        """Those whose record names a resource."""
        return self._linked_by.get((namespace, resource), frozenset())

    def put(self, account: Account, *, named: bool = False) -> None:
        """Keep one, if it bears our label; of those that no resource names, only so many of a namespace."""
        name = (account.namespace, account.name)
        named = named or self.get(name) is not None
        self.drop(name)
        full = len(self._known.get(account.namespace, ())) >= _MOST
        if not account.labelled or (full and not named):
            return
        account = account.abridged()
        index = index_links(account)
        self._known[account.namespace][account.name] = (account, index)
        for resource in index.by_resource:
            self._linked_by[account.namespace, resource].add(name)

    def drop(self, name: AccountName) -> None:
        """Forget one that is gone or has lost our label."""
        space = self._known.get(name[0], {})
        _, index = space.pop(name[1], (None, None))
        if not space:
            self._known.pop(name[0], None)
        for resource in index.by_resource if index else ():
            linked = self._linked_by[name[0], resource]
            linked.discard(name)
            if not linked:
                del self._linked_by[name[0], resource]


class LinkedAccountStore:
    """The tended ServiceAccounts of one scope, as their informer sees them.

    Args:
        scope: a namespace, or an empty string for all.
        accounts: where they are kept.
        seen: called with each that may need something.
        listed: called with the scope when there is a new list.
    """

    def __init__(
        self,
        scope: str,
        accounts: LinkedAccounts,
        seen: Callable[[AccountName], None],
        listed: Callable[[str], None],
    ) -> None:
        self._scope = scope
        self._accounts = accounts
        self._seen = seen
        self._listed = listed

    def read(self, raw: Mapping[str, Any]) -> Account:
        """An object of a list."""
        return view_account(raw)

    def replaced(self, listed: Sequence[Account]) -> None:
        """A list: what is not in it is gone, and versions may have gone back with a restored etcd."""
        before = self._accounts.names(self._scope)
        for name in before:
            self._accounts.drop(name)
        for account in listed:
            self._accounts.put(account)
        for name in sorted(before | self._accounts.names(self._scope)):
            self._seen(name)
        self._listed(self._scope)

    def changed(self, raw: Mapping[str, Any]) -> None:
        """An object that was added or modified."""
        account = view_account(raw)
        name = (account.namespace, account.name)
        if self._is_old(account, name):
            return  # the echo of our own write, or older than it
        self._accounts.put(account)
        self._seen(name)

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """An object that is gone, or has lost our label."""
        account = view_account(raw)
        name = (account.namespace, account.name)
        if self._is_old(account, name):
            return
        self._accounts.drop(name)
        self._seen(name)

    def _is_old(self, account: Account, name: AccountName) -> bool:
        known = self._accounts.get(name)
        return (
            known is not None
            and known.uid == account.uid
            and int(account.resource_version) <= int(known.resource_version)
        )
