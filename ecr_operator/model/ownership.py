"""Whose a Secret is, told from its metadata alone.

Invariant: a Secret that is not this resource's is never written; see the contract, section 3.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from ecr_operator.model.manifests import (
    FINGERPRINT,
    MANAGED_BY,
    MANAGER,
    OWNER,
    OWNER_UID,
    TOKENS,
    token_times,
)
from ecr_operator.model.outcome import ResourceKey, TokenTimes
from ecr_operator.model.parsing import REFRESH_REQUESTED, Resource
from ecr_operator.model.resources import GROUP, KINDS

ADOPT: Final = f"{GROUP}/adopt"


class Claim(Enum):
    """What a resource may do with a Secret."""

    OURS = auto()
    TAKE_OVER = auto()
    FOREIGN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who has a Secret, by its controller ownerReference, or by our annotations where it has none.

    Attributes:
        uid: of the owner.
        kind: of the owner.
        name: of the owner.
        of_ours: it is one of our custom resources.
        controller: by ownerReference.
    """

    uid: str
    kind: str
    name: str
    of_ours: bool
    controller: bool

    def key(self, namespace: str) -> ResourceKey:
        """The owner as one of our resources."""
        return ResourceKey(kind=self.kind, namespace=namespace, name=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedEntry:
    """Our entry in a Secret's managedFields: what we applied and still own.

    Attributes:
        time: of our last apply that changed something. An apply by somebody else under our
            manager's name shows only here.
        fields: paths, as `manifests.owned_fields` writes them.
    """

    time: str
    fields: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretView:
    """What the operator keeps of a core Secret: never its data.

    Attributes:
        namespace: its namespace.
        name: its name.
        uid: of this very object.
        resource_version: as last seen; every later write carries it.
        owner: who has it, if anybody says so.
        managed: it bears our label and our field manager's entry.
        entry: our own entry in managedFields, if there is one.
        writers: the other field managers that own some of its data.
        times: of the token in it, by our annotations.
        fingerprint: of the spec that it was made from, by our annotation.
        tokens: which login holds a token of when, where it holds several.
        refresh_requested: the request for a fresh token that was met last, by our annotation.
        adopt: somebody said that it may be adopted.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    owner: Owner | None
    managed: bool
    entry: AppliedEntry | None
    writers: tuple[str, ...]
    times: TokenTimes | None
    fingerprint: str | None
    tokens: str | None
    refresh_requested: str | None
    adopt: bool

    def is_owned_by(self, uid: str) -> bool:
        """Whether the resource with that uid has it."""
        return self.owner is not None and self.owner.uid == uid

    @property
    def owner_in_words(self) -> str:
        """Whose it seems to be, for a message."""
        if self.owner:
            return f"{self.owner.kind} {self.owner.name}"
        return f"field manager {', '.join(self.writers)}" if self.writers else "no owner"


def view_secret(metadata: Mapping[str, Any]) -> SecretView:
    """Make a view of a Secret's `metadata`."""
    annotations = metadata.get("annotations") or {}
    managed_fields = metadata.get("managedFields") or ()
    entry = _our_entry(managed_fields)
    managed = entry is not None and (metadata.get("labels") or {}).get(MANAGED_BY) == MANAGER
    return SecretView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner=_controller(metadata.get("ownerReferences") or ())
        or (_annotated(annotations) if managed else None),
        managed=managed,
        entry=entry,
        writers=_other_writers(managed_fields),
        times=token_times(annotations),
        fingerprint=annotations.get(FINGERPRINT),
        tokens=annotations.get(TOKENS),
        refresh_requested=annotations.get(REFRESH_REQUESTED),
        adopt=annotations.get(ADOPT) == "true",
    )


def claim(view: SecretView, resource: Resource, *, owner_is_gone: bool) -> Claim:
    """What the resource may do with the Secret.

    Args:
        view: the Secret.
        resource: who wants it.
        owner_is_gone: the owner that the Secret names was one of our resources and no longer exists.
    """
    owner = view.owner
    if owner and owner.uid == resource.uid:
        return Claim.OURS
    if owner and owner.of_ours and view.managed and owner_is_gone:
        return Claim.TAKE_OVER
    if view.adopt and (owner is None or (owner.of_ours and owner_is_gone)):
        return Claim.TAKE_OVER
    return Claim.FOREIGN


def applied_fields(fields: Mapping[str, Any]) -> frozenset[str]:
    """The leaves of a managedFields entry as paths."""
    return frozenset(_leaves("", fields))


def _leaves(prefix: str, fields: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for key, inner in fields.items():
        path = f"{prefix}/{key}" if prefix else key
        found += _leaves(path, inner) if inner else [sys.intern(path)]
    return found


def _our_entry(managed: Sequence[Mapping[str, Any]]) -> AppliedEntry | None:
    for entry in managed:
        if entry.get("manager") == MANAGER and entry.get("operation") == "Apply":
            fields = applied_fields(entry.get("fieldsV1") or {})
            return AppliedEntry(time=entry.get("time", ""), fields=fields)
    return None


def _other_writers(managed: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    names = (
        str(entry.get("manager"))
        for entry in managed
        if "f:data" in (entry.get("fieldsV1") or {})
        and not (entry.get("manager") == MANAGER and entry.get("operation") == "Apply")
    )
    return tuple(dict.fromkeys(names))


def _controller(owners: Sequence[Mapping[str, Any]]) -> Owner | None:
    reference = next((owner for owner in owners if owner.get("controller")), None)
    if reference is None:
        return None
    group = str(reference.get("apiVersion", "")).partition("/")[0]
    return Owner(
        uid=reference["uid"],
        kind=reference["kind"],
        name=reference["name"],
        of_ours=group == GROUP and reference["kind"] in KINDS,
        controller=True,
    )


def _annotated(annotations: Mapping[str, str]) -> Owner | None:
    kind, _, name = annotations.get(OWNER, "").partition("/")
    uid = annotations.get(OWNER_UID)
    if not uid or kind not in KINDS:
        return None
    return Owner(uid=uid, kind=kind, name=name, of_ours=True, controller=False)
