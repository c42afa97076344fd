"""What was last seen of the resources and of their generated Secrets.

Turns watch events into keys to look at: a key travels on, never the event. Holds no Secret data.
Leaves out: when a key is due (deadlines) and what is done about it (refresh).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ecr_operator.model.outcome import ResourceKey
from ecr_operator.model.ownership import Owner, SecretView, view_secret
from ecr_operator.model.parsing import Resource, parse_resource, requested_refresh, status_of

SecretName = tuple[str, str]
AccountName = tuple[str, str]


class ResourceStore:
    """The resources of one kind in one scope, as their informer sees them.

    Args:
        kind: which of `resources.KINDS`.
        scope: a namespace, or an empty string for all.
        inventory: where they are kept.
    """

    def __init__(self, kind: str, scope: str, inventory: "Inventory") -> None:
        self._kind = kind
        self._scope = scope
        self._inventory = inventory

    def read(self, raw: Mapping[str, Any]) -> Resource:
        """An object of a list, parsed in full: a restored etcd counts generations anew."""
        return parse_resource(self._kind, raw)

    def replaced(self, listed: Sequence[Resource]) -> None:
        """A list: what is not in it is gone."""
        present = {resource.key for resource in listed}
        for key in self._inventory.keys(self._kind, self._scope) - present:
            self._inventory.remove_resource(key)
        self._inventory.put_resources(listed)

    def changed(self, raw: Mapping[str, Any]) -> None:
        """An object that was added or modified."""
        self._inventory.put_resources([self._inventory.parse(self._kind, raw)])

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """An object that is gone."""
        self._inventory.remove_resource(_key(self._kind, raw))


class SecretViewStore:
    """The Secrets with our label in one scope, as their informer sees them."""

    def __init__(self, scope: str, inventory: "Inventory") -> None:
        self._scope = scope
        self._inventory = inventory

    def read(self, raw: Mapping[str, Any]) -> SecretView:
        """An object of a list."""
        return view_secret(raw["metadata"])

    def replaced(self, listed: Sequence[SecretView]) -> None:
        """A list: what is not in it is gone, and versions may have gone back with a restored etcd."""
        present = {(view.namespace, view.name) for view in listed}
        for name in self._inventory.secret_names(self._scope) - present:
            self._inventory.remove_secret(name)
        for view in listed:
            self._inventory.see_secret(view)

    def changed(self, raw: Mapping[str, Any]) -> None:
        """An object that was added or modified."""
        view = view_secret(raw["metadata"])
        known = self._inventory.secret(view.namespace, view.name)
        if known and known.uid == view.uid and int(view.resource_version) <= int(known.resource_version):
            return  # the echo of our own write, or older than it
        self._inventory.see_secret(view)

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """An object that is gone, or has lost our label."""
        name = (raw["metadata"]["namespace"], raw["metadata"]["name"])
        known = self._inventory.secret(*name)
        if known and known.uid == raw["metadata"]["uid"]:
            self._inventory.remove_secret(name)


class Inventory:
    """Resources and Secrets by name, and who wants which Secret.

    Args:
        look_at: called with a key that something happened to.
        forget: called with a key that is gone.
    """

    def __init__(self, look_at: Callable[[ResourceKey], None], forget: Callable[[ResourceKey], None]) -> None:
        self._look_at = look_at
        self._forget = forget
        self._resources: dict[ResourceKey, Resource] = {}
        self._secrets: dict[SecretName, SecretView] = {}
        self._wanting: defaultdict[SecretName, set[ResourceKey]] = defaultdict(set)
        self._owned: defaultdict[str, set[SecretName]] = defaultdict(set)
        self._linking: defaultdict[AccountName, set[ResourceKey]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._resources)

    def keys(self, kind: str, scope: str) -> set[ResourceKey]:
        """Every resource of a kind in a scope."""
        return {key for key in self._resources if key.kind == kind and scope in ("", key.namespace)}

    def all_keys(self) -> list[ResourceKey]:
        """Every resource."""
        return list(self._resources)

    def secret_names(self, scope: str) -> set[SecretName]:
        """Every known Secret in a scope."""
        return {name for name in self._secrets if scope in ("", name[0])}

    def resources(self) -> list[Resource]:
        """Every resource as last seen."""
        return list(self._resources.values())

    def resource(self, key: ResourceKey) -> Resource | None:
        """The resource as last seen."""
        return self._resources.get(key)

    def secret(self, namespace: str, name: str) -> SecretView | None:
        """The Secret as last seen, if it has our label."""
        return self._secrets.get((namespace, name))

    def owned_by(self, uid: str) -> list[SecretView]:
        """Every Secret whose controller is that resource."""
        return [self._secrets[name] for name in sorted(self._owned.get(uid, ()))]

    def linking(self, account: AccountName) -> list[Resource]:
        """Every resource that names that ServiceAccount in its links."""
        return [self._resources[key] for key in sorted(self._linking.get(account, ()), key=str)]

    def older_claimant(self, resource: Resource) -> Resource | None:
        """The oldest other resource that wants the same Secret and is older than this one."""
        wanted = _wanted_name(resource)
        others = (
            [self._resources[key] for key in self._wanting.get(wanted, ()) if key != resource.key]
            if wanted
            else []
        )
        oldest = min(others, key=_age, default=None)
        return oldest if oldest and _age(oldest) < _age(resource) else None

    def parse(self, kind: str, raw: Mapping[str, Any]) -> Resource:
        """Parse an object, or take the known one with a new status where only that can have changed."""
        metadata = raw["metadata"]
        known = self._resources.get(_key(kind, raw))
        if known and (known.uid, known.generation) == (metadata["uid"], metadata.get("generation")):
            return known.with_status(status_of(raw), requested_refresh(metadata))
        return parse_resource(kind, raw)

    def put_resources(self, resources: Sequence[Resource]) -> None:
        """Store all of them before any is looked at, so that each sees its rivals."""
        fresh = [resource for resource in resources if self._store(resource)]
        for resource in fresh:
            self._look_at(resource.key)

    def remember_status(self, key: ResourceKey, uid: str, status: Mapping[str, Any]) -> None:
        """Note a status that we have just written, before its echo arrives."""
        known = self._resources.get(key)
        if known and known.uid == uid:
            self._resources[key] = known.with_status(status, known.refresh_requested)

    def remove_resource(self, key: ResourceKey) -> None:
        """Forget a resource; those that wanted its Secret are looked at when the Secret goes."""
        resource = self._resources.pop(key, None)
        if resource is None:
            return
        self._forget(key)
        for account in _linked_accounts(resource):
            _release(self._linking, account, key)
        if wanted := _wanted_name(resource):
            _release(self._wanting, wanted, key)
            self._look_at_all(wanted)

    def see_secret(self, view: SecretView) -> None:
        """Store a view, and look at whoever wants the Secret if it is not as we left it."""
        name = (view.namespace, view.name)
        known = self._secrets.get(name)
        self.put_secret(view)
        if known is None or known.uid != view.uid or _differs(known, view):
            self._look_at_all(name, view.owner)

    def put_secret(self, view: SecretView) -> None:
        """Store a view, of our own write for instance, without looking at anybody."""
        name = (view.namespace, view.name)
        self._disown(name)
        self._secrets[name] = view
        if view.owner:
            self._owned[view.owner.uid].add(name)

    def remove_secret(self, name: SecretName) -> None:
        """Forget a Secret; whoever wants it is looked at."""
        self._disown(name)
        if self._secrets.pop(name, None) is not None:
            self._look_at_all(name)

    def _store(self, resource: Resource) -> bool:
        """Whether the resource is new, has another spec, or asks for a fresh token."""
        known = self._resources.get(resource.key)
        self._resources[resource.key] = resource
        if known and known.is_same_wish(resource):
            return False
        if known and (released := _wanted_name(known)) and released != _wanted_name(resource):
            _release(self._wanting, released, resource.key)
            self._look_at_all(released)
        for account in _linked_accounts(known) if known else ():
            _release(self._linking, account, resource.key)
        for account in _linked_accounts(resource):
            self._linking[account].add(resource.key)
        if wanted := _wanted_name(resource):
            self._wanting[wanted].add(resource.key)
        return True

    def _disown(self, name: SecretName) -> None:
        known = self._secrets.get(name)
        if known and known.owner:
            owned = self._owned[known.owner.uid]
            owned.discard(name)
            if not owned:
                del self._owned[known.owner.uid]

    def _look_at_all(self, name: SecretName, owner: Owner | None = None) -> None:
        """Whoever wants the Secret, and whoever has it, by another name perhaps, has something to see to."""
        keys = set(self._wanting.get(name, ()))
        if owner and owner.of_ours and owner.key(name[0]) in self._resources:
            keys.add(owner.key(name[0]))
        for key in sorted(keys, key=str):
            self._look_at(key)


def _key(kind: str, raw: Mapping[str, Any]) -> ResourceKey:
    metadata = raw["metadata"]
    return ResourceKey(kind=kind, namespace=metadata["namespace"], name=metadata["name"])


def _wanted_name(resource: Resource) -> SecretName | None:
    return (resource.key.namespace, resource.wanted.secret_name) if resource.wanted else None


def _linked_accounts(resource: Resource) -> list[AccountName]:
    links = (resource.wanted.links or ()) if resource.wanted else ()
    return [(resource.key.namespace, link.account) for link in links]


def _release(index: dict[tuple[str, str], set[ResourceKey]], name: tuple[str, str], key: ResourceKey) -> None:
    index[name].discard(key)
    if not index[name]:
        del index[name]


def _age(resource: Resource) -> tuple[Any, str]:
    return resource.created_at, resource.uid


def _differs(known: SecretView, view: SecretView) -> bool:
    """Whether something of ours on the Secret is not as we left it."""
    return (known.entry, known.owner, known.managed, known.fingerprint) != (
        view.entry,
        view.owner,
        view.managed,
        view.fingerprint,
    )
