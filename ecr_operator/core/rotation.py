"""Which tokens are to be renewed because the long-lived keys behind them have changed.

Guarantees: they come up within two minutes, spread, and stay due until a token of the new keys is in their
Secret; what the keys were when a token was fetched is read from its Secret, so a restart finds it too.
Leaves out: when keys are read (named_objects and app), and the call (token_cache, which bounds it).
"""

from collections.abc import Callable, Collection
from datetime import datetime

from ecr_operator.api.desired import Resource
from ecr_operator.api.identity import Identity, KeyDigest
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.core.cache import Cache, identity_of
from ecr_operator.core.ports import Clock
from ecr_operator.core.schedule import rotation_deadline


class Rotation:
    """The renewals that changed keys make due.

    Args:
        cache: the resources and their Secrets.
        named_keys: the keys of an identity that a namespace names; None while they have not been read.
        schedule_at: has a resource looked at by then.
        clock: the time.
    """

    def __init__(
        self,
        cache: Cache,
        named_keys: Callable[[Identity], KeyDigest | None],
        schedule_at: Callable[[ResourceKey, datetime], None],
        clock: Clock,
    ) -> None:
        self._cache = cache
        self._named_keys = named_keys
        self._schedule_at = schedule_at
        self._clock = clock
        self._operator: KeyDigest | None = None
        self._due: dict[ResourceKey, datetime] = {}

    def operator_keys(self, now: KeyDigest) -> int:
        """The operator's own keys were read; returns how many resources they make due."""
        before, self._operator = self._operator, now
        return self.keys_read(before, now, self._cache.keys_of_operator())

    def keys_read(self, before: KeyDigest | None, now: KeyDigest, keys: Collection[ResourceKey]) -> int:
        """The keys of some resources were read; returns how many of these they make due.

        Args:
            before: at the last read; None if there was none.
            now: at this one.
            keys: the resources.
        """
        if before == now:
            return 0  # whoever writes the Secret in another way costs no look at each of them
        found = [resource for key in keys if (resource := self._cache.resource(key))]
        return sum(self._mark(resource, before, now) for resource in found)

    def compare(self, resource: Resource) -> None:
        """Compare the keys now with those that its Secret names: nobody else has since the start."""
        if (identity := identity_of(resource)) is None:
            return
        now = self._operator if identity.source == "operator" else self._named_keys(identity)
        if now is not None:
            self._mark(resource, None, now)

    def is_due(self, key: ResourceKey) -> bool:
        """Whether it is to be renewed now; where it is later, it comes up then."""
        at = self._due.get(key)
        if at is not None and at > self._clock.now():
            self._schedule_at(key, at)
            return False
        return at is not None

    def remove(self, key: ResourceKey) -> None:
        """It has a token of the present keys, or is gone."""
        self._due.pop(key, None)

    def clear(self) -> None:
        """Drop what is due: another leader may have done it."""
        self._due.clear()

    def _mark(self, resource: Resource, before: KeyDigest | None, now: KeyDigest) -> bool:
        view = self._cache.own_secret(resource)
        if view is None or view.times is None or not now.replaces(before, view.key_hash):
            return False
        if resource.key not in self._due:
            self._due[resource.key] = rotation_deadline(view.times, self._clock.now(), resource.uid)
        self._schedule_at(resource.key, self._due[resource.key])
        return True
