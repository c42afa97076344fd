"""From a ServiceAccount and what resources wish of it to the patch that it needs.

Invariant: an entry of `imagePullSecrets` or `secrets` that the ServiceAccount's annotation does not say to be
the operator's is never taken out, and doing then undoing leaves the ServiceAccount as it was.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ecr_operator.api.desired import Resource
from ecr_operator.api.kinds import GROUP
from ecr_operator.api.names import LINK_FIELDS, is_name
from ecr_operator.api.text import intern_text, mapping_in, mappings_in

# By the label the operator finds again what it tends; in the annotation stands what it added.
LABEL: Final = f"{GROUP}/linked"
LINKS: Final = f"{GROUP}/links"
SELECTOR: Final = f"{LABEL}=true"

LARGEST_RECORD: Final = 16 * 1024  # characters
# Of each list, entries beside the operator's own that are kept in memory.
_MOST_KEPT: Final = 100

Place = tuple[str, str]
"""A Secret's name and a use: where one link stands."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Link:
    """One entry for a Secret in one of a ServiceAccount's lists.

    Attributes:
        secret: name of the Secret.
        use: which of `LINK_FIELDS`.
        by: name of the resource that wishes it.
    """

    secret: str
    use: str
    by: str

    @property
    def place(self) -> Place:
        """Where it stands, whoever wishes it."""
        return self.secret, self.use


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the operator keeps of a ServiceAccount.

    Attributes:
        namespace: its namespace.
        name: its name.
        uid: of this very object.
        resource_version: as last seen; a write carries it.
        entries: by use, its lists as they are.
        record: the links that the operator added, by the annotation.
        annotation: the annotation's text, if it is there and not ignored.
        record_ignored: the annotation is larger than the operator makes it, so it counts as absent.
        labelled: it bears the operator's label.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    entries: Mapping[str, Sequence[Mapping[str, Any]]]
    record: frozenset[Link]
    annotation: str | None
    labelled: bool
    record_ignored: bool = False

    def abridged(self) -> "Account":
        """The account as it is kept: of each list the recorded entries and some others, by name only.

        A list may have 1.5 MiB. No write is made of this: each begins with a read.
        """
        recorded = {link.place for link in self.record}
        return replace(
            self, entries={use: _names(found, use, recorded) for use, found in self.entries.items()}
        )


def _names(
    entries: Sequence[Mapping[str, Any]], use: str, recorded: set[Place]
) -> tuple[Mapping[str, Any], ...]:
    names = [name for entry in entries if isinstance(name := entry.get("name"), str) and is_name(name)]
    first = [name for name in names if (name, use) in recorded]
    others = [name for name in names if (name, use) not in recorded]
    return tuple({"name": intern_text(name)} for name in [*first, *others[:_MOST_KEPT]])


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkIndex:
    """The links of one ServiceAccount, each found without a search.

    Attributes:
        entries: the places that have an entry, whoever added it.
        record: the recorded link of each place.
        by_resource: the recorded links of each resource, by its name.
    """

    entries: frozenset[Place]
    record: Mapping[Place, Link]
    by_resource: Mapping[str, Sequence[Link]]

    def has(self, links: Iterable[Link]) -> bool:
        """Whether each of these links has its entry, and no record of another resource."""
        return all(link.place in self.entries and self.record.get(link.place, link) == link for link in links)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a ServiceAccount needs.

    Attributes:
        patch: a merge patch, good for the version that was seen only.
        added: where links were put in.
        removed: where links were taken out.
    """

    patch: Mapping[str, Any]
    added: frozenset[Place]
    removed: frozenset[Place]

    @property
    def can_be_recorded(self) -> bool:
        """Whether the record that it writes is short enough to be read again."""
        written = self.patch["metadata"].get("annotations", {}).get(LINKS)
        return len(written or "") <= LARGEST_RECORD


def view_account(raw: Mapping[str, Any]) -> Account:
    """Make an Account of what the API server sent, whose name, uid and version alone are the server's."""
    metadata = raw["metadata"]
    written = mapping_in(metadata, "annotations").get(LINKS)
    annotation = written if isinstance(written, str) and len(written) <= LARGEST_RECORD else None
    return Account(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        entries={use: tuple(mappings_in(raw, field)) for use, field in LINK_FIELDS.items()},
        record=_read_record(annotation),
        annotation=annotation,
        labelled=mapping_in(metadata, "labels").get(LABEL) == "true",
        record_ignored=written is not None and annotation is None,
    )


def index_links(account: Account) -> LinkIndex:
    """Index what an account has; linear in its size."""
    by_resource: dict[str, list[Link]] = {}
    for link in account.record:
        by_resource.setdefault(link.by, []).append(link)
    return LinkIndex(
        entries=_places(account),
        record={link.place: link for link in account.record},
        by_resource=by_resource,
    )


