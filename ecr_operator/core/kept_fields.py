"""What the generated Secret has from the last valid value of a field whose current value is not valid.

Invariant: only what the operator itself applied counts; what others wrote becomes neither the operator's nor
the spec's. Without managedFields the options for Argo CD are read as they are. Leaves out: fields of which
the Secret keeps nothing (api.spec_fields: frequency and registries; links.plan: links), and the copied logins
that stay (included_logins).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ecr_operator.api.desired import BASIC_AUTH, CONFIG_JSON, DOCKER, REPO_CREDS, ArgoOptions, Desired
from ecr_operator.api.kinds import GROUP
from ecr_operator.api.text import base64_in, mapping_in
from ecr_operator.core.manifest import ARGO_LABEL, MANAGED_BY, TYPES, fingerprint
from ecr_operator.core.secret_view import SecretView

KEPT_FIELDS: Final = frozenset(
    {
        "secret_labels",
        "secret_annotations",
        "deletion_policy",
        "secret_format",
        "include_logins_from",
        "credential_scope",
        "repo_type",
        "project",
    }
)
_OWN: Final = (MANAGED_BY, ARGO_LABEL)


def with_last_good(desired: Desired, view: SecretView, secret: Mapping[str, Any]) -> Desired:
    """The spec with what the Secret has for each of `KEPT_FIELDS` that is not valid.

    Args:
        desired: has defaults for these fields.
        view: of the resource's own Secret.
        secret: the same Secret, whole.
    """
    metadata, invalid_fields = mapping_in(secret, "metadata"), desired.invalid_fields
    changes: dict[str, Any] = {}
    if "secret_labels" in invalid_fields:
        labels = _applied(view, mapping_in(metadata, "labels"), "f:metadata/f:labels")
        changes["labels"] = {key: value for key, value in labels.items() if key not in _OWN}
    if "secret_annotations" in invalid_fields:
        annotations = _applied(view, mapping_in(metadata, "annotations"), "f:metadata/f:annotations")
        changes["annotations"] = {
            key: value for key, value in annotations.items() if not key.startswith(f"{GROUP}/")
        }
    if "deletion_policy" in invalid_fields:
        changes["orphan"] = not (view.owner and view.owner.controller)
    if "secret_format" in invalid_fields:
        changes["secret_format"] = kept = _format_of(secret)
        if kept == BASIC_AUTH:
            changes |= {"logins": desired.logins[:1], "includes": ()}
    if desired.argo:
        changes["argo"] = _argo(desired.argo, invalid_fields, view, secret)
    kept_spec = replace(desired, **changes)
    if (
        kept_spec.includes is None
        and fingerprint(without := replace(kept_spec, includes=())) == view.fingerprint
    ):
        return without  # nothing was copied
    return kept_spec


def _format_of(secret: Mapping[str, Any]) -> str:
    """The form of a Secret, by its type, which nobody can change."""
    type_ = secret.get("type")
    return next((each for each in (DOCKER, BASIC_AUTH) if type_ == TYPES[each]), CONFIG_JSON)


def _applied(view: SecretView, present: Mapping[str, Any], parent: str) -> dict[str, str]:
    """Those of the values below a field that the operator applied and still owns."""
    fields = view.entry.fields if view.entry else frozenset()
    return {
        key: value
        for key, value in present.items()
        if isinstance(value, str) and f"{parent}/f:{key}" in fields
    }


def _argo(
    options: ArgoOptions, invalid_fields: frozenset[str], view: SecretView, secret: Mapping[str, Any]
) -> ArgoOptions:
    labels, data = mapping_in(mapping_in(secret, "metadata"), "labels"), mapping_in(secret, "data")
    if view.entry:
        labels, data = _applied(view, labels, "f:metadata/f:labels"), _applied(view, data, "f:data")
    changes: dict[str, Any] = {}
    if "credential_scope" in invalid_fields:
        changes["scope"] = REPO_CREDS if labels.get(ARGO_LABEL) == REPO_CREDS else "repository"
    if "repo_type" in invalid_fields:
        # enableOCI is written for helm only, and so gives the type where somebody has changed that.
        type_ = base64_in(data.get("type")) or ("helm" if "enableOCI" in data else "oci")
        changes["repo_type"] = "oci" if type_ == "oci" else "helm"
    if "project" in invalid_fields:
        changes["project"] = base64_in(data.get("project")) or ""
    return replace(options, **changes)
