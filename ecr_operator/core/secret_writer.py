"""Writes and deletes generated Secrets, and notes each write in the cache before its echo arrives.

That only the version last seen is changed or deleted is ensured by kube.secrets.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ecr_operator.api.desired import BASIC_AUTH, CONFIG_JSON, DOCKER, Desired
from ecr_operator.api.errors import ImmutableSecretError, PermanentError, StaleObjectError, TransientError
from ecr_operator.api.token import RegistryToken
from ecr_operator.core.cache import Cache
from ecr_operator.core.drift import has_tokens
from ecr_operator.core.included_logins import Included
from ecr_operator.core.manifest import generated_secret
from ecr_operator.core.ports import LONGEST_WRITE, Clock, Links, Resources, SecretStore
from ecr_operator.core.secret_view import SecretView
from ecr_operator.core.state import ResourceState
from ecr_operator.core.status import reported_ready

_REFUSED_AGAIN: Final = 30.0  # seconds
# Of a write that its token's expiry may overtake.
_SHORTEST_WRITE: Final = 2.0
_BEYOND_EXPIRY: Final = 0.2
# In one pass: anybody may make Secrets that look like ours. Each deletion causes another pass.
_MOST_DELETED: Final = 5


class SecretWriter:
    """Applies and deletes generated Secrets.

    Args:
        cache: gets each Secret as the API server returns it.
        secrets: the API server's.
        links: moves links before an old Secret is deleted.
        resources: finds out whether a resource still exists before its Secret is deleted for recreation.
        clock: UTC.
    """

    def __init__(
        self, cache: Cache, secrets: SecretStore, links: Links, resources: Resources, clock: Clock
    ) -> None:
        self._cache = cache
        self._secrets = secrets
        self._links = links
        self._resources = resources
        self._clock = clock

    async def apply(
        self,
        state: ResourceState,
        desired: Desired,
        tokens: Mapping[str, RegistryToken],
        present: SecretView | None,
        included: Included | None = None,
    ) -> None:
        """Create the Secret, or change the one seen; nothing if one of several logins has these very tokens.

        Raises:
            OperatorError: from the API server.
        """
        is_same = included is None or included.versions == state.included
        if present and is_same and has_tokens(present, desired, tokens, state.applied):
            return
        form = partial(generated_secret, tokens=tokens, included=included.logins if included else {})
        try:
            view = await self._put(desired, form, present, self._limit(state, present))
        except StaleObjectError:
            raise
        except TransientError:
            # It may have been written all the same: then the watch shows our own write.
            state.applied = None
            raise
        self._cache.store_secret(view)
        state.applied = view.entry
        if included:
            state.included = included.versions

    async def _put(
        self,
        desired: Desired,
        form: Callable[[Desired], dict[str, Any]],
        present: SecretView | None,
        seconds: float,
    ) -> SecretView:
        """Apply a Secret; one that can't be changed, by its type or its `immutable`, is recreated."""
        try:
            return await self._secrets.apply(form(desired), present, seconds)
        except ImmutableSecretError:
            # Our watch may not show yet that the resource is being deleted: then its Secret stays as it is.
            if present is None or not await self._resources.is_active(desired.key, desired.uid):
                raise
            # With all tokens in hand: some may be in this Secret only.
            await self._secrets.delete(present)
            try:
                return await self._secrets.apply(form(desired), None)
            except PermanentError as error:
                # Admission refuses the new form: the login in use stays, in the form that it had.
                if not desired.argo and (former := _format_of(present)) != desired.secret_format:
                    kept = form(replace(desired, secret_format=former))
                    self._cache.store_secret(await self._secrets.apply(kept, None))
                # The watch shows the deletion, which would be a reason to try again at once.
                raise PermanentError(error.reason, error.message, retry_after=_REFUSED_AGAIN) from None

    def _limit(self, state: ResourceState, present: SecretView | None) -> float:
        """Seconds for a write: not long beyond the present token's expiry while that is not reported."""
        if present is None or present.times is None or not reported_ready(state.resource.status):
            return LONGEST_WRITE
        left = (present.times.expires_at - self._clock.now()).total_seconds()
        return min(max(left + _BEYOND_EXPIRY, _SHORTEST_WRITE), LONGEST_WRITE)

    async def delete_renamed(self, state: ResourceState, desired: Desired) -> None:
        """Delete the Secrets of earlier names: the new one is created first.

        While its links are not moved nothing is deleted; the resource is enqueued when they are.
        """
        old = [
            view
            for view in self._cache.written_for(desired.uid, desired.key.namespace)
            if view.name != desired.secret_name
        ]
        # A link that fails is reported after the pass, and keeps no Secret.
        if old and not self._links.request_links(state.resource):
            return
        for view in old[:_MOST_DELETED]:
            await self._delete(view)

    async def delete_all(self, desired: Desired) -> bool:
        """Delete every Secret of a resource that must not have one; False if there is none."""
        views = self._cache.written_for(desired.uid, desired.key.namespace)
        for view in views[:_MOST_DELETED]:
            await self._delete(view)
        return bool(views)

    async def _delete(self, view: SecretView) -> None:
        try:
            await self._secrets.delete(view)
        except StaleObjectError:
            await self._delete_changed(view)
        if not view.labelled:
            self._cache.remove_secret((view.namespace, view.name))  # no watch shows it

    async def _delete_changed(self, view: SecretView) -> None:
        """Delete a Secret that has changed since it was seen, if it still is the resource's."""
        now = await self._secrets.look(view.namespace, view.name)
        if now and now.managed and now.owner == view.owner:
            await self._secrets.delete(now)


def _format_of(view: SecretView) -> str:
    """The form of a Secret as the operator wrote it; of one that it did not, v0.6.0's."""
    fields = view.entry.fields if view.entry else frozenset()
    keys = {CONFIG_JSON: CONFIG_JSON, BASIC_AUTH: "password"}
    return next((form for form, key in keys.items() if f"f:data/f:{key}" in fields), DOCKER)
