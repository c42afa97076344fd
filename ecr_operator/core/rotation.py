"""Rotation: which tokens are renewed because the long-lived keys behind them have changed.

Guarantees: they come up within two minutes, spread, and stay due until a token of the new keys is in their
Secret; what the keys were when a token was fetched is read from its Secret, so a restart finds it too.
Leaves out: when keys are read (named_objects, own_credentials), and the call (tokens, which limits its rate).
"""

from collections.abc import Callable, Collection
from datetime import datetime

from ecr_operator.api.identity import Identity, KeyDigest
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.core.cache import Cache
from ecr_operator.core.ports import Clock
from ecr_operator.core.schedule import rotation_deadline
from ecr_operator.core.state import ResourceState


class Rotation:
    """The renewals that changed keys make due.

    Args:
        cache: the resources and their Secrets.
        named_keys: the keys of an identity that a namespace names; None while they have not been read.
        schedule_at: enqueues a resource for then.
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
            return 0  # a write that changes no key must not cost a look at thousands of resources
        found = [state for key in keys if (state := self._cache.get(key))]
        return sum(self._mark(state, before, now) for state in found)

    def compare(self, state: ResourceState) -> None:
        """Compare the keys now with those that its Secret names: nothing else has since the start."""
        if (identity := state.resource.identity) is None:
            return
        now = self._operator if identity.source == "operator" else self._named_keys(identity)
        if now is not None:
            self._mark(state, None, now)

    def is_due(self, state: ResourceState) -> bool:
        """Whether its token is to be renewed now; where that is later, it is enqueued for then."""
        at = state.rotation_due
        if at is not None and at > self._clock.now():
            self._schedule_at(state.key, at)
            return False
        return at is not None

    def _mark(self, state: ResourceState, before: KeyDigest | None, now: KeyDigest) -> bool:
        resource = state.resource
        view = self._cache.own_secret(resource)
        if view is None or view.times is None or not now.replaces(before, view.key_hash):
            return False
        if state.rotation_due is None:
            state.rotation_due = rotation_deadline(view.times, self._clock.now(), resource.uid)
        self._schedule_at(state.key, state.rotation_due)
        return True
