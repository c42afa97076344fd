"""What a resource names in its namespace, read one by one and never kept.

Invariant: nothing outside of the namespace that is asked for can be reached, whatever the names are.
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ecr_operator.api.errors import PermanentError, TransientError
from ecr_operator.api.identity import (
    PERMITTED_ROLES,
    ROLE_ANNOTATION,
    is_credentials_file,
    is_iam_key,
    near_iam_key,
)
from ecr_operator.api.outcome import Reason
from ecr_operator.core.ports import KeySecret, NamespaceFacts, ServiceAccountFacts
from ecr_operator.kube import paths
from ecr_operator.kube.api_error import ADD_RULE, ApiError, translate, translated
from ecr_operator.kube.client import JSON, METADATA, KubeClient

AUDIENCE: Final = "sts.amazonaws.com"
# The token is used at once; an hour is what the API server gives by default, ten minutes the least.
_TOKEN_SECONDS: Final = 3600
# Characters of base64; far beyond any AWS key, so that what is cut here is refused as no key.
_MAX_VALUE: Final = 1 << 14
# Characters that are kept; `identity.check_permitted` ignores what is beyond 8,192.
_MAX_ANNOTATION: Final = 1 << 14
_GRANT: Final = "Apply the component config/rbac/service-account, which grants it"


class KubeIdentityObjects:
    """Reads what tenants have; implements `core.ports.IdentityObjects`."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def iam_keys(self, namespace: str, name: str) -> KeySecret:
        """The AWS keys in one Secret, decoded; of other keys at most the name is kept."""
        secret = await self._get(paths.secrets(namespace, name), f"Secret {namespace}/{name}")
        data: Mapping[str, str] = secret.get("data") or {}
        found = {key: _decode(value) for key, value in data.items() if is_iam_key(key)}
        hints = {key: "" for key in data if near_iam_key(key) or is_credentials_file(key)}
        return KeySecret(uid=secret["metadata"]["uid"], data=found | hints)

    async def service_account(self, namespace: str, name: str) -> ServiceAccountFacts:
        """The ServiceAccount's uid, and its annotation with a role, if it has one."""
        path, what = paths.service_account(namespace, name), f"ServiceAccount {namespace}/{name}"
        account = await self._get(path, what, accept=METADATA, grant=_GRANT)
        metadata = account["metadata"]
        return ServiceAccountFacts(uid=metadata["uid"], role=_annotation(metadata, ROLE_ANNOTATION))

    async def service_account_token(self, namespace: str, name: str) -> str:
        """A fresh token of the ServiceAccount for STS."""
        what = f"ServiceAccount {namespace}/{name}"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [AUDIENCE], "expirationSeconds": _TOKEN_SECONDS},
        }
        path = paths.service_account(namespace, name, "token")
        try:
            answer = await self._client.request("POST", path, body=body)
        except ApiError as error:
            if error.is_not_found:
                raise _missing(what) from error
            raise translate(error, f"request a token of {what}", _GRANT) from error
        token = (answer.get("status") or {}).get("token")
        if not isinstance(token, str) or not token:
            message = f"The API server returned no token for {what}; retrying."
            raise TransientError(Reason.KUBERNETES_UNAVAILABLE, message)
        return token

    async def namespace(self, name: str) -> NamespaceFacts:
        """The uid, labels and permission of a namespace."""
        with translated(f"read namespace {name}"):
            answer = await self._client.request("GET", paths.namespace_object(name), accept=METADATA)
        metadata = answer["metadata"]
        return NamespaceFacts(
            uid=metadata["uid"],
            labels=metadata.get("labels") or {},
            permitted_roles=_annotation(metadata, PERMITTED_ROLES) or "",
        )

    async def missing_namespaces(self, names: Iterable[str]) -> list[str]:
        """Which of these namespaces don't exist; one that can't be read, for any reason, counts as there."""
        missing = []
        for name in names:
            try:
                await self._client.request("GET", paths.namespace_object(name), accept=METADATA)
            except ApiError as error:
                if error.is_not_found:
                    missing.append(name)
        return missing

    async def _get(
        self, path: str, what: str, *, accept: str = JSON, grant: str = ADD_RULE
    ) -> Mapping[str, Any]:
        found = await self._client.get_or_none(path, f"read {what}", accept=accept, grant=grant)
        if found is None:
            raise _missing(what)
        return found


def _missing(what: str) -> PermanentError:
    message = f"{what} does not exist. Create it, or name another in the spec."
    return PermanentError(Reason.CREDENTIALS_MISSING, message)


def _annotation(metadata: Mapping[str, Any], name: str) -> str | None:
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    return annotations[name][:_MAX_ANNOTATION] if name in annotations else None


def _decode(value: str) -> str:
    # What is not text becomes text that is no key, and is reported as such.
    return base64.b64decode(value[:_MAX_VALUE]).decode(errors="replace")
