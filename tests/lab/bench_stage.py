"""What the benchmark measures on: a local AWS of its own process, and resources over four regions."""

import asyncio
import base64
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import aiohttp

from tests.lab.api import ECR_SECRETS, SECRETS, Api, Json
from tests.lab.aws_tokens import decode_token
from tests.lab.janitor import temporary_folder
from tests.lab.processes import Process
from tests.lab.waiting import wait_for

REGIONS: Final = ("us-east-1", "us-east-2", "eu-west-1", "eu-central-1")
ROOT: Final = Path(__file__).parents[2]

_AT_A_TIME: Final = 32


def lean_environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment for a child process with nothing of the caller's own in it but PATH."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONUNBUFFERED": "1", **more}


class AwsProcess:
    """The local AWS as a process of its own, so that it shares no interpreter with the observer."""

    async def __aenter__(self) -> Self:
        """Start it and wait for its URL."""
        self._stack = ExitStack()
        home = self._stack.enter_context(temporary_folder("ecr-aws-"))
        self._process = Process(
            "the local AWS",
            [sys.executable, "-m", "tests.lab.aws"],
            log=home / "aws.log",
            env=lean_environment(home),
            cwd=ROOT,
        )
        self._stack.enter_context(self._process)
        self.url = await wait_for(lambda: self._first_line(home / "aws.log"), 20, "the local AWS")
        self._session = aiohttp.ClientSession(self.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        await self._session.close()
        self._stack.close()

    def _first_line(self, log: Path) -> str:
        if not self._process.running:
            raise self._process.error("did not start")
        first, newline, _ = log.read_text().partition("\n")
        return first if newline and first.startswith("http") else ""

    async def set_delay(self, seconds: float) -> None:
        """Let every answer take that long."""
        async with self._session.patch("/_lab", json={"delay": seconds}) as answer:
            answer.raise_for_status()

    async def calls(self) -> int:
        """Count the calls of GetAuthorizationToken so far."""
        async with self._session.get("/_lab") as answer:
            counts = (await answer.json())["counts"]
        return sum(row["count"] for row in counts if row["operation"] == "GetAuthorizationToken")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Resources in a namespace of their own.

    Attributes:
        namespace: where they are.
        rows: one for each: name, uid, region, registry, secret (the generated one's name), namespace.
    """

    namespace: str
    rows: list[dict[str, str]]


@asynccontextmanager
async def field_of(api: Api, size: int, frequency: str = "10h") -> AsyncIterator[Field]:
    """Make resources over four regions; they and their Secrets go when the block is left."""
    namespace = await api.create_namespace("bench")
    rows: list[dict[str, str]] = []
    numbers = iter(range(size))
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_A_TIME):
                group.create_task(_sow(api, namespace, frequency, numbers, rows))
        yield Field(namespace=namespace, rows=rows)
    finally:
        await api.delete_all(ECR_SECRETS, namespace)
        await api.delete_all(SECRETS, namespace)


async def _sow(
    api: Api, namespace: str, frequency: str, numbers: Iterator[int], rows: list[dict[str, str]]
) -> None:
    for number in numbers:
        region = REGIONS[number % len(REGIONS)]
        row = {
            "name": f"registry-{number}",
            "namespace": namespace,
            "secret": f"login-{number}",
            "region": region,
            "registry": f"123456789012.dkr.ecr.{region}.amazonaws.com",
        }
        created = await api.create(_manifest(row, frequency), namespace)
        rows.append({**row, "uid": created["metadata"]["uid"]})


def _manifest(row: dict[str, str], frequency: str) -> Json:
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


async def all_live(api: Api, field: Field) -> bool:
    """Tell whether every status says Ready and every Secret holds a live token of the right region."""
    resources = await api.list(ECR_SECRETS, field.namespace)
    if not all(_says_ready(resource) for resource in resources):
        return False
    listed = await api.list(SECRETS, field.namespace)
    found = {secret["metadata"]["name"]: secret for secret in listed}
    return all(row["secret"] in found and _is_live(found[row["secret"]], row) for row in field.rows)


def _says_ready(resource: Json) -> bool:
    status = resource.get("status", {})
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions", ()))
    return ready and status.get("phase") == "Updated"


def _is_live(secret: Json, row: dict[str, str]) -> bool:
    login = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"][row["registry"]]
    token = decode_token(login["password"])
    return token.region == row["region"] and token.expires_at > time.time()
