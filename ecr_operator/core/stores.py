"""How informers put resources and generated Secrets into the cache."""

from collections.abc import Mapping, Sequence
from typing import Any

from ecr_operator.api.desired import Resource
from ecr_operator.api.parsing import parse_resource
from ecr_operator.core.cache import Cache, key_of
from ecr_operator.core.indexes import SecretName
from ecr_operator.core.secret_view import SecretView, view_secret


class ResourceStore:
    """The resources of one kind in one scope, as their informer sees them.

    Args:
        kind: one of `KINDS`.
        scope: a namespace, or an empty string for all.
        cache: where they are kept.
    """

    def __init__(self, kind: str, scope: str, cache: Cache) -> None:
        self._kind = kind
        self._scope = scope
        self._cache = cache

    def read(self, raw: Mapping[str, Any]) -> Resource:
        """An object of a list, parsed in full: a restored etcd counts generations anew."""
        return parse_resource(self._kind, raw)

    def replaced(self, listed: Sequence[Resource]) -> None:
        """A list: what is not in it was deleted."""
        present = {resource.key for resource in listed}
        for key in self._cache.keys(self._kind, self._scope) - present:
            self._cache.remove_resource(key)
        self._cache.put_resources(listed)

    def changed(self, raw: Mapping[str, Any]) -> None:
        """An object that was added or modified."""
        self._cache.put_resources([self._cache.parse(self._kind, raw)])

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """An object that was deleted."""
        self._cache.remove_resource(key_of(self._kind, raw))


class SecretViewStore:
    """The Secrets with our label in one scope, as their informer sees them."""

    def __init__(self, scope: str, cache: Cache) -> None:
        self._scope = scope
        self._cache = cache

    def read(self, raw: Mapping[str, Any]) -> SecretView:
        """An object of a list."""
        return view_secret(raw["metadata"])

    def replaced(self, listed: Sequence[SecretView]) -> None:
        """A list: what is not in it was deleted, and versions may have gone back with a restored etcd."""
        present = {(view.namespace, view.name) for view in listed}
        for name in self._cache.secret_names(self._scope) - present:
            self._remove(name)
        for view in listed:
            self._cache.observe_secret(view)

    def changed(self, raw: Mapping[str, Any]) -> None:
        """An object that was added or modified."""
        metadata = raw["metadata"]
        known = self._cache.secret(metadata["namespace"], metadata["name"])
        version = int(metadata["resourceVersion"])
        if known and known.uid == metadata["uid"] and version <= int(known.resource_version):
            return  # the echo of our own write, or older than it
        self._cache.observe_secret(view_secret(metadata))

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """An object that was deleted, or has lost our label."""
        metadata = raw["metadata"]
        self._remove((metadata["namespace"], metadata["name"]), metadata["uid"])

    def _remove(self, name: SecretName, uid: str = "") -> None:
        """Remove a Secret, unless it is another one, or one without our label, which only a read shows."""
        known = self._cache.secret(*name)
        if known and known.labelled and uid in ("", known.uid):
            self._cache.remove_secret(name)
