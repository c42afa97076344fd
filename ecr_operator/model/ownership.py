"""Whose a Secret is, told from its metadata alone.

Invariant: a Secret that is not this resource's is never written; see the contract, section 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ecr_operator.model.manifests import FINGERPRINT, MANAGER, token_times
from ecr_operator.model.outcome import TokenTimes
from ecr_operator.model.resources import Resource


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
        controller_uid: uid of its controller, or None.
        owner: in words, for a message: its controller, its manager or "no owner".
        entry: our own entry in managedFields, if there is one.
        times: of the token in it, by our annotations.
        fingerprint: of the spec that it was made from, by our annotation.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    controller_uid: str | None
    owner: str
    entry: AppliedEntry | None
    times: TokenTimes | None
    fingerprint: str | None


def view_secret(metadata: Mapping[str, Any]) -> SecretView:
    """Make a view of a Secret's `metadata`."""
    annotations = metadata.get("annotations") or {}
    controller = _controller(metadata.get("ownerReferences") or ())
    managed = metadata.get("managedFields") or ()
    return SecretView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        controller_uid=controller["uid"] if controller else None,
        owner=_owner_in_words(controller, managed),
        entry=_our_entry(managed),
        times=token_times(annotations),
        fingerprint=annotations.get(FINGERPRINT),
    )


def is_ours(view: SecretView, resource: Resource) -> bool:
    """Whether this resource may write that Secret."""
    return view.controller_uid == resource.uid


def applied_fields(fields: Mapping[str, Any]) -> frozenset[str]:
    """The leaves of a managedFields entry as paths."""
    return frozenset(_leaves("", fields))


def _leaves(prefix: str, fields: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for key, inner in fields.items():
        path = f"{prefix}/{key}" if prefix else key
        found += _leaves(path, inner) if inner else [path]
    return found


def _our_entry(managed: Sequence[Mapping[str, Any]]) -> AppliedEntry | None:
    for entry in managed:
        if (
            entry.get("manager") == MANAGER
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ):
            return AppliedEntry(
                time=entry.get("time", ""), fields=applied_fields(entry.get("fieldsV1") or {})
            )
    return None


def _controller(owners: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return next((owner for owner in owners if owner.get("controller")), None)


def _owner_in_words(controller: Mapping[str, Any] | None, managed: Sequence[Mapping[str, Any]]) -> str:
    if controller:
        return f"{controller.get('kind')} {controller.get('name')}"
    manager = next((entry.get("manager") for entry in managed if entry.get("manager")), None)
    return f"field manager {manager}" if manager else "no owner"
