"""A small Kubernetes client for tests, demo and benchmark, independent of the operator's.

Objects travel as the plain JSON of the API. Kinds are looked up in the server's discovery, so that any
manifest can be applied.
"""

import asyncio
import functools
import io
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

from ecr_operator.kube.response import parse_json
from lab.waiting import wait_for

Json = dict[str, Any]

_LIMIT = aiohttp.ClientTimeout(total=30)
_MOST_WAITS = 10  # as client-go
_GROUP = "ecr.mobb.redhat.com"


class ApiError(Exception):
    """The server refused; with the HTTP status, and reason and message of the Status object."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API's paths name it."""

    api_version: str
    plural: str
    namespaced: bool = True

    def path(self, name: str | None = None, namespace: str | None = None, subresource: str = "") -> str:
        """Return the path of a collection, an object, or an object's subresource."""
        root = "/apis" if "/" in self.api_version else "/api"
        place = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        ending = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}/{self.api_version}{place}/{self.plural}{ending}"


SECRETS = Resource("v1", "secrets")
EVENTS = Resource("v1", "events")
SERVICE_ACCOUNTS = Resource("v1", "serviceaccounts")
NAMESPACES = Resource("v1", "namespaces", namespaced=False)
CRDS = Resource("apiextensions.k8s.io/v1", "customresourcedefinitions", namespaced=False)
ECR_SECRETS = Resource(f"{_GROUP}/v1alpha1", "secrets")
ARGO_SECRETS = Resource(f"{_GROUP}/v1alpha1", "argohelmreposecrets")
CLUSTER_SECRETS = Resource(f"{_GROUP}/v1alpha1", "clustersecrets", namespaced=False)


