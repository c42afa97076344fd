"""ClusterSecrets and the namespaces that they serve.

For each namespace that a ClusterSecret serves the cache has a part (`ResourceKey`), which goes the way of
every other resource; what the parts have come to is gathered into one outcome. Invariants: nothing is served,
and nothing deleted, before all namespaces are known; a namespace that is being deleted is left alone;
`namespaces` that are not valid change nothing.
Leaves out: what is done with a part (reconcile), and the status (worker).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ecr_operator.api.desired import Resource
from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.namespaces import NamespaceSelection, observed_namespaces
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.api.parsing import is_deleting, parse_resource, requested_refresh, status_of
from ecr_operator.api.text import intern_text, mapping_in
from ecr_operator.core.cache import Cache, key_of
from ecr_operator.core.cluster_outcome import Part, Verdict, gather, judge, judge_unreported
from ecr_operator.core.named_objects import Demand
from ecr_operator.core.ports import Clock
from ecr_operator.core.state import Result

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

    def outcome(self, key: ResourceKey) -> Result:
        """What a ClusterSecret has come to in all of its namespaces."""
        resource = self._known.get(key)
        if resource is None or resource.deleting:
            return Result(outcome=None)
        now, verdicts = self._clock.now(), dict[int, Verdict]()
        parts = []
        for namespace, part_key in sorted(self._parts[key].items()):
            part = self._cache.resource(part_key)
            if part is None or (part.desired and part.desired.withdrawn):
                continue
            view, status = self._cache.own_secret(part), part.status
            if status and id(status) not in verdicts:
                verdicts[id(status)] = judge(status)  # most have the very same
            verdict = verdicts[id(status)] if status else judge_unreported(part, view, now)
            parts.append(Part(namespace=namespace, verdict=verdict, times=view.times if view else None))
        return gather(resource, self._selections.get(key), parts)

    def set_namespaces(self, found: Mapping[str, Labels]) -> None:
        """All namespaces that there are, with their labels."""
        if self._namespaces is None:
            self._namespaces = dict(found)
            for resource in self._known.values():
                self._place(resource, self._namespaces)
            return
        for name in {*self._namespaces, *found}:
            self.set_namespace(name, found.get(name))

    def set_namespace(self, name: str, labels: Labels | None) -> None:
        """A namespace has these labels; None: it is being deleted, or gone."""
        namespaces = self._namespaces
        if namespaces is None or namespaces.get(name) == labels:
            return
        if labels is None:
            del namespaces[name]
        else:
            namespaces[intern_text(name)] = labels
        for resource in self._known.values():
            self._place(resource, (name,))

    def forget_namespaces(self) -> None:
        """The watch of namespaces has ended, after the last ClusterSecret."""
        self._namespaces = None

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
        if self._namespaces is None:
            return
        if known and known.with_status(resource.status, known.refresh_requested) == resource:
            self._cache.put_resources([resource.without_spec()])  # the echo of its status
        else:
            self._place(resource, self._namespaces)

    def _remove(self, key: ResourceKey) -> None:
        if self._known.pop(key, None) is None:
            return
        self._selections.pop(key, None)
        for part_key in self._parts.pop(key, {}).values():
            self._cache.remove_resource(part_key)
        self._cache.remove_resource(key)
        self.needed.change(needed=bool(self._known))

    def _place(self, resource: Resource, namespaces: Iterable[str]) -> None:
        """Put, change or remove the parts of a ClusterSecret in some namespaces."""
        parts, keys = [], self._parts[resource.key]
        for namespace in namespaces:
            key = keys.get(namespace) or replace(resource.key, namespace=namespace)
            if part := self._part(resource, key):
                keys[namespace] = key
                parts.append(part)
            elif namespace in keys:
                del keys[namespace]
                self._cache.remove_resource(key)
        self._cache.put_resources([resource.without_spec(), *parts])
        self._enqueue(resource.key)

    def _part(self, resource: Resource, key: ResourceKey) -> Resource | None:
        """What a ClusterSecret asks for in a namespace, perhaps to delete its Secret; None for nothing."""
        labels = (self._namespaces or {}).get(key.namespace)
        if labels is None:
            return None
        known, selection = self._cache.resource(key), self._selections.get(resource.key)
        status = known.status if known else {}
        if selection is None or resource.desired is None:
            # Nothing is known of where to write, so what is there is reported, and left as it is.
            has_secret = known or self._has_secret(resource, key)
            return resource.part(key, status).without_spec() if has_secret else None
        serves = selection.serves(key.namespace, labels)
        if not serves and known is None and not self._has_secret(resource, key):
            return None
        return resource.part(key, status, withdrawn=not serves)

    def _has_secret(self, resource: Resource, key: ResourceKey) -> bool:
        """Whether it is the controller of a Secret in a namespace; one that outlives it is left there."""
        owned = self._cache.owned_by(resource.uid, key.namespace)
        return any(view.managed and view.owner and view.owner.controller for view in owned)


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
