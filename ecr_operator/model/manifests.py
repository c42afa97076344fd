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
from ecr_operator.model.resources import API_VERSION, GROUP, Resource, Wanted, parse_time
from ecr_operator.model.tokens import USERNAME, RegistryToken

MANAGER: Final = "ecr-secret-operator"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
ISSUED_AT: Final = f"{GROUP}/token-issued-at"
EXPIRES_AT: Final = f"{GROUP}/token-expires-at"
FINGERPRINT: Final = f"{GROUP}/spec-fingerprint"

_ARGO_SECRET_TYPE: Final = "argocd.argoproj.io/secret-type"
_KEY: Final = ".dockerconfigjson"
_ARGO_KEYS: Final = ("username", "password", "url", "name", "type", "enableOCI")


def generated_secret(resource: Resource, wanted: Wanted, token: RegistryToken) -> dict[str, Any]:
    """The Secret to apply.

    Args:
        resource: becomes its controller.
        wanted: the resource's checked spec.
        token: the login that goes in.
    """
    argo = _is_argo(resource)
    data = _argo_data(wanted, token) if argo else {_KEY: dockerconfigjson(wanted.target, token)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": wanted.secret_name,
            "namespace": resource.key.namespace,
            "labels": _labels(resource),
            "annotations": {
                ISSUED_AT: _exactly(token.issued_at),
                EXPIRES_AT: _exactly(token.expires_at),
                FINGERPRINT: fingerprint(resource, wanted),
            },
            "ownerReferences": [_owner(resource)],
        },
        "type": "Opaque" if argo else "kubernetes.io/dockerconfigjson",
        "data": {key: _encode(value) for key, value in data.items()},
    }


def dockerconfigjson(host: str, token: RegistryToken) -> str:
    """The login as docker, kubelet, skopeo and the like read it; compact JSON."""
    login = {
        "username": USERNAME,
        "password": token.password,
        "auth": _encode(f"{USERNAME}:{token.password}"),
    }
    return json.dumps({"auths": {host: login}}, separators=(",", ":"), ensure_ascii=False)


def fingerprint(resource: Resource, wanted: Wanted) -> str:
    """Changes with all that decides the Secret's contents but the token; found again after a restart."""
    parts = [resource.key.kind, wanted.secret_name, wanted.target, str(wanted.source)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def owned_fields(resource: Resource) -> frozenset[str]:
    """The fields that the API server notes as ours after an apply for this resource.

    The same paths as `ownership.applied_fields` makes of a managedFields entry.
    """
    return frozenset(
        [
            "f:type",
            f'f:metadata/f:ownerReferences/k:{{"uid":"{resource.uid}"}}',
            *(f"f:metadata/f:annotations/f:{key}" for key in (ISSUED_AT, EXPIRES_AT, FINGERPRINT)),
            *(f"f:metadata/f:labels/f:{key}" for key in _labels(resource)),
            *(f"f:data/f:{key}" for key in (_ARGO_KEYS if _is_argo(resource) else (_KEY,))),
        ]
    )


def token_times(annotations: Mapping[str, str]) -> TokenTimes | None:
    """The times of the token in a generated Secret, from the Secret's annotations."""
    issued_at = parse_time(annotations.get(ISSUED_AT))
    expires_at = parse_time(annotations.get(EXPIRES_AT))
    if issued_at is None or expires_at is None or issued_at >= expires_at:
        return None
    return TokenTimes(issued_at=issued_at, expires_at=expires_at)


def _exactly(time: datetime) -> str:
    """UTC with microseconds, so that a restart finds the very deadline that it left."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _is_argo(resource: Resource) -> bool:
    return resource.key.kind == "ArgoHelmRepoSecret"


def _labels(resource: Resource) -> dict[str, str]:
    argo = {_ARGO_SECRET_TYPE: "repository"} if _is_argo(resource) else {}
    return {MANAGED_BY: MANAGER, **argo}


def _argo_data(wanted: Wanted, token: RegistryToken) -> dict[str, str]:
    return {
        "username": USERNAME,
        "password": token.password,
        "url": wanted.target,
        "name": wanted.secret_name,
        "type": "helm",
        "enableOCI": "true",
    }


def _owner(resource: Resource) -> dict[str, Any]:
    # Without blockOwnerDeletion: it would need update on the resource's finalizers on OpenShift.
    return {
        "apiVersion": API_VERSION,
        "kind": resource.key.kind,
        "name": resource.key.name,
        "uid": resource.uid,
        "controller": True,
    }


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
