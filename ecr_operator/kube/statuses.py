"""Writing the status of custom resources."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from ecr_operator.kube import paths
from ecr_operator.kube.client import MERGE_PATCH, METADATA, ApiError, KubeClient
from ecr_operator.kube.errors import translate
from ecr_operator.model.manifests import MANAGER
from ecr_operator.model.resources import Resource


class KubeStatuses:
    """Statuses on the API server; fulfils `control.ports.StatusWriter`."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def write(self, resource: Resource, status: Mapping[str, Any]) -> None:
        """Replace the status by a merge patch of what differs.

        The uid keeps it off a resource that was deleted and made again; one that is gone is no error.
        """
        changes = {key: value for key, value in status.items() if resource.status.get(key) != value}
        removed = {key: None for key in resource.status if key not in status}
        key = resource.key
        try:
            await self._client.request(
                "PATCH",
                paths.resources(key.kind, key.namespace, key.name, "status"),
                query=(("fieldManager", MANAGER),),
                body={"metadata": {"uid": resource.uid}, "status": {**changes, **removed}},
                content_type=MERGE_PATCH,
                accept=METADATA,
            )
        except ApiError as failure:
            if failure.code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                raise translate(failure, f"writing the status of {key}") from failure
