"""May this resource write that Secret? Answered from the cache, and by the API server where it must be.

Invariant: what `claim` returns may be written, and nothing else may.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from ecr_operator.api.desired import Desired, Resource
from ecr_operator.api.errors import ForeignSecretError, PermanentError
from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.names import is_name
from ecr_operator.api.token import RegistryToken
from ecr_operator.core.adoption import losses
from ecr_operator.core.cache import Cache
from ecr_operator.core.legacy import has_legacy_status, legacy_token
from ecr_operator.core.ports import Resources, SecretStore
from ecr_operator.core.secret_view import (
    ADOPT,
    ADOPT_DROPPING,
    ADOPT_KEEPING,
    Owner,
    SecretView,
    view_secret,
)
from ecr_operator.core.state import ResourceState

_ADVICE_SHARED: Final = "Choose another generated_secret_name for one of the two."
_ADVICE_FOREIGN: Final = "Rename or delete it, or choose another generated_secret_name."
_ADVICE_LOSING: Final = (
    f'Move that to another Secret, annotate this one {ADOPT}: "{ADOPT_DROPPING}" to drop it, '
    "or choose another generated_secret_name."
)
_ADVICE_COPIED: Final = (
    f'Rename or delete it, remove its ownerReference and annotate it {ADOPT}: "{ADOPT_KEEPING}", '
    "or choose another generated_secret_name."
)
_ADVICE_UNOWNED: Final = (
    f'Rename or delete it, annotate it {ADOPT}: "{ADOPT_KEEPING}", or choose another generated_secret_name.'
)


class Relation(Enum):
    """What a resource may do with a Secret; one that it takes over counts as its own."""

    OURS = auto()
    ADOPT = auto()
    FOREIGN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A Secret that a resource may write.

    Attributes:
        view: as it is now; None where there is none yet.
        legacy_token: the token that v0.6.0 left in it, to be kept until it is due.
    """

    view: SecretView | None
    legacy_token: RegistryToken | None = None


