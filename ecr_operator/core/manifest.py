"""From what a resource asks for and its tokens to the manifest of the generated Secret.

For a spec that v0.6.0 knew, its data are byte for byte v0.6.0's.

Invariant: the manifest names exactly the fields that the operator owns, so what others add survives.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from ecr_operator.api.desired import BASIC_AUTH, CONFIG_JSON, DOCKER, ORPHAN, ArgoOptions, Desired
from ecr_operator.api.kinds import API_VERSION, GROUP
from ecr_operator.api.outcome import TokenTimes
from ecr_operator.api.parsing import REFRESH_REQUESTED
from ecr_operator.api.text import parse_time
from ecr_operator.api.token import USERNAME, RegistryToken

MANAGER: Final = "ecr-secret-operator"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
ISSUED_AT: Final = f"{GROUP}/token-issued-at"
EXPIRES_AT: Final = f"{GROUP}/token-expires-at"
TOKENS: Final = f"{GROUP}/tokens"
FINGERPRINT: Final = f"{GROUP}/spec-fingerprint"
# The owner where there is no ownerReference: with deletion_policy Orphan, or if it was removed.
OWNER: Final = f"{GROUP}/owner"
OWNER_UID: Final = f"{GROUP}/owner-uid"
# Which long-lived access key fetched the token: shows after a restart whether the keys were rotated.
KEY_HASH: Final = f"{GROUP}/access-key-hash"

DOCKER_TYPE: Final = "kubernetes.io/dockerconfigjson"
DOCKER_KEY: Final = ".dockerconfigjson"
ARGO_TYPE: Final = "Opaque"
TYPES: Final = {DOCKER: DOCKER_TYPE, CONFIG_JSON: "Opaque", BASIC_AUTH: "kubernetes.io/basic-auth"}
ARGO_LABEL: Final = "argocd.argoproj.io/secret-type"
# In `owned_fields`, for `owner_field` of the controller: so the paths of thousands of Secrets are equal.
CONTROLLER_FIELD: Final = "f:metadata/f:ownerReferences/k:{controller}"


def generated_secret(
    desired: Desired, tokens: Mapping[str, RegistryToken], included: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """The Secret to apply; the resource is its controller, unless the Secret is to outlive it.

    Args:
        desired: what the resource asks for.
        tokens: by registry key; an annotation lists those that there are.
        included: entries of `auths` that are copied from other Secrets, by registry key.
    """
    times = TokenTimes.earliest(token.times for token in tokens.values())
    key_hash = _key_hash(tokens.values())
    manifest: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": desired.secret_name,
            "namespace": desired.key.namespace,
            "labels": _labels(desired),
            "annotations": {
                **_annotations(desired),
                **({TOKENS: tokens_annotation(desired, tokens)} if len(desired.logins) > 1 else {}),
                ISSUED_AT: _exactly(times.issued_at),
                EXPIRES_AT: _exactly(times.expires_at),
                **({KEY_HASH: key_hash} if key_hash else {}),
            },
        },
        "type": secret_type(desired),
        "data": {key: encode(value) for key, value in generated_data(desired, tokens, included).items()},
    }
    if not desired.orphan:
        manifest["metadata"]["ownerReferences"] = [_controller(desired)]
    return manifest


def generated_data(
    desired: Desired, tokens: Mapping[str, RegistryToken], included: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, str]:
    """The Secret's keys and values, not yet encoded."""
    if desired.argo:
        return _argo_data(desired, desired.argo, tokens[desired.target].password)
    if desired.secret_format == BASIC_AUTH:
        return {"username": USERNAME, "password": tokens[desired.target].password}
    held = {login.key: tokens[login.key] for login in desired.logins if login.key in tokens}
    return {docker_key(desired): dockerconfigjson(held, included)}


