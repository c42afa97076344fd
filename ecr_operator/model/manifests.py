"""From a resource and a token to the generated Secret, byte for byte as v0.6.0 wrote its data.

Invariant: the manifest names exactly the fields that the operator owns, so what others add survives.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ecr_operator.model.outcome import TokenTimes
from ecr_operator.model.resources import (
    API_VERSION,
    GROUP,
    ORPHAN,
    REFRESH_REQUESTED,
    Resource,
    Wanted,
    parse_time,
)
from ecr_operator.model.tokens import USERNAME, RegistryToken

MANAGER: Final = "ecr-secret-operator"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
ISSUED_AT: Final = f"{GROUP}/token-issued-at"
EXPIRES_AT: Final = f"{GROUP}/token-expires-at"
FINGERPRINT: Final = f"{GROUP}/spec-fingerprint"
# Whose the Secret is where no ownerReference says it: with deletion_policy Orphan, or if one is taken off.
OWNER: Final = f"{GROUP}/owner"
OWNER_UID: Final = f"{GROUP}/owner-uid"

DOCKER_TYPE: Final = "kubernetes.io/dockerconfigjson"
DOCKER_KEY: Final = ".dockerconfigjson"
ARGO_TYPE: Final = "Opaque"
ARGO_KEYS: Final = ("username", "password", "url", "name", "type", "enableOCI")
ARGO_LABEL: Final = "argocd.argoproj.io/secret-type"


def generated_secret(resource: Resource, wanted: Wanted, token: RegistryToken) -> dict[str, Any]:
    """The Secret to apply.

    Args:
        resource: becomes its controller, unless the Secret is to outlive it.
        wanted: the resource's checked spec.
        token: the login that goes in.
    """
    manifest: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": wanted.secret_name,
            "namespace": resource.key.namespace,
            "labels": _labels(resource, wanted),
            "annotations": {
                **_annotations(resource, wanted),
                ISSUED_AT: _exactly(token.issued_at),
                EXPIRES_AT: _exactly(token.expires_at),
            },
        },
        "type": ARGO_TYPE if is_argo(resource) else DOCKER_TYPE,
        "data": {key: encode(value) for key, value in generated_data(resource, wanted, token).items()},
    }
    if not wanted.orphan:
        manifest["metadata"]["ownerReferences"] = [_controller(resource)]
    return manifest


def generated_data(resource: Resource, wanted: Wanted, token: RegistryToken) -> dict[str, str]:
    """The Secret's keys and values, not yet encoded."""
    if not is_argo(resource):
        return {DOCKER_KEY: dockerconfigjson(wanted.target, token)}
    return {
        "username": USERNAME,
        "password": token.password,
        "url": wanted.target,
        "name": wanted.secret_name,
        "type": "helm",
        "enableOCI": "true",
    }


def dockerconfigjson(host: str, token: RegistryToken) -> str:
    """The login as docker, kubelet, skopeo and the like read it; compact JSON."""
    auth = encode(f"{USERNAME}:{token.password}")
    login = {"username": USERNAME, "password": token.password, "auth": auth}
    return json.dumps({"auths": {host: login}}, separators=(",", ":"), ensure_ascii=False)


def fingerprint(resource: Resource, wanted: Wanted) -> str:
    """Changes with all that decides the Secret but the token; found again after a restart."""
    parts = [resource.key.kind, wanted.secret_name, wanted.target, str(wanted.source)]
    if wanted.labels or wanted.annotations:
        parts += [json.dumps([wanted.labels, wanted.annotations], sort_keys=True)]
    if wanted.orphan:
        parts += [ORPHAN]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def owned_fields(resource: Resource, wanted: Wanted) -> frozenset[str]:
    """The fields that the API server notes as ours after an apply for this resource.

    The same paths as `ownership.applied_fields` makes of a managedFields entry.
    """
    # Not the request for a fresh token: an unmet one does not make the Secret unfit.
    annotations = {*_annotations(resource, wanted), ISSUED_AT, EXPIRES_AT} - {REFRESH_REQUESTED}
    controller = () if wanted.orphan else (f'f:metadata/f:ownerReferences/k:{{"uid":"{resource.uid}"}}',)
    return frozenset(
        [
            "f:type",
            *controller,
            *(f"f:metadata/f:annotations/f:{key}" for key in annotations),
            *(f"f:metadata/f:labels/f:{key}" for key in _labels(resource, wanted)),
            *(f"f:data/f:{key}" for key in (ARGO_KEYS if is_argo(resource) else (DOCKER_KEY,))),
        ]
    )


def token_times(annotations: Mapping[str, str]) -> TokenTimes | None:
    """The times of the token in a generated Secret, from the Secret's annotations."""
    issued_at = parse_time(annotations.get(ISSUED_AT))
    expires_at = parse_time(annotations.get(EXPIRES_AT))
    if issued_at is None or expires_at is None or issued_at >= expires_at:
        return None
    return TokenTimes(issued_at=issued_at, expires_at=expires_at)


def is_argo(resource: Resource) -> bool:
    """Whether the Secret is for Argo CD."""
    return resource.key.kind == "ArgoHelmRepoSecret"


def encode(text: str) -> str:
    """Base64 of UTF-8."""
    return base64.b64encode(text.encode()).decode("ascii")


def _labels(resource: Resource, wanted: Wanted) -> dict[str, str]:
    argo = {ARGO_LABEL: "repository"} if is_argo(resource) else {}
    return {**wanted.labels, MANAGED_BY: MANAGER, **argo}


def _annotations(resource: Resource, wanted: Wanted) -> dict[str, str]:
    """All but the token's times."""
    annotations = {
        **wanted.annotations,
        FINGERPRINT: fingerprint(resource, wanted),
        OWNER: f"{resource.key.kind}/{resource.key.name}",
        OWNER_UID: resource.uid,
    }
    if resource.refresh_requested:
        annotations[REFRESH_REQUESTED] = resource.refresh_requested
    return annotations


def _controller(resource: Resource) -> dict[str, Any]:
    # Without blockOwnerDeletion: it would need update on the resource's finalizers on OpenShift.
    return {
        "apiVersion": API_VERSION,
        "kind": resource.key.kind,
        "name": resource.key.name,
        "uid": resource.uid,
        "controller": True,
    }


def _exactly(time: datetime) -> str:
    """UTC with microseconds, so that a restart finds the very deadline that it left."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