def link_specs(
    account: str, resources: Iterable[Resource], has_secret: Callable[[Resource], bool]
) -> frozenset[Link]:
    """The links to an account that should be there now.

    Args:
        account: its name.
        resources: those that name it.
        has_secret: whether the Secret that a resource wants is there and its own.
    """
    return frozenset(
        Link(secret=resource.desired.secret_name, use=use, by=resource.key.name)
        for resource in resources
        if resource.desired and not _is_left_alone(resource) and has_secret(resource)
        for use in _uses(resource, account)
    )


def stays(link: Link, account: str, by: Resource, wished: frozenset[Link]) -> bool:
    """Whether a link that the operator added stays for a resource that exists.

    It does while the resource is suspended or being deleted, or its links make no sense; and while it has
    another Secret's name in its spec, until that Secret is there: the new link comes first.
    """
    if by.desired is None or by.desired.links is None or _is_left_alone(by):
        return True
    if link.use not in _uses(by, account):
        return False
    new = Link(secret=by.desired.secret_name, use=link.use, by=link.by)
    return new.secret == link.secret or new not in wished


def plan(account: Account, wished: frozenset[Link], kept: frozenset[Link], *, named: bool) -> Change | None:
    """What has to be written so that the account is as wished; None for nothing. Linear in the links.

    A record that is ignored is replaced with the next write; its links then count as those of others.

    Args:
        account: as it is.
        wished: the links that should be there.
        kept: links of the record that stay as they are, there or not.
        named: some resource names the account.
    """
    wished_places = {link.place for link in wished}
    added = wished_places - _places(account)
    removed = {link.place for link in account.record - kept} - wished_places
    entries = {use: _without(found, _of_use(use, removed)) for use, found in account.entries.items()}
    for secret, use in sorted(added):
        entries[use].append({"name": secret})
    ours = added | {link.place for link in account.record}
    record = {link for link in account.record & kept if link.place not in wished_places}
    record |= {link for link in wished if link.place in ours}
    labelled = bool(record) or (named and (account.labelled or bool(wished)))
    patch = _patch(account, entries, frozenset(record), labelled=labelled)
    return Change(patch=patch, added=frozenset(added), removed=frozenset(removed)) if patch else None


def _patch(
    account: Account,
    entries: Mapping[str, Sequence[Mapping[str, Any]]],
    record: frozenset[Link],
    *,
    labelled: bool,
) -> dict[str, Any]:
    patch: dict[str, Any] = {
        LINK_FIELDS[use]: list(found)
        for use, found in entries.items()
        if list(found) != list(account.entries[use])
    }
    metadata: dict[str, Any] = {}
    if labelled != account.labelled:
        metadata["labels"] = {LABEL: "true" if labelled else None}
    annotation = _write_record(record)
    if annotation != account.annotation or (account.record_ignored and (patch or metadata)):
        metadata["annotations"] = {LINKS: annotation}
    if not patch and not metadata:
        return {}
    # A patch that carries a version is refused if another writer was there first.
    return {"metadata": {"resourceVersion": account.resource_version, **metadata}, **patch}


def _is_left_alone(resource: Resource) -> bool:
    return resource.deleting or (resource.desired is not None and resource.desired.suspended)


def _uses(resource: Resource, account: str) -> tuple[str, ...]:
    wishes = (resource.desired.links or ()) if resource.desired else ()
    return next((wish.uses for wish in wishes if wish.account == account), ())


def _places(account: Account) -> frozenset[Place]:
    names = ((entry.get("name"), use) for use, found in account.entries.items() for entry in found)
    return frozenset((name, use) for name, use in names if isinstance(name, str))


def _of_use(use: str, places: Iterable[Place]) -> set[str]:
    return {secret for secret, used in places if used == use}


def _without(entries: Sequence[Mapping[str, Any]], secrets: set[str]) -> list[Mapping[str, Any]]:
    """Take out the last entry of each Secret that is as the operator writes it: it was put at the end."""
    left, kept = set(secrets), []
    for entry in reversed(entries):
        name = entry.get("name")
        if isinstance(name, str) and name in left and entry == {"name": name}:
            left.discard(name)
        else:
            kept.append(entry)
    return kept[::-1]


def _write_record(record: frozenset[Link]) -> str | None:
    """As `{"<secret>": {"<use>": "<resource>"}}`; None where nothing is to be remembered."""
    written: dict[str, dict[str, str]] = {}
    for link in sorted(record):
        written.setdefault(link.secret, {})[link.use] = link.by
    return json.dumps(written, separators=(",", ":")) if written else None


def _read_record(annotation: str | None) -> frozenset[Link]:
    """What the annotation says, without what makes no sense: others may have written it."""
    try:
        written = json.loads(annotation or "{}")
    except (ValueError, RecursionError):
        return frozenset()
    uses = written.items() if isinstance(written, Mapping) else ()
    return frozenset(
        Link(secret=secret, use=use, by=by)
        for secret, bys in uses
        if isinstance(bys, Mapping)
        for use, by in bys.items()
        if use in LINK_FIELDS and isinstance(by, str) and is_name(by) and is_name(secret)
    )
