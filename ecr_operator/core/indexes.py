"""Which resources share a name: of a Secret, of a ServiceAccount, of a login for Argo CD."""

from bisect import bisect_left, insort
from collections.abc import Hashable
from datetime import datetime
from typing import Final, Generic, TypeVar

from ecr_operator.api.desired import Resource
from ecr_operator.api.outcome import ResourceKey

# Of all resources that share a name, these are enqueued when something happens to it.
CONTENDERS: Final = 2

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
