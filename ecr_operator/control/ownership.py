"""Whose a Secret is, asked of the inventory first and of the API server where that does not tell.

Invariant: what `stake` returns may be written, and nothing else may.
"""

from dataclasses import dataclass
from typing import Final

from ecr_operator.control.inventory import Inventory, SecretName
from ecr_operator.control.ports import ResourceReader, SecretStore
from ecr_operator.model.errors import ForeignSecretError
from ecr_operator.model.legacy import has_legacy_status, legacy_token
from ecr_operator.model.ownership import ADOPT, Claim, Owner, SecretView, claim, view_secret
from ecr_operator.model.parsing import Resource, Wanted
from ecr_operator.model.tokens import RegistryToken

_SHARED: Final = "Choose another generated_secret_name for one of the two."
_FOREIGN: Final = "Rename or delete it, or choose another generated_secret_name."
_FREE: Final = f'Rename or delete it, annotate it {ADOPT}: "true", or choose another generated_secret_name.'


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """A Secret that a resource may write.

    Attributes:
        view: as it is now; None where there is none yet.
        legacy: the token that v0.6.0 left in it, to be kept until it is due.
    """

    view: SecretView | None
    legacy: RegistryToken | None = None


class Claims:
    """Decides whether a resource may write the Secret that it names.

    Args:
        inventory: what was last seen.
        secrets: to look at a Secret that the watch does not show.
        resources: to make sure that an owner is gone.
    """

    def __init__(self, inventory: Inventory, secrets: SecretStore, resources: ResourceReader) -> None:
        self._inventory = inventory
        self._secrets = secrets
        self._resources = resources
        # Names at which something is that the watch did not show: looked at before each attempt.
        self._doubted: set[SecretName] = set()

    def doubt(self, resource: Resource, wanted: Wanted) -> None:
        """Look at the Secret itself next time: the watch's view of it has been wrong."""
        self._doubted.add((resource.key.namespace, wanted.secret_name))

    def remove(self, resource: Resource) -> None:
        """Drop what is kept for a resource that is gone."""
        if resource.wanted:
            self._doubted.discard((resource.key.namespace, resource.wanted.secret_name))

    async def stake(self, resource: Resource, wanted: Wanted) -> Stake:
        """The Secret as the resource may write it.

        Raises:
            ForeignSecretError: it is somebody else's; the message names whose.
            OperatorError: from the API server.
        """
        view = await self._view(resource, wanted)
        if view and view.owner and view.owner.uid == resource.uid:
            self._doubted.discard((view.namespace, view.name))
            return Stake(view=view)
        if older := self._inventory.older_claimant(resource):
            why = f"{older.key.kind} {older.key.name}, which is older, names it too"
            raise _conflict(wanted, why, _SHARED)
        if view is None:
            return Stake(view=None)
        return await self._stranger(resource, wanted, view)

    async def _view(self, resource: Resource, wanted: Wanted) -> SecretView | None:
        name = (resource.key.namespace, wanted.secret_name)
        known = self._inventory.secret(*name)
        if name not in self._doubted and (known or not has_legacy_status(resource)):
            return known
        view = await self._secrets.look(*name)
        if view is None:
            self._doubted.discard(name)
            self._inventory.remove_secret(name)
        elif view.managed:
            self._inventory.put_secret(view)
        return view

    async def _stranger(self, resource: Resource, wanted: Wanted, view: SecretView) -> Stake:
        """A Secret without a word of this resource on it."""
        gone = await self._is_gone(view.owner, resource.key.namespace) if view.owner else False
        if claim(view, resource, owner_is_gone=gone) is not Claim.FOREIGN:
            return Stake(view=view)
        if view.owner is None and has_legacy_status(resource):
            secret = await self._secrets.read(view.namespace, view.name)
            old = not await self._resources.keeps_details(resource.key.kind)
            if secret and (token := legacy_token(resource, wanted, secret, old_crds=old)):
                return Stake(view=view_secret(secret["metadata"]), legacy=token)
        self.doubt(resource, wanted)
        raise _conflict(wanted, f"it belongs to {view.owner_in_words}", _advice(view.owner, is_gone=gone))

    async def exists(self, resource: Resource) -> bool:
        """Whether the resource is still there, asked of the API server: its watch may lag behind."""
        return await self._resources.uid_of(resource.key) == resource.uid

    async def _is_gone(self, owner: Owner, namespace: str) -> bool:
        """Whether the owner was a resource of ours that no longer exists."""
        if not owner.of_ours:
            return False
        known = self._inventory.resource(owner.key(namespace))
        if known and known.uid == owner.uid:
            return False
        return await self._resources.uid_of(owner.key(namespace)) != owner.uid


def _conflict(wanted: Wanted, why: str, advice: str) -> ForeignSecretError:
    return ForeignSecretError(
        f"Secret {wanted.secret_name} is not this resource's: {why}. It is left as it is. {advice}"
    )


def _advice(owner: Owner | None, *, is_gone: bool) -> str:
    """What helps: a Secret whose controller lives can't be adopted."""
    if owner and owner.of_ours and not is_gone:
        return _SHARED
    return _FOREIGN if owner and not owner.of_ours else _FREE
