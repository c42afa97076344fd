"""ClusterSecrets and the namespaces that they serve.

For each namespace that a ClusterSecret serves the cache has a part (`ResourceKey`), which goes the way of
every other resource; what the parts have come to is gathered into one outcome. Invariants: nothing is served,
and nothing deleted, before all namespaces are known; a namespace that is being deleted is left alone;
`namespaces` that are not valid change nothing; the loop is not held up, however many namespaces there are; in
the cache a ClusterSecret follows its parts.
Leaves out: what is done with a part (reconcile), and the status (worker).
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ecr_operator.api.desired import Resource
from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.namespaces import NamespaceSelection, observed_namespaces
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.api.parsing import is_deleting, parse_resource, requested_refresh, status_of
from ecr_operator.api.text import intern_text, mapping_in
from ecr_operator.core.cache import Cache, key_of
from ecr_operator.core.cluster_outcome import Part, Verdict, gather, judge, judge_unreported, unreported
from ecr_operator.core.ports import Clock, Demand
from ecr_operator.core.state import ResourceState, Result, spec_version

# How long parts are placed before other tasks run.
_TIME_SLICE: Final = 0.005
# Seconds in which changes of parts are gathered for an outcome of the whole.
GATHERING: Final = 0.3
# After a start, how long the status that there is stands while parts have their first pass.
_LONGEST_START: Final = 10.0

Labels = Mapping[str, str]


class ClusterSecrets:
    """All ClusterSecrets, as their informer sees them, and their parts.

    Args:
        cache: gets the parts, and each ClusterSecret without its spec.
        enqueue: called with a ClusterSecret whose outcome may have changed.
        clock: the time.

    Attributes:
        needed: whether namespaces have to be watched.
    """

    def __init__(self, cache: Cache, enqueue: Callable[[ResourceKey], None], clock: Clock) -> None:
        self.needed = Demand()
        self._cache = cache
        self._enqueue = enqueue
        self._clock = clock
        self._known: dict[ResourceKey, Resource] = {}
        # The last valid one of each, which its status has too, for after a restart.
        self._selections = dict[ResourceKey, NamespaceSelection]()
        # The keys of its parts by namespace.
        self._parts: defaultdict[ResourceKey, dict[str, ResourceKey]] = defaultdict(dict)
        # None until they are listed. Without those that are being deleted.
        self._namespaces: dict[str, Labels] | None = None
        # Namespaces in which a part is to be put, changed or removed.
        self._unplaced: dict[ResourceKey, dict[str, None]] = {}
        self._any_unplaced = asyncio.Event()
        self._changed: set[ResourceKey] = set()

    def read(self, raw: Mapping[str, Any]) -> Resource:
        """An object of a list."""
        return parse_resource(CLUSTER, raw)

    def replaced(self, listed: Sequence[Resource]) -> None:
        """A list: what is not in it was deleted."""
        for key in self._known.keys() - {resource.key for resource in listed}:
            self._remove(key)
        for resource in listed:
            self._put(resource)

    def changed(self, raw: Mapping[str, Any]) -> None:
        """An object that was added or modified."""
        metadata = raw["metadata"]
        known = self._known.get(key_of(CLUSTER, raw))
        seen = (metadata["uid"], metadata.get("generation"), is_deleting(metadata))
        if known and (known.uid, known.generation, known.deleting) == seen:
            self._put(known.with_status(status_of(raw), requested_refresh(metadata)))
        else:
            self._put(parse_resource(CLUSTER, raw))

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """An object that was deleted."""
        self._remove(key_of(CLUSTER, raw))

    def set_namespaces(self, found: Mapping[str, Labels]) -> None:
        """All namespaces that there are, with their labels."""
        if self._namespaces is not None:
            for name in {*self._namespaces, *found}:
                self.set_namespace(name, found.get(name))
            return
        self._namespaces = dict(found)
        # The oldest first: of two that name one Secret it is to be known first.
        for resource in sorted(self._known.values(), key=lambda each: (each.created_at, each.uid)):
            self._place_later(resource.key, (*self._parts[resource.key], *found))

    def set_namespace(self, name: str, labels: Labels | None) -> None:
        """A namespace has these labels; None: it is being deleted, or gone."""
        namespaces = self._namespaces
        if namespaces is None or namespaces.get(name) == labels:
            return
        if labels is None:
            del namespaces[name]
        else:
            namespaces[intern_text(name)] = labels
        for key in self._known:
            self._place_later(key, (name,))

    def forget_namespaces(self) -> None:
        """The watch of namespaces has ended, after the last ClusterSecret."""
        self._namespaces = None

    async def run(self) -> None:
        """Place parts, for some milliseconds at a time, until cancelled."""
        while True:
            await self._any_unplaced.wait()
            began = self._clock.monotonic()
            while self._unplaced:
                self._place_next(next(iter(self._unplaced)))
                if self._clock.monotonic() - began >= _TIME_SLICE:
                    await asyncio.sleep(0)
                    began = self._clock.monotonic()
            self._any_unplaced.clear()

    def outcome(self, state: ResourceState) -> Result:
        """What a ClusterSecret has come to in all of its namespaces; none while that is not known yet."""
        key, now = state.key, self._clock.monotonic()
        resource = self._known.get(key)
        if resource is None or resource.deleting:
            return Result(outcome=None)
        states = [found for each in self._parts[key].values() if (found := self._cache.get(each))]
        if key in self._unplaced or self._is_starting(state, states, now):
            return Result(outcome=None, requeue_after=GATHERING)
        state.reconciled = spec_version(resource)
        parts = sorted(self._views(resource, states), key=lambda part: part.namespace)
        return gather(resource, self._selections.get(key), parts, self._clock.now())

    def _is_starting(self, state: ResourceState, parts: Sequence[ResourceState], now: float) -> bool:
        """Whether the status that there is may stand, since parts have not had their first pass of a term."""
        resource = state.resource
        if state.reconciled or resource.status.get("observedGeneration") != resource.generation:
            return False
        state.gathering_since = state.gathering_since or now
        if now - state.gathering_since >= _LONGEST_START:
            return False
        return any(part.reconciled is None for part in parts)

    def _views(self, resource: Resource, states: Iterable[ResourceState]) -> Iterable[Part]:
        """The parts as the outcome of the whole sees them."""
        names = {resource.status.get("secretName"), resource.desired and resource.desired.secret_name}
        now, verdicts = self._clock.now(), dict[int, Verdict]()
        for state in states:
            part, status = state.resource, state.resource.status
            view = self._cache.own_secret(part)
            # Anybody may name the ClusterSecret as the owner of another Secret.
            view = view if view and view.name in names else None
            if status.get("observedGeneration") != part.generation:
                verdict = judge_unreported(part, view, now)
            elif id(status) in verdicts:  # most have the very same
                verdict = verdicts[id(status)]
            else:
                verdict = verdicts[id(status)] = judge(status)
            yield Part(
                namespace=part.key.namespace,
                verdict=verdict,
                view=view,
                is_served=not (part.desired and part.desired.withdrawn),
            )

    def _put(self, resource: Resource) -> None:
        key, known = resource.key, self._known.get(resource.key)
        if known and known.uid != resource.uid:
            self._remove(key)
            known = None
        self._known[key] = resource
        valid = resource.desired.namespaces if resource.desired else None
        if selection := valid or self._selections.get(key) or observed_namespaces(resource.status):
            self._selections[key] = selection
        self.needed.change(needed=True)
        if known and known.with_status(resource.status, known.refresh_requested) == resource:
            if self._cache.resource(key):
                self._cache.put_resources([resource.without_spec()])  # the echo of its status
        elif self._namespaces is not None:
            self._place_later(key, (*self._parts[key], *self._namespaces))

    def _remove(self, key: ResourceKey) -> None:
        if self._known.pop(key, None) is None:
            return
        self._selections.pop(key, None)
        self._cache.remove_resource(key)
        self._place_later(key, self._parts[key])
        self.needed.change(needed=bool(self._known))

    def _place_later(self, key: ResourceKey, namespaces: Iterable[str]) -> None:
        self._unplaced.setdefault(key, {}).update(dict.fromkeys(namespaces))
        self._any_unplaced.set()

    def _place_next(self, key: ResourceKey) -> None:
        """Place the next part of a ClusterSecret, which then waits for the others; after the last, itself."""
        namespaces = self._unplaced.pop(key)
        if namespaces:
            namespace = next(iter(namespaces))
            del namespaces[namespace]
            self._place(key, namespace)
        if namespaces:
            self._unplaced[key] = namespaces
        else:
            self._place_whole(key)

    def _place(self, key: ResourceKey, namespace: str) -> None:
        """Put, change or remove a part."""
        resource, parts = self._known.get(key), self._parts[key]
        part_key = parts.get(namespace) or replace(key, namespace=namespace)
        known = self._cache.resource(part_key)
        if known and resource and known.uid != resource.uid:
            self._cache.remove_resource(part_key)  # of another ClusterSecret of this name
            known = None
        part = self._part(resource, part_key, known) if resource else None
        if part == known:
            return
        self._changed.add(key)
        if part:
            parts[namespace] = part_key
            self._cache.put_resources([part])
        else:
            parts.pop(namespace, None)
            self._cache.remove_resource(part_key)

    def _place_whole(self, key: ResourceKey) -> None:
        resource, cached = self._known.get(key), self._cache.resource(key)
        changed = key in self._changed
        self._changed.discard(key)
        if resource is None:
            self._parts.pop(key, None)
        elif cached is None or not cached.has_same_spec(resource.without_spec()):
            self._cache.put_resources([resource.without_spec()])
        elif changed:
            self._enqueue(key)

    def _part(self, resource: Resource, key: ResourceKey, known: Resource | None) -> Resource | None:
        """What a ClusterSecret asks for in a namespace, perhaps to delete its Secret; None for nothing."""
        labels = (self._namespaces or {}).get(key.namespace)
        if labels is None:
            return None
        status = known.status if known else unreported(resource.status)
        selection = self._selections.get(resource.key)
        owned = self._cache.written_for(resource.uid, key.namespace)
        serves = selection is not None and selection.serves(key.namespace, labels)
        if selection is None or resource.desired is None:
            # It is not known where or what to write, so what is there is reported, and left as it is.
            return resource.without_spec().part(key, status) if known or owned or serves else None
        # One that outlives it is left there.
        is_controller = any(view.owner and view.owner.controller for view in owned)
        if not serves and known is None and not is_controller:
            return None
        return resource.part(key, status, withdrawn=not serves)


class NamespaceStore:
    """All namespaces, as their informer sees them: their labels alone are kept."""

    def __init__(self, clusters: ClusterSecrets) -> None:
        self._clusters = clusters

    def read(self, raw: Mapping[str, Any]) -> tuple[str, Labels | None]:
        """An object of a list."""
        metadata = raw["metadata"]
        labels = {
            intern_text(key): intern_text(value) for key, value in mapping_in(metadata, "labels").items()
        }
        return metadata["name"], None if is_deleting(metadata) else labels

    def replaced(self, listed: Sequence[tuple[str, Labels | None]]) -> None:
        """A list: what is not in it is gone."""
        self._clusters.set_namespaces({name: labels for name, labels in listed if labels is not None})

    def changed(self, raw: Mapping[str, Any]) -> None:
        """An object that was added or modified."""
        self._clusters.set_namespace(*self.read(raw))

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """An object that is gone."""
        self._clusters.set_namespace(raw["metadata"]["name"], None)
