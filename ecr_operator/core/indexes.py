"""Indexes of the cache: which resources share a name, and which of a namespace are too many to be kept."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Hashable, Iterator
from datetime import datetime
from typing import Final, Generic, TypeVar

import structlog

from ecr_operator.api.desired import Resource
from ecr_operator.api.outcome import ResourceKey

# Of all resources that share a name, these are enqueued when something happens to it.
CONTENDERS: Final = 2

log = structlog.get_logger(__name__)

N = TypeVar("N", bound=Hashable)

_Age = tuple[datetime, str, ResourceKey]
"""Creation time, uid and key. Uids differ, so that keys are never compared."""


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
        self._counts[namespace] -= 1
        if not self._counts[namespace]:
            del self._counts[namespace]

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
