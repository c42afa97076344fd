"""From a resource and a token to the generated Secret, byte for byte as v0.6.0 wrote its data.

Invariant: the manifest names exactly the fields that the operator owns, so what others add survives.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ecr_operator.model.desired import ORPHAN, ArgoOptions, Resource, Wanted
from ecr_operator.model.outcome import TokenTimes
from ecr_operator.model.parsing import REFRESH_REQUESTED
from ecr_operator.model.resources import API_VERSION, GROUP
from ecr_operator.model.times import parse_time
from ecr_operator.model.tokens import USERNAME, RegistryToken

MANAGER: Final = "ecr-secret-operator"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
ISSUED_AT: Final = f"{GROUP}/token-issued-at"
EXPIRES_AT: Final = f"{GROUP}/token-expires-at"
TOKENS: Final = f"{GROUP}/tokens"
FINGERPRINT: Final = f"{GROUP}/spec-fingerprint"
# Whose the Secret is where no ownerReference says it: with deletion_policy Orphan, or if one is taken off.
OWNER: Final = f"{GROUP}/owner"
OWNER_UID: Final = f"{GROUP}/owner-uid"
# Which long-lived access key fetched the token: tells after a restart whether the keys have been rotated.
KEY_HASH: Final = f"{GROUP}/access-key-hash"

DOCKER_TYPE: Final = "kubernetes.io/dockerconfigjson"
DOCKER_KEY: Final = ".dockerconfigjson"
ARGO_TYPE: Final = "Opaque"
ARGO_LABEL: Final = "argocd.argoproj.io/secret-type"


def generated_secret(
    resource: Resource, wanted: Wanted, tokens: Mapping[str, RegistryToken]
) -> dict[str, Any]:
    """The Secret to apply.

    Args:
        resource: becomes its controller, unless the Secret is to outlive it.
        wanted: the resource's checked spec.
        tokens: by registry key; where one is missing, the Secret says that it is not whole.
    """
    times, key_hash = earliest(tokens.values()), _key_hash(tokens.values())
    manifest: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": wanted.secret_name,
            "namespace": resource.key.namespace,
            "labels": _labels(wanted),
            "annotations": {
                **_annotations(resource, wanted),
                **({TOKENS: tokens_annotation(wanted, tokens)} if len(wanted.logins) > 1 else {}),
                ISSUED_AT: _exactly(times.issued_at),
                EXPIRES_AT: _exactly(times.expires_at),
                **({KEY_HASH: key_hash} if key_hash else {}),
            },
        },
        "type": secret_type(wanted),
        "data": {key: encode(value) for key, value in generated_data(wanted, tokens).items()},
    }
    if not wanted.orphan:
        manifest["metadata"]["ownerReferences"] = [_controller(resource)]
    return manifest


def generated_data(wanted: Wanted, tokens: Mapping[str, RegistryToken]) -> dict[str, str]:
    """The Secret's keys and values, not yet encoded."""
    if wanted.argo:
        return _argo_data(wanted, wanted.argo, tokens[wanted.target].password)
    held = {login.key: tokens[login.key] for login in wanted.logins if login.key in tokens}
    return {DOCKER_KEY: dockerconfigjson(held)}


def dockerconfigjson(tokens: Mapping[str, RegistryToken]) -> str:
    """The logins as docker, kubelet, skopeo and the like read them, by registry key; compact JSON."""
    auths = {
        host: {
            "username": USERNAME,
            "password": token.password,
            "auth": encode(f"{USERNAME}:{token.password}"),
        }
        for host, token in tokens.items()
    }
    return json.dumps({"auths": auths}, separators=(",", ":"), ensure_ascii=False)


def earliest(tokens: Iterable[RegistryToken]) -> TokenTimes:
    """The times of a Secret with several tokens: it is as old as its oldest, and dies with its first."""
    held = list(tokens)
    return TokenTimes(
        issued_at=min(token.issued_at for token in held), expires_at=min(token.expires_at for token in held)
    )


def _key_hash(tokens: Iterable[RegistryToken]) -> str:
    """Of the key that fetched the oldest token: one that stayed after a failure may be of earlier keys."""
    return min(tokens, key=lambda token: token.issued_at).key_hash


