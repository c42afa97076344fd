"""The resources and their generated Secrets as last seen, and the one record of each resource.

Turns watch events into keys to enqueue: a key travels on, never the event. Holds no Secret data.
Leaves out: when a key is due (queue) and what is done then (reconcile).
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Any, Final

import structlog

from ecr_operator.api.desired import Resource
from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.outcome import ResourceKey, TokenTimes
from ecr_operator.api.parsing import is_deleting, parse_resource, requested_refresh, status_of
from ecr_operator.core.indexes import (
    AccountName,
    AgeIndex,
    LinkIndex,
    NamespaceLimit,
    SecretIndex,
    SecretName,
)
from ecr_operator.core.named_objects import NamedObjects
from ecr_operator.core.secret_view import Owner, SecretView
from ecr_operator.core.state import ResourceState

# Of one namespace; of further ones the name alone is kept.
MOST_RESOURCES: Final = 10_000

log = structlog.get_logger(__name__)


class Cache:
    """Resources and Secrets by name, and which resources name which Secret.

    Args:
        enqueue: called with a key that something happened to.
        gone: called with the record of a resource that no longer exists.
        orphan_gone: called with the resource of a Secret that outlived it, when that is deleted too.
        identity_left: called with the record of a resource that has another identity now, or none.
        status_changed: called with the record of a resource whose status others have changed.
        named: notes which objects resources name as their identity.
        most: resources of one namespace that are kept.

    Attributes:
        links: which resources link to which ServiceAccounts.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        enqueue: Callable[[ResourceKey], None],
        gone: Callable[[ResourceState], None],
        named: NamedObjects,
        *,
        most: int = MOST_RESOURCES,
        orphan_gone: Callable[[ResourceKey], None] = lambda _: None,
        identity_left: Callable[[ResourceState], None] = lambda _: None,
        status_changed: Callable[[ResourceState], None] = lambda _: None,
    ) -> None:
        self._enqueue = enqueue
        self._gone = gone
        self._orphan_gone = orphan_gone
        self._identity_left = identity_left
        self._status_changed = status_changed
        self._named = named
        self._limit = NamespaceLimit(most)
        self._states: dict[ResourceKey, ResourceState] = {}
        self._secrets = SecretIndex()
        self._claimants: AgeIndex[SecretName] = AgeIndex()
        self.links = LinkIndex()
        self._twins: AgeIndex[tuple[str, ...]] = AgeIndex()

    def __len__(self) -> int:
        return len(self._states)

    def keys(self, kind: str, scope: str) -> set[ResourceKey]:
        """Every resource of a kind in a scope, those known by name only too."""
        known = chain(self._states, self._limit.keys())
        return {key for key in known if key.kind == kind and scope in ("", key.namespace)}

    def get(self, key: ResourceKey) -> ResourceState | None:
        """What is remembered of a resource."""
        return self._states.get(key)

    def states(self) -> list[ResourceState]:
        """What is remembered of every resource."""
        return list(self._states.values())

    def secret_names(self, scope: str) -> set[SecretName]:
        """Every known Secret in a scope."""
        return self._secrets.names(scope)

    def resources(self) -> list[Resource]:
        """Every resource as last seen."""
        return [state.resource for state in self._states.values()]

    def resource(self, key: ResourceKey) -> Resource | None:
        """The resource as last seen."""
        state = self._states.get(key)
        return state.resource if state else None

    def secret(self, namespace: str, name: str) -> SecretView | None:
        """The Secret as last seen, if it has our label or is one of ours that has lost it."""
        return self._secrets.get((namespace, name))

    def keys_of_operator(self) -> list[ResourceKey]:
        """Every resource that calls AWS with the operator's own credentials, also for a role."""
        return [
            key
            for key, state in self._states.items()
            if (identity := state.resource.identity) and identity.source == "operator"
        ]

    def owned_by(self, uid: str, namespace: str) -> list[SecretView]:
        """Every Secret of a namespace whose owner is that resource, by ownerReference or annotation.

        Anybody may name the resource as an owner in a namespace of theirs.
        """
        return self._secrets.owned_by(uid, namespace)

    def written_for(self, uid: str, namespace: str) -> list[SecretView]:
        """Those of them that the operator wrote; not a copy that names the owner."""
        return [view for view in self.owned_by(uid, namespace) if view.managed]

    def own_secret(self, resource: Resource) -> SecretView | None:
        """The resource's own Secret: the one that it names, or else one that it had before."""
        named = self._secrets.get(resource.claimed_secret)
        if named and named.is_owned_by(resource.uid):
            return named
        return next(iter(self.owned_by(resource.uid, resource.key.namespace)), None)

    def own_times(self, resource: Resource) -> TokenTimes | None:
        """The times of the token in the resource's own Secret."""
        view = self.own_secret(resource)
        return view.times if view else None

    def twin(self, resource: Resource) -> ResourceKey | None:
        """Another resource of the namespace with the same URL, scope and project for Argo CD."""
        same = self._twins.contenders(resource.argo_login or ("",))
        return next((key for key in same if key != resource.key), None)

    def linking(self, account: AccountName) -> list[Resource]:
        """Every resource that names that ServiceAccount in its links."""
        return [self._states[key].resource for key in self.links.to(account)]

    def older_claimant(self, resource: Resource, name: str) -> Resource | None:
        """The oldest resource that names a Secret of the same namespace, if it is older than this one."""
        older = self._claimants.older((resource.key.namespace, name), resource)
        return self.resource(older) if older else None

    def is_contender(self, resource: Resource) -> bool:
        """Whether the resource is among the oldest that name its Secret."""
        return resource.key in self._claimants.contenders(resource.claimed_secret or ("", ""))

    def is_over_limit(self, key: ResourceKey) -> bool:
        """Whether a resource is known by name only, because its namespace has too many."""
        return key in self._limit

    def parse(self, kind: str, raw: Mapping[str, Any]) -> Resource:
        """Parse an object, or return the known one with a new status where only that can have changed."""
        metadata = raw["metadata"]
        known = self.resource(key_of(kind, raw))
        seen = (metadata["uid"], metadata.get("generation"), is_deleting(metadata))
        if known and (known.uid, known.generation, known.deleting) == seen:
            # Mostly the echo of our own write.
            status = known.status if raw.get("status") == known.status else status_of(raw)
            return known.with_status(status, requested_refresh(metadata))
        return parse_resource(kind, raw)

    def put_resources(self, resources: Sequence[Resource]) -> None:
        """Store all of them before any is enqueued, so that each sees its rivals."""
        fresh = [resource for resource in resources if self._store(resource)]
        for resource in fresh:
            self._enqueue(resource.key)

    def put_over_limit(self, key: ResourceKey, raw: Mapping[str, Any] | None) -> None:
        """Take in a resource that was known by name only, and has been read (None: it is deleted)."""
        found = [parse_resource(key.kind, raw)] if raw is not None else []
        self._limit.remove(key)
        self.put_resources(found)
        self._fill(key.namespace)

    def remember_status(self, key: ResourceKey, uid: str, status: Mapping[str, Any]) -> None:
        """Note a status that we have just written, before its echo arrives."""
        state = self._states.get(key)
        if state and state.resource.uid == uid:
            state.resource = state.resource.with_status(status, state.resource.refresh_requested)

    def remove_resource(self, key: ResourceKey) -> None:
        """Remove a resource; the oldest others that name its Secret are enqueued, now and when it goes."""
        state = self._states.pop(key, None)
        if state is None:
            self._limit.remove(key)
            self._fill(key.namespace)
            return
        resource = state.resource
        if key.kind != CLUSTER:
            self._limit.leave(key.namespace)
        self._unindex(resource)
        self._note_identity(state, resource, None)
        self._drop(state)
        for view in self.owned_by(resource.uid, key.namespace):
            if not view.labelled:
                self.remove_secret((view.namespace, view.name))
        if resource.desired:
            self._enqueue_contenders((key.namespace, resource.desired.secret_name))
        self._fill(key.namespace)

    def observe_secret(self, view: SecretView) -> None:
        """Store a view, and enqueue the resources that name the Secret if it is not as we left it."""
        name = (view.namespace, view.name)
        known = self._secrets.get(name)
        if (
            known is None
            and name not in self._claimants
            and self._secrets.count(view.namespace) >= self._limit.most
        ):
            return  # anybody may put our label on a Secret; one that is named later is found by reading it
        self.store_secret(view)
        if known is None or known.uid != view.uid or _differs(known, view):
            self._enqueue_contenders(name, view.owner)

    def store_secret(self, view: SecretView) -> None:
        """Store a view, of our own write for instance, without enqueuing anything."""
        self._secrets.put(view)

    def remove_secret(self, name: SecretName) -> None:
        """Remove a Secret; its owner and the oldest resources that name it are enqueued."""
        if (view := self._secrets.pop(name)) is not None:
            self._enqueue_contenders(name, view.owner)
            if view.owner and view.owner.of_ours and view.owner.key(name[0]) not in self._states:
                self._orphan_gone(view.owner.key(name[0]))

    def _store(self, resource: Resource) -> bool:
        """Store a resource; True if it is new, has another spec, or requests a fresh token."""
        resource = resource.abridged()
        state = self._states.get(resource.key)
        if state and state.resource is resource:
            return False
        if state is None:
            # Only a cluster admin can cause many of ClusterSecrets.
            if resource.key.kind != CLUSTER and not self._limit.admit(resource.key):
                return False
            state = self._states[resource.key] = ResourceState(resource)
            self._index(resource)
            self._note_identity(state, None, resource)
            return True
        if state.resource.has_same_spec(resource):
            if resource.status != state.resource.status and not state.reporting:
                self._status_changed(state)
            state.resource = resource
            return False
        self._replace(state, resource)
        return True

    def _replace(self, state: ResourceState, resource: Resource) -> None:
        """Take in another spec, or another resource of the same name."""
        known = state.resource
        self._unindex(known)
        if known.uid == resource.uid:
            state.resource = resource
            self._index(resource)
            self._note_identity(state, known, resource)
        else:
            self._states[resource.key] = ResourceState(resource)
            self._index(resource)
            self._note_identity(state, known, resource)
            self._drop(state)
        if (released := known.claimed_secret) and released != resource.claimed_secret:
            self._enqueue_contenders(released)

    def _drop(self, state: ResourceState) -> None:
        state.removed = True
        self._gone(state)

    def _fill(self, namespace: str) -> None:
        """Enqueue one that is known by name only, where there is room for it: it is read then."""
        if key := self._limit.next(namespace):
            self._enqueue(key)

    def _note_identity(self, state: ResourceState, before: Resource | None, now: Resource | None) -> None:
        self._note_included(state.key, _included_by(before), _included_by(now))
        old, new = before and before.identity, now and now.identity
        if old == new:
            return
        if new:
            self._named.name(state.key, new)
        if old:
            self._named.unname(state.key, old)
            self._identity_left(state)

    def _note_included(self, key: ResourceKey, before: AbstractSet[str], now: AbstractSet[str]) -> None:
        for name in now - before:
            self._named.include(key, name)
        for name in before - now:
            self._named.exclude(key, name)

    def _index(self, resource: Resource) -> None:
        self.links.add(resource)
        if desired := resource.claimed_secret:
            self._claimants.add(desired, resource)
        if argo := resource.argo_login:
            self._twins.add(argo, resource)
            self._enqueue_twins(argo)

    def _unindex(self, resource: Resource) -> None:
        self.links.remove(resource)
        if desired := resource.claimed_secret:
            self._claimants.remove(desired, resource)
        if argo := resource.argo_login:
            self._twins.remove(argo, resource)
            self._enqueue_twins(argo)

    def _enqueue_twins(self, argo: tuple[str, ...]) -> None:
        """Enqueue those whose status names a twin, or no longer does."""
        for key in self._twins.contenders(argo):
            self._enqueue(key)

    def _enqueue_contenders(self, name: SecretName, owner: Owner | None = None) -> None:
        """Enqueue the oldest resources that name the Secret, and its owner, by another name perhaps."""
        keys = self._claimants.contenders(name)
        if owner and owner.of_ours and owner.key(name[0]) in self._states:
            keys.append(owner.key(name[0]))
        for key in dict.fromkeys(keys):
            self._enqueue(key)


def key_of(kind: str, raw: Mapping[str, Any]) -> ResourceKey:
    """The key of an object as the API server sends it."""
    metadata = raw["metadata"]
    return ResourceKey(kind=kind, namespace=metadata.get("namespace", ""), name=metadata["name"])


def _included_by(resource: Resource | None) -> AbstractSet[str]:
    """The Secrets that a resource copies logins from."""
    return set((resource.desired.includes or ()) if resource and resource.desired else ())


def _differs(known: SecretView, view: SecretView) -> bool:
    """Whether something of ours on the Secret is not as we left it."""
    return (known.entry, known.owner, known.labelled, known.managed, known.fingerprint) != (
        view.entry,
        view.owner,
        view.labelled,
        view.managed,
        view.fingerprint,
    )