class Api:
    """A client of one API server; use it as an async context manager."""

    def __init__(self, url: str, *, token: str, authority: str) -> None:
        """Prepare a client; `authority` is the certificate (PEM) that the server's is signed with."""
        self._url = url
        self._token = token
        self._authority = authority
        self._resources: dict[tuple[str, str], Resource] = {}

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(cadata=self._authority)
        self._session = aiohttp.ClientSession(
            self._url,
            headers={"Authorization": f"Bearer {self._token}"},
            connector=aiohttp.TCPConnector(ssl=context),
            timeout=_LIMIT,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content_type: str = "application/json",
        query: dict[str, str] | None = None,
    ) -> Json:
        """Send one request and return the answer; bytes are sent as they are, anything else as JSON.

        Waits, as client-go does, where the API server asks for it by 429 and Retry-After: of a kind that was
        just made it may not have the list yet. Raises ApiError for any other status of 400 or more.
        """
        # aiohttp warns about large bodies that are plain bytes.
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if raw is not None else {}
        for _ in range(_MOST_WAITS):
            data = None if raw is None else io.BytesIO(raw)
            async with self._session.request(
                method, path, data=data, headers=headers, params=query
            ) as answer:
                text = (await answer.read()).decode(errors="replace")
                if answer.ok:
                    return _parsed(text)
                pause = answer.headers.get("Retry-After")
                if answer.status != HTTPStatus.TOO_MANY_REQUESTS or pause is None:
                    break
            await asyncio.sleep(float(pause))
        raise _error(answer.status, text)

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        """Return one object. Raises ApiError 404 when there is none."""
        return await self.request("GET", resource.path(name, namespace))

    async def find(self, resource: Resource, name: str, namespace: str | None = None) -> Json | None:
        """Return one object, or None when there is none."""
        try:
            return await self.get(resource, name, namespace)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def list(self, resource: Resource, namespace: str | None = None, **query: str) -> list[Json]:
        """Return all objects, of one namespace or of all; `labelSelector` and the like go in `query`."""
        items: list[Json] = (await self.request("GET", resource.path(None, namespace), query=query))["items"]
        return items

    async def watch(self, resource: Resource, namespace: str | None = None) -> AsyncIterator[Json]:
        """Yield the events of a watch: first what exists, then every change, until the server ends it."""
        path = resource.path(None, namespace)
        endless = aiohttp.ClientTimeout(total=None)
        async with self._session.get(path, params={"watch": "true"}, timeout=endless) as answer:
            async for line in answer.content:
                yield json.loads(line)

    async def create(self, manifest: Json, namespace: str | None = None) -> Json:
        """Create an object, in the namespace of its manifest unless another is given."""
        resource = await self.resource_of(manifest)
        path = resource.path(None, namespace or _namespace(manifest))
        return await self.request("POST", path, body=manifest)

    async def replace(self, manifest: Json) -> Json:
        """Replace an object (PUT); the resourceVersion in the manifest decides on conflicts."""
        resource = await self.resource_of(manifest)
        path = resource.path(manifest["metadata"]["name"], _namespace(manifest))
        return await self.request("PUT", path, body=manifest)

    async def apply(self, manifest: Json, namespace: str | None = None, *, manager: str = "lab") -> Json:
        """Create or change an object by a server-side apply with force."""
        resource = await self.resource_of(manifest)
        path = resource.path(manifest["metadata"]["name"], namespace or _namespace(manifest))
        query = {"fieldManager": manager, "force": "true"}
        kind = "application/apply-patch+yaml"
        return await self.request("PATCH", path, body=manifest, content_type=kind, query=query)

    async def merge_patch(
        self, resource: Resource, name: str, patch: Json, namespace: str | None = None, subresource: str = ""
    ) -> Json:
        """Merge a patch into an object, or into a subresource of it."""
        path = resource.path(name, namespace, subresource)
        kind = "application/merge-patch+json"
        return await self.request("PATCH", path, body=patch, content_type=kind)

    async def delete(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        """Delete an object. Raises ApiError 404 when there is none."""
        await self.request("DELETE", resource.path(name, namespace))

    async def delete_all(self, resource: Resource, namespace: str) -> None:
        """Delete all objects of a kind in a namespace."""
        await self.request("DELETE", resource.path(None, namespace))

    async def end_namespace(self, name: str) -> None:
        """Delete an emptied namespace for good, also where no controller does so."""
        path = NAMESPACES.path(name)
        try:
            await self.delete(NAMESPACES, name)
            namespace = await self.request("GET", path)
            await self.request("PUT", f"{path}/finalize", body={**namespace, "spec": {"finalizers": []}})
        except ApiError as error:
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                raise

    async def create_namespace(self, prefix: str = "test") -> str:
        """Create a namespace with a random name and return the name."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        await self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return name

    async def resource_of(self, manifest: Json) -> Resource:
        """Look up the resource of a manifest's kind. Raises ApiError 404 for an unknown one."""
        api_version, kind = manifest["apiVersion"], manifest["kind"]
        if (api_version, kind) not in self._resources:
            root = "/apis" if "/" in api_version else "/api"
            for entry in (await self.request("GET", f"{root}/{api_version}"))["resources"]:
                if "/" not in entry["name"]:
                    found = Resource(api_version, entry["name"], entry["namespaced"])
                    self._resources[api_version, entry["kind"]] = found
        if (api_version, kind) not in self._resources:
            raise ApiError(HTTPStatus.NOT_FOUND, "NotFound", f"{api_version} has no kind {kind}")
        return self._resources[api_version, kind]

    async def install_crds(self, folder: Path | str = "config/crd/bases") -> None:
        """Apply the CRDs of a folder and wait until the server serves them."""
        manifests = _manifests(Path(folder))
        for manifest in manifests:
            await self.apply(manifest)
        await self.crds_served(manifest["metadata"]["name"] for manifest in manifests)

    async def crds_served(self, names: Iterable[str]) -> None:
        """Wait until the server serves these CRDs."""
        for name in names:
            await wait_for(partial(self._is_served, name), 20, f"CRD {name} established")

    async def _is_served(self, name: str) -> bool:
        """Whether a CRD is established and its paths answer, which may be a moment later."""
        crd = await self.get(CRDS, name)
        conditions = crd.get("status", {}).get("conditions") or []
        if ("Established", "True") not in [(each["type"], each["status"]) for each in conditions]:
            return False
        spec = crd["spec"]
        resource = Resource(f"{spec['group']}/{spec['versions'][0]['name']}", spec["names"]["plural"])
        with suppress(ApiError):
            await self.list(resource)
            return True
        return False


@functools.cache
def _manifests(folder: Path) -> list[Json]:
    found = sorted(folder.glob("*.yaml"))
    assert found, f"no manifests in {folder}"
    return [yaml.safe_load(path.read_text()) for path in found]


def _namespace(manifest: Json) -> str:
    namespace: str = manifest["metadata"].get("namespace", "default")
    return namespace


def _parsed(text: str) -> Json:
    answer: Json = parse_json(text.encode()) if text.startswith("{") else {"text": text}
    return answer


def _error(status: int, text: str) -> ApiError:
    answer = _parsed(text)
    return ApiError(status, answer.get("reason", ""), answer.get("message", text))
