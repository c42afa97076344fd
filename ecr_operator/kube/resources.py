"""Reading custom resources one by one, and writing their status."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog

from ecr_operator.api.desired import Resource
from ecr_operator.api.kinds import KINDS, NAMESPACED_KINDS
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.api.parsing import is_deleting, status_of
from ecr_operator.api.text import intern_json
from ecr_operator.kube import paths
from ecr_operator.kube.api_error import ApiError, translate
from ecr_operator.kube.client import JSON, JSON_PATCH, METADATA, PATCH_QUERY, KubeClient

# A status field that v0.6.0's CRDs don't know, so that the API server prunes it.
_NEW_FIELD: Final = "observedGeneration"

log = structlog.get_logger(__name__)


class KubeResources:
    """Resources and statuses on the API server; implements `core.ports.Resources`."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._keeps: dict[str, bool] = {}

    async def uid_of(self, key: ResourceKey) -> str | None:
        """The uid of the resource that has this name now; None if there is none."""
        found = await self._get(key, METADATA)
        return str(found["metadata"]["uid"]) if found else None

    async def is_active(self, key: ResourceKey, uid: str) -> bool:
        """Whether that very resource exists and is not being deleted."""
        found = await self._get(key, METADATA)
        return found is not None and found["metadata"]["uid"] == uid and not is_deleting(found["metadata"])

    async def read(self, key: ResourceKey) -> Mapping[str, Any] | None:
        """The resource as the API server has it; None if there is none."""
        return await self._get(key, JSON)

    async def _get(self, key: ResourceKey, accept: str) -> Mapping[str, Any] | None:
        path = paths.resources(key.kind, key.namespace, key.name)
        return await self._client.get_or_none(path, f"read {key}", accept=accept)

    async def write(self, resource: Resource, status: Mapping[str, Any]) -> Mapping[str, Any]:
        """Replace the whole status by a JSON patch, and return what the server keeps of it.

        The patch tests the uid first, which keeps it off a resource that was deleted and created again (a
        merge patch's uid is not looked at, seen on the real server). A deleted resource is no error.

        Raises:
            OperatorError: it was not written, or the answer is not the resource.
        """
        key = resource.key
        # A first status is kept whole where the CRD is known to keep one: so its answer need not repeat it.
        is_kept = not resource.status and self._keeps.get(key.kind, False)
        patch: list[Mapping[str, Any]] = [
            {"op": "test", "path": "/metadata/uid", "value": resource.uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        try:
            answer = await self._client.request(
                "PATCH",
                paths.resources(key.kind, key.namespace, key.name, "status"),
                query=PATCH_QUERY,
                body=patch,
                content_type=JSON_PATCH,
                accept=METADATA if is_kept else JSON,
            )
        except ApiError as error:
            if await self._is_gone(resource, error):
                return resource.status
            raise translate(error, f"write the status of {key}") from error
        if (answer.get("metadata") or {}).get("uid") != resource.uid:
            stray = ApiError(0, "NotAnObject", "the answer is not the resource: is a proxy in between?")
            raise translate(stray, f"write the status of {key}")
        if is_kept:
            return {**intern_json(status)}
        kept = status_of(answer)
        if _NEW_FIELD in status:
            self._learn(key.kind, keeps=_NEW_FIELD in kept)
        return kept

    async def _is_gone(self, resource: Resource, error: ApiError) -> bool:
        """Whether a patch failed since that very resource was deleted: 404, or the test of its uid."""
        if error.code == HTTPStatus.UNPROCESSABLE_ENTITY:
            return await self.uid_of(resource.key) != resource.uid
        return error.is_not_found

    async def announce_old_crds(self) -> None:
        """Log once if the CRDs are v0.6.0's, whatever is written later; to be called at the start."""
        for kind in NAMESPACED_KINDS:
            await self.keeps_details(kind)

    async def keeps_details(self, kind: str) -> bool:
        """Whether the CRD of the kind has more of a status than v0.6.0's, which prunes the rest."""
        if kind not in self._keeps and await self._read_schemas():
            self._keeps.setdefault(kind, True)
        return self._keeps.get(kind, True)

    async def _read_schemas(self) -> bool:
        """Learn whether the schemas have more than v0.6.0's; False if the API server can't be asked now."""
        try:
            answer = await self._client.request("GET", paths.OPENAPI)
            for schema in answer["components"]["schemas"].values():
                for found in schema.get("x-kubernetes-group-version-kind", ()):
                    if found["kind"] in KINDS:
                        status = schema["properties"]["status"]
                        self._learn(found["kind"], keeps=_NEW_FIELD in status.get("properties", {}))
        except ApiError as error:
            return 0 < error.code < HTTPStatus.INTERNAL_SERVER_ERROR
        except (KeyError, TypeError, AttributeError):
            pass
        return True

    def _learn(self, kind: str, *, keeps: bool) -> None:
        if not keeps and False not in self._keeps.values():
            log.warning(
                "the CRDs are v0.6.0's: role_arn, service_account, aws_iam_secret and all other new fields of"
                " a resource are dropped, so the operator's own identity requests its token; of the status"
                " only two fields are kept",
                next="apply config/crd",
            )
        self._keeps[kind] = keeps
