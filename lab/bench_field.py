"""What the benchmark's operators serve: resources over four regions, and what else is in a namespace.

Everything is made, read and deleted in small requests, many at a time, so that 10,000 are no more of a
burden to the API server than 200, and no request comes near its limit.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from lab.api import ECR_SECRETS, SECRETS, Api, ApiError, Json, Resource
from lab.aws_tokens import decode_token

REGIONS: Final = ("us-east-1", "us-east-2", "eu-west-1", "eu-central-1")
Row = dict[str, str]

_AT_A_TIME: Final = 32
_PAGE: Final = "500"
_FOREIGN_BYTES: Final = 40_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Resources in a namespace of their own.

    Attributes:
        namespace: where they are.
        rows: one for each: name, uid, region, registry, secret (the generated one's name), namespace.
    """

    namespace: str
    rows: Sequence[Row]


@asynccontextmanager
async def field_of(api: Api, size: int, frequency: str = "10h") -> AsyncIterator[Field]:
    """Make resources; they and their Secrets go when the block is left."""
    namespace = await api.create_namespace("bench")
    rows = [_row(number, namespace) for number in range(size)]

    async def sow(row: Row) -> None:
        created = await api.create(_manifest(row, frequency), namespace)
        row["uid"] = created["metadata"]["uid"]

    try:
        await _for_each(rows, sow)
        yield Field(namespace=namespace, rows=rows)
    finally:
        await _clear(api, ECR_SECRETS, namespace, [row["name"] for row in rows])
        await _clear(api, SECRETS, namespace, [row["secret"] for row in rows])


@asynccontextmanager
async def foreign_secrets(api: Api, namespace: str, count: int) -> AsyncIterator[None]:
    """Make Secrets of 40 kB that are nobody's business; they go when the block is left."""
    data = {"blob": base64.b64encode(bytes(_FOREIGN_BYTES * 3 // 4)).decode()}
    names = [f"foreign-{number}" for number in range(count)]

    async def sow(name: str) -> None:
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
        await api.create(manifest, namespace)

    try:
        await _for_each(names, sow)
        yield
    finally:
        await _clear(api, SECRETS, namespace, names)


async def all_live(api: Api, field: Field) -> bool:
    """Tell whether every status says Ready and every Secret holds a live token of the right region."""
    async for resource in _every(api, ECR_SECRETS, field.namespace):
        if not _says_ready(resource):
            return False
    return await count_live(api, field) == len(field.rows)


async def count_live(api: Api, field: Field) -> int:
    """Count the Secrets that hold a live token of the right region."""
    desired = {row["secret"]: row for row in field.rows}
    live = 0
    async for secret in _every(api, SECRETS, field.namespace):
        row = desired.get(secret["metadata"]["name"])
        live += row is not None and _is_live(secret, row)
    return live


async def _for_each(things: Iterable[Any], do: Callable[[Any], Awaitable[None]]) -> None:
    """Do something with each, many at a time."""
    shared = iter(things)
    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_A_TIME):
            group.create_task(_work(shared, do))


async def _work(shared: Iterator[Any], do: Callable[[Any], Awaitable[None]]) -> None:
    for thing in shared:
        await do(thing)


async def _clear(api: Api, resource: Resource, namespace: str, names: Iterable[str]) -> None:
    async def delete(name: str) -> None:
        try:
            await api.delete(resource, name, namespace)
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    await _for_each(names, delete)


async def _every(api: Api, resource: Resource, namespace: str) -> AsyncIterator[Json]:
    """Yield all objects, a page at a time."""
    query = {"limit": _PAGE}
    while True:
        page = await api.request("GET", resource.path(None, namespace), query=query)
        for item in page["items"]:
            yield item
        query["continue"] = page["metadata"].get("continue", "")
        if not query["continue"]:
            return


def _row(number: int, namespace: str) -> Row:
    region = REGIONS[number % len(REGIONS)]
    return {
        "name": f"registry-{number}",
        "namespace": namespace,
        "secret": f"login-{number}",
        "region": region,
        "registry": f"123456789012.dkr.ecr.{region}.amazonaws.com",
    }


def _manifest(row: Row, frequency: str) -> Json:
    return {
        "apiVersion": ECR_SECRETS.api_version,
        "kind": "Secret",
        "metadata": {"name": row["name"]},
        "spec": {
            "generated_secret_name": row["secret"],
            "ecr_registry": row["registry"],
            "region": row["region"],
            "frequency": frequency,
        },
    }


def _says_ready(resource: Json) -> bool:
    status = resource.get("status", {})
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions", ()))
    return ready and status.get("phase") == "Updated"


def _is_live(secret: Json, row: Row) -> bool:
    login = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"][row["registry"]]
    token = decode_token(login["password"])
    return token.region == row["region"] and token.expires_at > time.time()
