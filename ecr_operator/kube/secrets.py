"""Reading, applying (server-side apply) and deleting generated Secrets.

Invariant: a Secret is created only where nothing is, and changed only in the very version last seen:
so nobody else's Secret is touched, and a late write of a leader that lost its Lease fails.
Only `read` gets a Secret's data; all other responses are asked for as metadata.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from ecr_operator.api.errors import ImmutableSecretError, OperatorError, StaleObjectError
from ecr_operator.api.outcome import Reason
from ecr_operator.core.ports import LONGEST_WRITE
from ecr_operator.core.secret_view import SecretView, view_secret
from ecr_operator.kube import paths
from ecr_operator.kube.api_error import ApiError, translate
from ecr_operator.kube.client import APPLY, METADATA, PATCH_QUERY, KubeClient

# An apply of this version creates an absent object and answers 409 for any that is present.
_ABSENT: Final = "1"
# Only the API server's own validation begins like this: the words of a policy or webhook come after words of
# the server, and must never have a Secret deleted.
_IMMUTABLE: Final = re.compile(r'Secret "[^"]*" is invalid: .*\bfield is immutable\b')
_APPLY_QUERY: Final = (*PATCH_QUERY, ("force", "true"))


class KubeSecrets:
    """Generated Secrets on the API server; implements `core.ports.SecretStore`."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def apply(
        self, manifest: Mapping[str, Any], present: SecretView | None, seconds: float = LONGEST_WRITE
    ) -> SecretView:
        """Create the Secret, or change the one last seen; see the port."""
        metadata = manifest["metadata"]
        name = metadata["name"]
        guard = _precondition(present) if present else {"resourceVersion": _ABSENT}
        try:
            answer = await self._client.request(
                "PATCH",
                paths.secrets(metadata["namespace"], name),
                query=_APPLY_QUERY,
                body={**manifest, "metadata": {**metadata, **guard}},
                content_type=APPLY,
                accept=METADATA,
                seconds=seconds,
            )
        except ApiError as error:
            raise _immutable(error, name, present) or translate(error, f"write Secret {name}") from error
        return view_secret(answer["metadata"])

    async def look(self, namespace: str, name: str) -> SecretView | None:
        """Read one Secret's metadata; None if there is none."""
        path = paths.secrets(namespace, name)
        action = f"read the metadata of Secret {name}"
        found = await self._client.get_or_none(path, action, accept=METADATA)
        return view_secret(found["metadata"]) if found is not None else None

    async def read(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Read one whole Secret; None if there is none."""
        return await self._client.get_or_none(paths.secrets(namespace, name), f"read Secret {name}")

    async def delete(self, view: SecretView) -> None:
        """Delete that very Secret in that very version; see the port."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": _precondition(view)}
        path = paths.secrets(view.namespace, view.name)
        try:
            await self._client.request("DELETE", path, body=body, accept=METADATA)
        except ApiError as error:
            if not error.is_not_found:
                raise translate(error, f"delete Secret {view.name}") from error


def _precondition(view: SecretView) -> dict[str, str]:
    return {"uid": view.uid, "resourceVersion": view.resource_version}


def _immutable(error: ApiError, name: str, present: SecretView | None) -> OperatorError | None:
    """What a refused apply says of a Secret that we have seen: created again, or immutable."""
    if not present or error.code != HTTPStatus.UNPROCESSABLE_ENTITY:
        return None
    if "metadata.uid" in error.message:
        message = f"Secret {name} was deleted and created again by another client; reading it again."
        return StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, message)
    if error.reason == "Invalid" and _IMMUTABLE.match(error.message):
        message = f"Secret {name} can't be changed in place; it is deleted and created again."
        return ImmutableSecretError(Reason.KUBERNETES_REFUSED, message)
    return None