def tokens_annotation(wanted: Wanted, tokens: Mapping[str, RegistryToken]) -> str:
    """Which login holds a token of when, so that nothing is written when none is new."""
    return ",".join(
        f"{number}:{_exactly(tokens[login.key].issued_at)}"
        for number, login in enumerate(wanted.logins)
        if login.key in tokens
    )


def is_whole(wanted: Wanted, annotation: str | None) -> bool:
    """Whether a Secret with that `TOKENS` annotation holds every login that is wanted."""
    return len(wanted.logins) == 1 or len((annotation or "").split(",")) == len(wanted.logins)


def fingerprint(resource: Resource, wanted: Wanted) -> str:
    """Changes with all that decides the Secret but the token; found again after a restart."""
    parts = [resource.key.kind, wanted.secret_name]
    for login in wanted.logins:
        parts += [login.key, str(login.source)]
    if wanted.labels or wanted.annotations:
        parts += [json.dumps([wanted.labels, wanted.annotations], sort_keys=True)]
    if wanted.argo not in (None, ArgoOptions()):
        parts += [str(wanted.argo)]
    if wanted.orphan:
        parts += [ORPHAN]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def owned_fields(resource: Resource, wanted: Wanted) -> frozenset[str]:
    """The fields that the API server notes as ours after an apply for this resource.

    The same paths as `ownership.applied_fields` makes of a managedFields entry.
    """
    # Not the request for a fresh token: an unmet one does not make the Secret unfit.
    annotations = _annotations(resource, wanted).keys() - {REFRESH_REQUESTED}
    controller = () if wanted.orphan else (f'f:metadata/f:ownerReferences/k:{{"uid":"{resource.uid}"}}',)
    return login_fields(wanted).union(
        controller,
        (f"f:metadata/f:annotations/f:{key}" for key in annotations),
        (f"f:metadata/f:labels/f:{key}" for key in _labels(wanted)),
    )


def login_fields(wanted: Wanted) -> frozenset[str]:
    """Those of `owned_fields` by which clients find the login, and we its age."""
    annotations = [FINGERPRINT, ISSUED_AT, EXPIRES_AT] + ([TOKENS] if len(wanted.logins) > 1 else [])
    return frozenset(
        [
            "f:type",
            *(f"f:metadata/f:annotations/f:{key}" for key in annotations),
            *([f"f:metadata/f:labels/f:{ARGO_LABEL}"] if wanted.argo else []),
            *(f"f:data/f:{key}" for key in data_keys(wanted)),
        ]
    )


def token_times(annotations: Mapping[str, str]) -> TokenTimes | None:
    """The times of the token in a generated Secret, from the Secret's annotations."""
    issued_at = parse_time(annotations.get(ISSUED_AT))
    expires_at = parse_time(annotations.get(EXPIRES_AT))
    if issued_at is None or expires_at is None or issued_at >= expires_at:
        return None
    return TokenTimes(issued_at=issued_at, expires_at=expires_at)


def encode(text: str) -> str:
    """Base64 of UTF-8."""
    return base64.b64encode(text.encode()).decode("ascii")


def secret_type(wanted: Wanted) -> str:
    """The type of the generated Secret."""
    return ARGO_TYPE if wanted.argo else DOCKER_TYPE


def data_keys(wanted: Wanted) -> Iterable[str]:
    """The keys of the generated Secret's data."""
    return _argo_data(wanted, wanted.argo, "") if wanted.argo else (DOCKER_KEY,)


def _argo_data(wanted: Wanted, options: ArgoOptions, password: str) -> dict[str, str]:
    """As Argo CD reads it: https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/."""
    return {
        "username": USERNAME,
        "password": password,
        "url": wanted.target,
        "name": wanted.secret_name,
        "type": options.repo_type,
        **({"enableOCI": "true"} if options.repo_type == "helm" else {}),
        **({"project": options.project} if options.project else {}),
    }


def _labels(wanted: Wanted) -> dict[str, str]:
    argo = {ARGO_LABEL: wanted.argo.scope} if wanted.argo else {}
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
