"""From a ServiceAccount and the resources that concern it to the patch that it needs.

Invariant: an entry of `imagePullSecrets` or `secrets` that the account's record does not list is never
removed, and linking then unlinking leaves the ServiceAccount as it was.
Leaves out: I/O, and when a ServiceAccount is reconciled (reconcile).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from ecr_operator.api.desired import Resource
from ecr_operator.api.kinds import CLUSTER, GROUP
from ecr_operator.api.names import ALL_ACCOUNTS, LINK_FIELDS, is_name
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.api.text import mapping_in, mappings_in

# The label marks the ServiceAccounts to watch; the annotation is the record of the links that were added.
LABEL: Final = f"{GROUP}/linked"
LINKS: Final = f"{GROUP}/links"
SELECTOR: Final = f"{LABEL}=true"

_OF_CLUSTER: Final = f"{CLUSTER}/"
LARGEST_RECORD: Final = 16 * 1024  # characters
# Of one ServiceAccount, places that are kept in memory beside the recorded and the desired ones.
_MOST_OTHERS: Final = 200

Place = tuple[str, str]
"""Where a link is: a Secret's name, and which of `LINK_FIELDS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A ServiceAccount.

    Attributes:
        resource_version: as last seen; a write carries it.
        entries: by use, its lists as they are; only of one that was just read.
        places: the places that have an entry, whoever added it.
        record: the links that the operator added, and the resource that each is for (`recorded_name`).
        recorded_for: the same by resource.
        labelled: it has the operator's label.
        record_ignored: the annotation is larger than the operator makes it, and counts as absent.
    """

    namespace: str
    name: str
    uid: str = ""
    resource_version: str = ""
    entries: Mapping[str, Sequence[Mapping[str, Any]]]
    places: AbstractSet[Place]
    record: Mapping[Place, str]
    recorded_for: Mapping[str, AbstractSet[Place]]
    labelled: bool = False
    record_ignored: bool = False

    def is_newer_than(self, other: "Account") -> bool:
        """Whether it is a later version of the same object."""
        return self.uid == other.uid and int(self.resource_version) > int(other.resource_version)

    def abridged(self, desired: Collection[Place]) -> "Account":
        """The account as it is kept: its lists may have 1.5 MiB, so only a part of its places."""
        wanted = {place for place in (*self.record, *desired) if place in self.places}
        others = (place for place in self.places if place not in wanted and is_name(place[0]))
        return replace(self, entries={}, places=wanted.union(islice(others, _MOST_OTHERS)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a plan for one ServiceAccount is made from.

    Attributes:
        account: as last seen or just read.
        resources: by `recorded_name`, the known resources that name it or that its record names.
        with_secret: those of them whose Secret exists and is their own.
        orphaned: Secrets that outlived the resource that its record names (`deletion_policy: Orphan`).
        assumed: names in its record of resources that our watch doesn't show, and that count as existing.
    """

    account: Account
    resources: Mapping[str, Resource]
    with_secret: Collection[str]
    orphaned: Collection[str] = ()
    assumed: Collection[str] = ()

    @property
    def desired(self) -> dict[Place, str]:
        """The links that should exist now, and the resource that each is for."""
        return {
            (resource.desired.secret_name, use): name
            for name, resource in self.resources.items()
            if resource.desired and not _is_left_alone(resource) and name in self.with_secret
            for use in _uses(resource, self.account.name)
        }

    @property
    def size(self) -> int:
        """How many resources, links and entries a plan goes through."""
        return len(self.resources) + len(self.account.record) + len(self.account.places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What has to be written to a ServiceAccount.

    Attributes:
        added: where entries are added.
        removed: where entries that the operator added are removed.
        annotation: the new record; None where nothing is recorded.
        labelled: whether it has the label from now on.
    """

    added: AbstractSet[Place]
    removed: AbstractSet[Place]
    annotation: str | None
    labelled: bool


def view_account(raw: Mapping[str, Any]) -> Account:
    """Parse what the API server sent; only its name, uid and version are the server's own."""
    metadata = raw["metadata"]
    annotation = mapping_in(metadata, "annotations").get(LINKS)
    readable = annotation if isinstance(annotation, str) and len(annotation) <= LARGEST_RECORD else None
    record = _parse_record(readable or "")
    entries = {use: tuple(mappings_in(raw, field)) for use, field in LINK_FIELDS.items()}
    names = ((entry.get("name"), use) for use, found in entries.items() for entry in found)
    return Account(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        entries=entries,
        places=dict.fromkeys((name, use) for name, use in names if isinstance(name, str)).keys(),
        record=record,
        recorded_for=_by_resource(record),
        labelled=mapping_in(metadata, "labels").get(LABEL) == "true",
        record_ignored=annotation is not None and readable is None,
    )


def recorded_name(key: ResourceKey) -> str:
    """How a record names a resource: by its name; the part of a ClusterSecret by its kind too."""
    return f"{key.kind}/{key.name}" if key.is_part else key.name


def recorded_key(namespace: str, recorded: str) -> ResourceKey:
    """The resource that a record names."""
    name = recorded.removeprefix(_OF_CLUSTER)
    return ResourceKey(kind="Secret" if name == recorded else CLUSTER, namespace=namespace, name=name)


def unseen(namespace: str, name: str) -> Account:
    """A ServiceAccount that does not exist, or of which the watch shows nothing."""
    return Account(namespace=namespace, name=name, entries={}, places=set(), record={}, recorded_for={})


def plan(facts: Facts) -> Change | None:
    """What has to be written so that exactly the desired links exist; None for nothing.

    Linear in the links. Links that others made where one is desired stay theirs: they are not recorded. A
    record that is ignored is replaced with the next write; its links then count as those of others.
    """
    account, desired = facts.account, facts.desired
    added = desired.keys() - account.places
    ours = added | account.record.keys()
    record = {place: by for place, by in account.record.items() if _is_kept(facts, place, by, desired)}
    record |= {place: by for place, by in desired.items() if place in ours}
    named = any(_uses(resource, account.name) for resource in facts.resources.values())
    labelled = bool(record) or (named and (account.labelled or bool(desired)))
    if not added and record == account.record and labelled == account.labelled:
        return None
    removed = account.record.keys() - record.keys()
    return Change(added=added, removed=removed, annotation=_format_record(record), labelled=labelled)


def is_linked(account: Account, resource: Resource, *, has_secret: bool) -> bool:
    """Whether the resource's own links to an account are as they should be.

    In constant time, however many other resources link to it. Where it is False, `plan` has a change.
    """
    name = recorded_name(resource.key)
    facts = Facts(account=account, resources={name: resource}, with_secret=[name] if has_secret else [])
    desired = facts.desired
    if any(place not in account.places or account.record.get(place, name) != name for place in desired):
        return False
    return all(
        place in desired or _is_kept(facts, place, name, desired)
        for place in account.recorded_for.get(name, ())
    )


def merge_patch(account: Account, change: Change) -> dict[str, Any]:
    """The merge patch for an account that was just read; the API server refuses it for any other version."""
    labels = {LABEL: "true" if change.labelled else None}
    patch: dict[str, Any] = {
        "metadata": {
            "resourceVersion": account.resource_version,
            "labels": labels,
            "annotations": {LINKS: change.annotation},
        }
    }
    for use, field in LINK_FIELDS.items():
        before = list(account.entries[use])
        after = _without(before, {secret for secret, of in change.removed if of == use})
        after += [{"name": secret} for secret, of in sorted(change.added) if of == use]
        if after != before:
            patch[field] = after
    return patch


def _is_kept(facts: Facts, place: Place, by: str, desired: Mapping[Place, str]) -> bool:
    """Whether a recorded link stays, desired or not.

    It does while its resource is suspended or being deleted, or its links are not valid; and while the
    resource has another Secret's name in its spec, until that Secret exists: the new link comes first.
    """
    resource = facts.resources.get(by)
    if resource is None:
        return by in facts.assumed or place[0] in facts.orphaned
    if resource.desired is None or resource.desired.links is None or _is_left_alone(resource):
        return True
    secret, use = place
    if use not in _uses(resource, facts.account.name):
        return False
    new = resource.desired.secret_name
    return new == secret or desired.get((new, use)) != by


def _is_left_alone(resource: Resource) -> bool:
    return resource.deleting or (resource.desired is not None and resource.desired.suspended)


def _uses(resource: Resource, account: str) -> Sequence[str]:
    links = (resource.desired.links or ()) if resource.desired else ()
    found = [link.uses for link in links if link.account in (account, ALL_ACCOUNTS)]
    return found[0] if len(found) == 1 else sorted({use for uses in found for use in uses})


def _by_resource(record: Mapping[Place, str]) -> Mapping[str, AbstractSet[Place]]:
    places: dict[str, set[Place]] = {}
    for place, by in record.items():
        places.setdefault(by, set()).add(place)
    return places


def _without(entries: Sequence[Mapping[str, Any]], secrets: set[str]) -> list[Mapping[str, Any]]:
    """Remove the last entry of each Secret that is as the operator writes it: it was added at the end."""
    left, kept = set(secrets), []
    for entry in reversed(entries):
        name = entry.get("name")
        if isinstance(name, str) and name in left and entry == {"name": name}:
            left.discard(name)
        else:
            kept.append(entry)
    return kept[::-1]


def _format_record(record: Mapping[Place, str]) -> str | None:
    """As `{"<secret>": {"<use>": "<resource>"}}`."""
    written: dict[str, dict[str, str]] = {}
    for (secret, use), by in sorted(record.items()):
        written.setdefault(secret, {})[use] = by
    return json.dumps(written, separators=(",", ":")) if written else None


def _parse_record(annotation: str) -> dict[Place, str]:
    """The links in an annotation, without what is not valid: others may have written it."""
    try:
        written = json.loads(annotation)
    except (ValueError, RecursionError):
        return {}
    uses = written.items() if isinstance(written, Mapping) else ()
    return {
        (secret, use): by
        for secret, found in uses
        if isinstance(found, Mapping)
        for use, by in found.items()
        if use in LINK_FIELDS
        and isinstance(by, str)
        and is_name(by.removeprefix(_OF_CLUSTER))
        and is_name(secret)
    }