class Ownership:
    """Decides whether a resource may write the Secret that it names.

    Args:
        cache: what was last seen.
        secrets: reads a Secret that the watch does not show.
        resources: finds out whether an owner still exists.
    """

    def __init__(self, cache: Cache, secrets: SecretStore, resources: Resources) -> None:
        self._cache = cache
        self._secrets = secrets
        self._resources = resources

    async def claim(self, state: ResourceState, desired: Desired) -> Claim:
        """The Secret as the resource may write it.

        Raises:
            ForeignSecretError: it is not the resource's; the message names the owner.
            OperatorError: from the API server.
        """
        view = await self._view(state, desired)
        if view and view.is_owned_by(desired.uid):
            state.reread_secret = None
            return Claim(view=view)
        if older := self._cache.older_claimant(state.resource, desired.secret_name):
            why = f"{older.key.kind} {older.key.name}, which is older, names it too"
            raise _conflict(desired, why, _ADVICE_SHARED)
        if view is None:
            return Claim(view=None)
        return await self._claim_foreign(state, desired, view)

    async def find_own_secret(self, resource: Resource) -> SecretView | None:
        """The resource's own Secret; one that no watch shows is read if the status names it.

        Raises:
            OperatorError: from the API server.
        """
        known = self._cache.own_secret(resource)
        name = known.name if known else _reported_name(resource)
        if name is None or (known and known.labelled):
            return known
        view = await self._secrets.look(resource.key.namespace, name)
        if view and view.is_owned_by(resource.uid):
            self._cache.store_secret(view)
            return view
        if known:
            self._cache.remove_secret((known.namespace, known.name))
        return None

    async def find_predecessor_secret(self, state: ResourceState, desired: Desired) -> SecretView | None:
        """The Secret that an earlier resource of this very name left, where it may be taken over.

        Raises:
            OperatorError: from the API server.
        """
        try:
            view = (await self.claim(state, desired)).view
        except ForeignSecretError:
            return None
        if view is None or view.owner is None or not view.managed or not view.owner.of_ours:
            return None
        return view if view.owner.key(view.namespace) == desired.key else None

    async def _view(self, state: ResourceState, desired: Desired) -> SecretView | None:
        name = (desired.key.namespace, desired.secret_name)
        known = self._cache.secret(*name)
        # A Secret that has lost our label to an admission webhook or policy is not in the watch.
        seen = known.labelled if known else not _status_names(state.resource, desired)
        if seen and state.reread_secret != desired.secret_name:
            return known
        view = await self._secrets.look(*name)
        if view is None:
            state.reread_secret = None
            self._cache.remove_secret(name)
        elif view.managed or view.is_owned_by(desired.uid):
            self._cache.store_secret(view)
        return view

    async def _claim_foreign(self, state: ResourceState, desired: Desired, view: SecretView) -> Claim:
        """The claim to a Secret that does not name this resource."""
        resource = state.resource
        gone = await self._is_gone(view.owner, resource.key.namespace) if view.owner else False
        match relation_of(view, resource, owner_is_gone=gone):
            case Relation.OURS:
                return Claim(view=view)
            case Relation.ADOPT:
                await self._check_losses(state, desired, view)
                return Claim(view=view)
        if view.owner is None and has_legacy_status(resource):
            secret = await self._secrets.read(view.namespace, view.name)
            old = not await self._resources.keeps_details(resource.key.kind)
            if secret and (token := legacy_token(resource, desired, secret, old_crds=old)):
                return Claim(view=view_secret(secret["metadata"]), legacy_token=token)
        state.reread_secret = desired.secret_name
        raise self._foreign(desired, view, is_gone=gone)

    def _foreign(self, desired: Desired, view: SecretView, *, is_gone: bool) -> ForeignSecretError:
        """Names the owner and what helps: a Secret whose controller exists can't be adopted."""
        owner, words = view.owner, view.owner_in_words
        belongs = f"it belongs to {words}"
        if owner is None:
            return _conflict(desired, belongs if view.writers else f"it has {words}", _ADVICE_UNOWNED)
        if not owner.of_ours:
            return _conflict(desired, belongs, _ADVICE_FOREIGN)
        if owner.key(view.namespace) == desired.key:
            why = "it names another resource of this name as its owner, an earlier one or one that it was"
            return _conflict(desired, f"{why} copied from", _ADVICE_COPIED)
        if is_gone:
            why = f"it names {words} as its owner, which does not exist, and the operator did not write it"
            return _conflict(desired, why, _ADVICE_COPIED)
        other = self._cache.resource(owner.key(view.namespace))
        if other and other.desired and other.desired.secret_name != view.name and not view.managed:
            why = f"it names {words} as its owner, whose Secret is {other.desired.secret_name}: it is a copy"
            return _conflict(desired, why, _ADVICE_COPIED)
        return _conflict(desired, belongs, _ADVICE_SHARED)

    async def _check_losses(self, state: ResourceState, desired: Desired, view: SecretView) -> None:
        """Refuse an adoption that would lose logins; a Secret that changes meanwhile is read again."""
        if view.adopt == ADOPT_DROPPING:
            return
        secret = await self._secrets.read(view.namespace, view.name)
        if secret and (lost := losses(desired, secret)):
            state.reread_secret = desired.secret_name
            raise _conflict(desired, f"adopting it would drop {lost}", _ADVICE_LOSING)

    async def _is_gone(self, owner: Owner, namespace: str) -> bool:
        """Whether the owner was a resource of ours that no longer exists."""
        if not owner.of_ours:
            return False
        known = self._cache.resource(owner.key(namespace))
        if known and known.uid == owner.uid:
            return False
        try:
            return await self._resources.uid_of(owner.key(namespace)) != owner.uid
        except PermanentError:
            if owner.kind != CLUSTER:
                raise
            return False  # not every installation may read ClusterSecrets


def relation_of(view: SecretView, resource: Resource, *, owner_is_gone: bool) -> Relation:
    """What the resource may do with the Secret.

    Args:
        view: the Secret.
        resource: whose spec names it.
        owner_is_gone: the owner that the Secret names was one of our resources and no longer exists.
    """
    owner = view.owner
    if view.is_owned_by(resource.uid) or (owner and owner.of_ours and view.managed and owner_is_gone):
        return Relation.OURS
    if view.adopt and (owner is None or (owner.of_ours and owner_is_gone)):
        return Relation.ADOPT
    return Relation.FOREIGN


def _status_names(resource: Resource, desired: Desired) -> bool:
    """Whether the status names the Secret."""
    return has_legacy_status(resource) or resource.status.get("secretName") == desired.secret_name


def _reported_name(resource: Resource) -> str | None:
    """The Secret that the status names."""
    name = resource.status.get("secretName")
    if name is None and resource.desired and has_legacy_status(resource):
        return resource.desired.secret_name
    return name if isinstance(name, str) and is_name(name) else None


def _conflict(desired: Desired, why: str, advice: str) -> ForeignSecretError:
    return ForeignSecretError(
        f"Secret {desired.secret_name} is not this resource's: {why}. It is not changed. {advice}"
    )