def dockerconfigjson(
    tokens: Mapping[str, RegistryToken], included: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """The logins as docker, kubelet, skopeo and the like read them, by registry key; compact JSON."""
    auths = {
        host: {
            "username": USERNAME,
            "password": token.password,
            "auth": encode(f"{USERNAME}:{token.password}"),
        }
        for host, token in tokens.items()
    }
    # What is copied may have characters that UTF-8 has not.
    return json.dumps({"auths": {**auths, **included}}, separators=(",", ":"), ensure_ascii=bool(included))


def _key_hash(tokens: Iterable[RegistryToken]) -> str:
    """Of the key that fetched the oldest token: one that stayed after a failure may be of earlier keys."""
    return min(tokens, key=lambda token: token.issued_at).key_hash


def tokens_annotation(desired: Desired, tokens: Mapping[str, RegistryToken]) -> str:
    """Which login holds a token of when, so that nothing is written when none is new."""
    return ",".join(
        f"{number}:{_exactly(tokens[login.key].issued_at)}"
        for number, login in enumerate(desired.logins)
        if login.key in tokens
    )


def has_all_tokens(desired: Desired, annotation: str | None) -> bool:
    """Whether a Secret with that `TOKENS` annotation holds every login."""
    return len(desired.logins) == 1 or len((annotation or "").split(",")) == len(desired.logins)


def fingerprint(desired: Desired) -> str:
    """Changes with all that decides the Secret but the token; found again after a restart."""
    parts = [desired.key.kind, desired.secret_name]
    for login in desired.logins:
        parts += [login.key, str(login.source)]
    if desired.labels or desired.annotations:
        parts += [json.dumps([desired.labels, desired.annotations], sort_keys=True)]
    if desired.argo not in (None, ArgoOptions()):
        parts += [str(desired.argo)]
    if desired.includes != ():
        parts += ["include"]  # which ones the copying compares, since another one needs no other token
    if desired.secret_format != DOCKER:
        parts += [desired.secret_format]
    if desired.orphan:
        parts += [ORPHAN]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def owned_fields(desired: Desired) -> frozenset[str]:
    """The fields that must be ours in managedFields for the Secret to be as we applied it.

    The same paths as in `secret_view.AppliedEntry`.
    """
    # Not the request for a fresh token: an unmet one does not make the Secret unfit.
    annotations = _annotations(desired).keys() - {REFRESH_REQUESTED}
    return login_fields(desired).union(
        () if desired.orphan else (CONTROLLER_FIELD,),
        (f"f:metadata/f:annotations/f:{key}" for key in annotations),
        (f"f:metadata/f:labels/f:{key}" for key in _labels(desired)),
    )


def owner_field(uid: str) -> str:
    """The path of the ownerReference to an object."""
    return f'f:metadata/f:ownerReferences/k:{{"uid":"{uid}"}}'


def login_fields(desired: Desired) -> frozenset[str]:
    """Those of `owned_fields` by which clients find the login, and we its age."""
    annotations = [FINGERPRINT, ISSUED_AT, EXPIRES_AT] + ([TOKENS] if len(desired.logins) > 1 else [])
    return frozenset(
        [
            "f:type",
            *(f"f:metadata/f:annotations/f:{key}" for key in annotations),
            *([f"f:metadata/f:labels/f:{ARGO_LABEL}"] if desired.argo else []),
            *(f"f:data/f:{key}" for key in data_keys(desired)),
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


def secret_type(desired: Desired) -> str:
    """The type of the generated Secret."""
    return ARGO_TYPE if desired.argo else TYPES[desired.secret_format]


def data_keys(desired: Desired) -> Iterable[str]:
    """The keys of the generated Secret's data."""
    if desired.argo:
        return _argo_data(desired, desired.argo, "")
    return ("username", "password") if desired.secret_format == BASIC_AUTH else (docker_key(desired),)


def docker_key(desired: Desired) -> str:
    """The key of a docker config in the generated Secret."""
    return DOCKER_KEY if desired.secret_format == DOCKER else CONFIG_JSON


def _argo_data(desired: Desired, options: ArgoOptions, password: str) -> dict[str, str]:
    """As Argo CD reads it: https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/."""
    return {
        "username": USERNAME,
        "password": password,
        "url": desired.target,
        "name": desired.secret_name,
        "type": options.repo_type,
        **({"enableOCI": "true"} if options.repo_type == "helm" else {}),
        **({"project": options.project} if options.project else {}),
    }


def _labels(desired: Desired) -> dict[str, str]:
    argo = {ARGO_LABEL: desired.argo.scope} if desired.argo else {}
    return {**desired.labels, MANAGED_BY: MANAGER, **argo}


def _annotations(desired: Desired) -> dict[str, str]:
    """All but the token's times."""
    annotations = {
        **desired.annotations,
        FINGERPRINT: fingerprint(desired),
        OWNER: f"{desired.key.kind}/{desired.key.name}",
        OWNER_UID: desired.uid,
    }
    if desired.refresh_requested:
        annotations[REFRESH_REQUESTED] = desired.refresh_requested
    return annotations


def _controller(desired: Desired) -> dict[str, Any]:
    # Without blockOwnerDeletion: it would need update on the resource's finalizers on OpenShift.
    return {
        "apiVersion": API_VERSION,
        "kind": desired.key.kind,
        "name": desired.key.name,
        "uid": desired.uid,
        "controller": True,
    }


def _exactly(time: datetime) -> str:
    """UTC with microseconds, so that a restart finds the very deadline that it left."""
    return f"{time.astimezone(UTC).isoformat(timespec='microseconds')[:26]}Z"
