"""The Lease on the API server: read, create, replace.

Invariant: a write succeeds only on the version that it names, or where nothing is; an answer that is not the
Lease is an error. Every request ends within a time that leaves the leader another try.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ecr_operator.api.errors import StaleObjectError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.text import mapping_in, parse_time
from ecr_operator.election.lease import LEASE_NAME, LeaseRecord
from ecr_operator.kube import paths
from ecr_operator.kube.api_error import ApiError, translate
from ecr_operator.kube.client import KubeClient

REQUEST_SECONDS: Final = 4.0
_GRANT: Final = "Apply the Role for leader election of config/rbac in the operator's namespace"


class KubeLeaseStore:
    """One Lease; implements `election.elector.LeaseStore`.

    Args:
        client: of the elector alone, so that nothing else can delay its requests.
        namespace: where the Lease is.
        seconds: the longest that a request may take.
    """

    def __init__(self, client: KubeClient, namespace: str, *, seconds: float = REQUEST_SECONDS) -> None:
        self._client = client
        self._namespace = namespace
        self._seconds = seconds

    def __str__(self) -> str:
        return f"{self._namespace}/{LEASE_NAME}"

    async def read(self) -> LeaseRecord | None:
        """Read the Lease; None if there is none."""
        try:
            return await self._request("GET", paths.lease(self._namespace, LEASE_NAME))
        except ApiError as error:
            if error.is_not_found:
                return None
            raise translate(error, f"read the Lease {self}", _GRANT) from error

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        """Create or replace the Lease; see the port."""
        body = _manifest(record, self._namespace)
        try:
            if not record.version:
                return await self._request("POST", paths.lease(self._namespace), body)
            return await self._request("PUT", paths.lease(self._namespace, LEASE_NAME), body)
        except ApiError as error:
            if record.version and error.is_not_found:
                message = f"The Lease {self} was deleted; reading it again."
                raise StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, message) from error
            raise translate(error, f"write the Lease {self}", _GRANT) from error

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> LeaseRecord:
        try:
            # Also around what the client does before it sends, such as running an exec plug-in.
            async with asyncio.timeout(self._seconds):
                answer = await self._client.request(method, path, body=body)
        except TimeoutError as error:
            raise ApiError(0, "Timeout", "no answer in time") from error
        return _record(answer)


def _record(answer: Mapping[str, Any]) -> LeaseRecord:
    metadata, spec = mapping_in(answer, "metadata"), mapping_in(answer, "spec")
    version = metadata.get("resourceVersion")
    is_object = isinstance(answer.get("spec") or {}, Mapping)
    if metadata.get("name") != LEASE_NAME or not isinstance(version, str) or not version or not is_object:
        raise ApiError(0, "NotAnObject", "the answer is not the Lease: is a proxy in between?")
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    return LeaseRecord(
        holder=str(spec.get("holderIdentity") or ""),
        duration=float(duration) if isinstance(duration, int) else 0.0,
        acquire_time=parse_time(spec.get("acquireTime")),
        renew_time=parse_time(spec.get("renewTime")),
        transitions=transitions if isinstance(transitions, int) else 0,
        version=version,
        metadata=metadata,
    )


def _manifest(record: LeaseRecord, namespace: str) -> dict[str, Any]:
    metadata = {"name": LEASE_NAME, "namespace": namespace}
    if record.version:
        metadata = {**record.metadata, **metadata, "resourceVersion": record.version}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": int(record.duration),
            "acquireTime": _micro_time(record.acquire_time),
            "renewTime": _micro_time(record.renew_time),
            "leaseTransitions": record.transitions,
        },
    }


def _micro_time(time: datetime | None) -> str | None:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}" if time else None
