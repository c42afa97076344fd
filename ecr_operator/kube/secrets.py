"""Writing generated Secrets by server-side apply.

Invariant: a Secret is created only where nothing is, and changed only in the very version last seen:
so nobody else's Secret is touched, and a late write of a leader that lost its lease fails.
Answers are asked for as metadata, so no Secret's data comes back into memory.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from ecr_operator.api.errors import ImmutableSecretError, OperatorError, StaleObjectError
from ecr_operator.api.outcome import Reason
from ecr_operator.core.secret import MANAGER
from ecr_operator.core.secret_view import SecretView, view_secret
from ecr_operator.kube import paths
from ecr_operator.kube.client import APPLY, JSON, METADATA, KubeClient
from ecr_operator.kube.errors import translate
from ecr_operator.kube.failures import ApiError

# An apply of this version creates an absent object and answers 409 for any that is present.
_ABSENT: Final = "1"
# Only the API server's own validation begins like this: what a policy or webhook says of a Secret comes after
# words of the server, and must never have a Secret deleted.
_IMMUTABLE: Final = re.compile(r'Secret "[^"]*" is invalid: .*\bfield is immutable\b')
_APPLY_QUERY: Final = (("fieldManager", MANAGER), ("force", "true"))


class KubeSecrets:
    """Generated Secrets on the API server; fulfils `control.ports.SecretStore`."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def apply(self, manifest: Mapping[str, Any], present: SecretView | None) -> SecretView:
        """Create the Secret, or change the one last seen; see the port."""
        metadata = manifest["metadata"]
        guard = (
            {"uid": present.uid, "resourceVersion": present.resource_version}
            if present
            else {"resourceVersion": _ABSENT}
        )
        try:
            answer = await self._client.request(
                "PATCH",
                paths.secrets(metadata["namespace"], metadata["name"]),
                query=_APPLY_QUERY,
                body={**manifest, "metadata": {**metadata, **guard}},
                content_type=APPLY,
                accept=METADATA,
            )
        except ApiError as failure:
            raise _refusal(failure, metadata["name"], present) from failure
        return view_secret(answer["metadata"])

    async def look(self, namespace: str, name: str) -> SecretView | None:
        """Read one Secret's metadata; None if there is none."""
        try:
            answer = await self._client.request("GET", paths.secrets(namespace, name), accept=METADATA)
        except ApiError as failure:
            if failure.code == HTTPStatus.NOT_FOUND:
                return None
            raise translate(failure, f"reading the metadata of Secret {name}") from failure
        return view_secret(answer["metadata"])

    async def read(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Read one whole Secret; None if there is none."""
        try:
            secret: Mapping[str, Any] = await self._client.request("GET", paths.secrets(namespace, name))
        except ApiError as failure:
            if failure.code == HTTPStatus.NOT_FOUND:
                return None
            raise translate(failure, f"reading Secret {name}") from failure
        return secret

    async def delete(self, view: SecretView) -> None:
        """Delete that very Secret in that very version; see the port."""
        preconditions = {"uid": view.uid, "resourceVersion": view.resource_version}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        try:
            await self._client.request(
                "DELETE",
                paths.secrets(view.namespace, view.name),
                body=body,
                content_type=JSON,
                accept=METADATA,
            )
        except ApiError as failure:
            if failure.code != HTTPStatus.NOT_FOUND:
                raise translate(failure, f"deleting Secret {view.name}") from failure


def _refusal(failure: ApiError, name: str, present: SecretView | None) -> OperatorError:
    """What a refused apply means for a Secret that we have seen."""
    if present and failure.code == HTTPStatus.UNPROCESSABLE_ENTITY:
        if "metadata.uid" in failure.message:
            message = f"Secret {name} has been made anew by somebody; looking again."
            return StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, message)
        if failure.reason == "Invalid" and _IMMUTABLE.match(failure.message):
            message = f"Secret {name} can't be changed in place; it is made anew."
            return ImmutableSecretError(Reason.KUBERNETES_REFUSED, message)
    return translate(failure, f"writing Secret {name}")
