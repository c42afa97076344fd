"""Writing the Secrets of a resource, and knowing our own writes again.

Invariant: everything written is remembered at once, before the watch tells of it.
"""

from collections.abc import Mapping
from typing import Any

from ecr_operator.api.desired import Desired, Resource
from ecr_operator.api.errors import ImmutableSecretError, StaleObjectError, TransientError
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.api.token import RegistryToken
from ecr_operator.core.cache import Cache
from ecr_operator.core.fitting import fits, holds, holds_target, is_as_applied
from ecr_operator.core.ports import Links, ResourceReader, SecretStore
from ecr_operator.core.secret import generated_secret
from ecr_operator.core.secret_view import AppliedEntry, SecretView


class SecretWriter:
    """Applies and deletes generated Secrets.

    Args:
        cache: what was last seen; is told of each write.
        secrets: the API server's.
        links: moves links before an old Secret goes.
        resources: to make sure that a resource stays before its Secret is deleted to be made anew.
    """

    def __init__(self, cache: Cache, secrets: SecretStore, links: Links, resources: ResourceReader) -> None:
        self._cache = cache
        self._secrets = secrets
        self._links = links
        self._resources = resources
        # Our entry in managedFields as our own last apply left it: an apply under our manager's name by
        # somebody else shows in nothing but its time.
        self._applied: dict[ResourceKey, AppliedEntry] = {}

    def forget(self, key: ResourceKey) -> None:
        """Drop what is kept of a resource that is gone, or wants something else."""
        self._applied.pop(key, None)

    def fitting(self, resource: Resource, desired: Desired) -> SecretView | None:
        """The Secret that exists, if it is as we would write it but for the token's age."""
        view = self._cache.secret(resource.key.namespace, desired.secret_name)
        if view is None or not fits(view, resource, desired):
            return None
        return view if self._is_our_doing(resource, view) else None

    def is_untouched(self, resource: Resource, desired: Desired) -> bool:
        """Whether nobody has changed the Secret since we wrote it, with all of its tokens or some."""
        view = self._cache.secret(resource.key.namespace, desired.secret_name)
        return (
            view is not None and is_as_applied(view, resource, desired) and self._is_our_doing(resource, view)
        )

    def holds_target(self, resource: Resource, desired: Desired) -> bool:
        """Whether the Secret holds the spec's first login as we wrote it, of whatever age."""
        view = self._cache.secret(resource.key.namespace, desired.secret_name)
        applied = self._applied.get(resource.key)
        if view is None or view.entry is None or not holds_target(view, resource, desired):
            return False
        # Others who take fields out of our entry leave its time; an apply in our name does not.
        return applied is None or applied.time == view.entry.time

    def _is_our_doing(self, resource: Resource, view: SecretView) -> bool:
        return view.entry == self._applied.get(resource.key, view.entry)

    async def apply(
        self,
        resource: Resource,
        desired: Desired,
        tokens: Mapping[str, RegistryToken],
        present: SecretView | None,
    ) -> None:
        """Create the Secret, or change the one that was seen; nothing if it holds these very tokens.

        Raises:
            OperatorError: from the API server.
        """
        if present and holds(present, resource, desired, tokens) and self._is_our_doing(resource, present):
            return
        try:
            applied = await self._put(resource, generated_secret(resource, desired, tokens), present)
        except StaleObjectError:
            raise
        except TransientError:
            # It may have been done all the same: what the watch then tells is taken for ours.
            self._applied.pop(resource.key, None)
            raise
        self._cache.put_secret(applied)
        if applied.entry:
            self._applied[resource.key] = applied.entry

    async def _put(
        self, resource: Resource, manifest: Mapping[str, Any], present: SecretView | None
    ) -> SecretView:
        """Apply a manifest; a Secret that can't be changed, by its type or its `immutable`, is made anew."""
        try:
            return await self._secrets.apply(manifest, present)
        except ImmutableSecretError:
            # Our watch may not show yet that the resource is being deleted: then its Secret stays as it is.
            if present is None or not await self._resources.is_active(resource.key, resource.uid):
                raise
            # With the tokens in hand: some may be in this Secret only.
            await self._secrets.delete(present)
            return await self._secrets.apply(manifest, None)

    async def delete_renamed(self, resource: Resource, desired: Desired) -> None:
        """Delete what the resource had before its generated_secret_name changed; new first, old after.

        While its links are not moved nothing is deleted; the resource is looked at again when they are.
        """
        old = [view for view in self._own(resource) if view.name != desired.secret_name]
        # A link that fails is reported after the refresh, and keeps no Secret.
        if old and not self._links.settle(resource):
            return
        for view in old:
            await self._delete(view)

    async def delete_all(self, resource: Resource) -> None:
        """Delete every Secret of a resource: it must not have one."""
        for view in self._own(resource):
            await self._delete(view)

    def _own(self, resource: Resource) -> list[SecretView]:
        """The Secrets that the operator wrote for a resource; not a copy in another namespace."""
        owned = self._cache.owned_by(resource.uid)
        return [view for view in owned if view.managed and view.namespace == resource.key.namespace]

    async def _delete(self, view: SecretView) -> None:
        try:
            await self._secrets.delete(view)
        except StaleObjectError:
            await self._delete_changed(view)
        if not view.labelled:
            self._cache.remove_secret((view.namespace, view.name))  # no watch tells of it

    async def _delete_changed(self, view: SecretView) -> None:
        """Delete a Secret that has changed since we saw it, if it still is what it was."""
        now = await self._secrets.look(view.namespace, view.name)
        if now and now.managed and now.owner == view.owner:
            await self._secrets.delete(now)
