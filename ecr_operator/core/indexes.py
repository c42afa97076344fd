"""Indexes of the cache: who shares a name, has a Secret, links a ServiceAccount; what is too much to keep."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Hashable, Iterator
from datetime import datetime
from typing import Final, Generic, TypeVar

import structlog

from ecr_operator.api.desired import Resource
from ecr_operator.api.names import ALL_ACCOUNTS
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.core.secret_view import SecretView

# Of all resources that share a name, these are enqueued when something happens to it.
CONTENDERS: Final = 2

log = structlog.get_logger(__name__)

# Namespace and name.
SecretName = tuple[str, str]
AccountName = tuple[str, str]

N = TypeVar("N", bound=Hashable)

_Age = tuple[datetime, str, ResourceKey]
"""Creation time, uid and key. Uids differ, so that keys are never compared."""


def count_down(counts: Counter[N], name: N) -> None:
    """Count one less, and keep no name that counts nothing."""
    counts[name] -= 1
    if not counts[name]:
        del counts[name]


class AgeIndex(Generic[N]):
    """Resources by a name that they share, the oldest first."""

    def __init__(self) -> None:
        self._ages: dict[N, list[_Age]] = {}

    def __contains__(self, name: N) -> bool:
        return name in self._ages

    def add(self, name: N, resource: Resource) -> None:
        """Add a resource."""
        insort(self._ages.setdefault(name, []), _age(resource))

    def remove(self, name: N, resource: Resource) -> None:
        """Remove a resource that was added."""
        ages = self._ages[name]
        del ages[bisect_left(ages, _age(resource))]
        if not ages:
            del self._ages[name]

    def contenders(self, name: N) -> list[ResourceKey]:
        """The oldest few."""
        return [key for *_, key in self._ages.get(name, ())[:CONTENDERS]]

    def older(self, name: N, resource: Resource) -> ResourceKey | None:
        """The oldest, if it is older than this resource."""
        ages = self._ages.get(name)
        if not ages or ages[0][2] == resource.key or ages[0] >= _age(resource):
            return None
        return ages[0][2]


def _age(resource: Resource) -> _Age:
    return resource.created_at, resource.uid, resource.key


class SecretIndex:
    """Secrets as last seen, by name and by owner."""

    def __init__(self) -> None:
        self._views: dict[SecretName, SecretView] = {}
        self._counts: Counter[str] = Counter()
        # By the owner's uid and the namespace, each sorted. Not sets: nearly all have one.
        self._owned: dict[tuple[str, str], list[SecretName]] = {}

    def get(self, name: SecretName | None) -> SecretView | None:
        """The Secret of that name."""
        return self._views.get(name) if name else None

    def names(self, scope: str) -> set[SecretName]:
        """Every Secret in a scope."""
        return {name for name in self._views if scope in ("", name[0])}

    def count(self, namespace: str) -> int:
        """How many there are in a namespace."""
        return self._counts[namespace]

    def owned_by(self, uid: str, namespace: str) -> list[SecretView]:
        """Every Secret of a namespace with that owner, by name."""
        return [self._views[name] for name in self._owned.get((uid, namespace), ())]

    def put(self, view: SecretView) -> None:
        """Add a Secret, or replace it."""
        name = (view.namespace, view.name)
        self.pop(name)
        self._views[name] = view
        self._counts[view.namespace] += 1
        if view.owner:
            insort(self._owned.setdefault((view.owner.uid, view.namespace), []), name)

    def pop(self, name: SecretName) -> SecretView | None:
        """Remove a Secret and return it."""
        view = self._views.pop(name, None)
        if view is None:
            return None
        count_down(self._counts, view.namespace)
        if view.owner:
            owned = self._owned[view.owner.uid, view.namespace]
            del owned[bisect_left(owned, name)]
            if not owned:
                del self._owned[view.owner.uid, view.namespace]
        return view


class LinkIndex:
    """Which resources link to which ServiceAccounts."""

    def __init__(self) -> None:
        self._keys: dict[AccountName, set[ResourceKey]] = {}

    def add(self, resource: Resource) -> None:
        """Add the links of a resource."""
        for account in _linked_accounts(resource):
            self._keys.setdefault(account, set()).add(resource.key)

    def remove(self, resource: Resource) -> None:
        """Remove the links of a resource that was added."""
        for account in _linked_accounts(resource):
            keys = self._keys[account]
            keys.discard(resource.key)
            if not keys:
                del self._keys[account]

    def to(self, account: AccountName) -> list[ResourceKey]:
        """Every resource that names that ServiceAccount."""
        return sorted(self._keys.get(account, ()), key=str)

    def any_to_all(self, namespace: str) -> bool:
        """Whether a resource of the namespace links to all of its ServiceAccounts."""
        return (namespace, ALL_ACCOUNTS) in self._keys

    def to_all(self, scope: str) -> list[ResourceKey]:
        """Every resource in a namespace, or all (an empty string), that links to all ServiceAccounts."""
        return [
            key
            for (namespace, account), keys in self._keys.items()
            if account == ALL_ACCOUNTS and scope in ("", namespace)
            for key in keys
        ]


def _linked_accounts(resource: Resource) -> list[AccountName]:
    desired = resource.desired
    links = (desired.links or ()) if desired and not desired.withdrawn else ()
    return [(resource.key.namespace, link.account) for link in links]


class NamespaceLimit:
    """Bounds the resources that are kept of each namespace; of further ones it keeps the names.

    Args:
        most: resources of one namespace that are kept.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._counts: Counter[str] = Counter()
        self._names: dict[str, dict[ResourceKey, None]] = {}

    def __contains__(self, key: ResourceKey) -> bool:
        """Whether a resource is known by its name only."""
        return key in self._names.get(key.namespace, ())

    def keys(self) -> Iterator[ResourceKey]:
        """The resources that are known by their names only."""
        return (key for keys in self._names.values() for key in keys)

    def admit(self, key: ResourceKey) -> bool:
        """Count a new resource; False if its name alone is kept."""
        if self._counts[key.namespace] < self.most:
            self.remove(key)
            self._counts[key.namespace] += 1
            return True
        if key.namespace not in self._names:
            log.warning(
                "a namespace has too many resources; further ones are not served",
                namespace=key.namespace,
                most=self.most,
            )
        self._names.setdefault(key.namespace, {})[key] = None
        return False

    def leave(self, namespace: str) -> None:
        """Count a resource that was admitted no longer."""
        count_down(self._counts, namespace)

    def remove(self, key: ResourceKey) -> None:
        """Remove a name."""
        if keys := self._names.get(key.namespace):
            keys.pop(key, None)
            if not keys:
                del self._names[key.namespace]

    def next(self, namespace: str) -> ResourceKey | None:
        """The first name for which the namespace has room now."""
        keys = self._names.get(namespace)
        return next(iter(keys)) if keys and self._counts[namespace] < self.most else None
