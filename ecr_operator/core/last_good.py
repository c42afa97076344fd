"""What the generated Secret has from the last valid value of a field whose present one is not valid.

Only what the operator itself applied counts: what others have put there is neither made the operator's own
nor taken for the spec's. Where managedFields no longer tell, the options for Argo CD are taken as they are.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ecr_operator.api.desired import REPO_CREDS, ArgoOptions, Desired
from ecr_operator.api.kinds import GROUP
from ecr_operator.api.text import mapping_in
from ecr_operator.core.secret import ARGO_LABEL, MANAGED_BY
from ecr_operator.core.secret_view import SecretView

FIELDS: Final = frozenset(
    {"secret_labels", "secret_annotations", "deletion_policy", "credential_scope", "repo_type", "project"}
)
_OWN: Final = (MANAGED_BY, ARGO_LABEL)


def with_last_good(desired: Desired, view: SecretView, secret: Mapping[str, Any]) -> Desired:
    """The spec with what the Secret has for each of the fields that are not valid.

    Args:
        desired: the spec, with defaults for these fields.
        view: the resource's own Secret.
        secret: the same Secret, whole.
    """
    metadata, kept = mapping_in(secret, "metadata"), desired.kept
    changes: dict[str, Any] = {}
    if "secret_labels" in kept:
        labels = _applied(view, mapping_in(metadata, "labels"), "f:metadata/f:labels")
        changes["labels"] = {key: value for key, value in labels.items() if key not in _OWN}
    if "secret_annotations" in kept:
        annotations = _applied(view, mapping_in(metadata, "annotations"), "f:metadata/f:annotations")
        changes["annotations"] = {
            key: value for key, value in annotations.items() if not key.startswith(f"{GROUP}/")
        }
    if "deletion_policy" in kept:
        changes["orphan"] = not (view.owner and view.owner.controller)
    if desired.argo:
        changes["argo"] = _argo(desired.argo, kept, view, secret)
    return replace(desired, **changes)


def _applied(view: SecretView, present: Mapping[str, Any], parent: str) -> dict[str, str]:
    fields = view.entry.fields if view.entry else frozenset()
    return {
        key: value
        for key, value in present.items()
        if isinstance(value, str) and f"{parent}/f:{key}" in fields
    }


def _argo(
    options: ArgoOptions, kept: frozenset[str], view: SecretView, secret: Mapping[str, Any]
) -> ArgoOptions:
    labels, data = mapping_in(mapping_in(secret, "metadata"), "labels"), mapping_in(secret, "data")
    if view.entry:
        labels, data = _applied(view, labels, "f:metadata/f:labels"), _applied(view, data, "f:data")
    changes: dict[str, Any] = {}
    if "credential_scope" in kept:
        changes["scope"] = REPO_CREDS if labels.get(ARGO_LABEL) == REPO_CREDS else "repository"
    if "repo_type" in kept:
        # enableOCI is written for helm alone, and so tells the type where somebody has changed that.
        type_ = _decoded(data.get("type")) or ("helm" if "enableOCI" in data else "oci")
        changes["repo_type"] = "oci" if type_ == "oci" else "helm"
    if "project" in kept:
        changes["project"] = _decoded(data.get("project"))
    return replace(options, **changes)


def _decoded(value: object) -> str:
    try:
        return base64.b64decode(value, validate=True).decode() if isinstance(value, str) else ""
    except (binascii.Error, ValueError):
        return ""
