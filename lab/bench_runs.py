"""The benchmark's parts: resources in a namespace, an operator that serves them, the bare loop.

Invariants: operator and loop are timed alike, from the start of the process to the server's time stamp of
the answer to its last write; a run counts only when every Secret holds a live token and every status is
Ready; the observer reads the end of one file ten times a second and nothing else meanwhile.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import psutil

from lab.api import ECR_SECRETS, SECRETS, Api, ApiError, Json, Resource
from lab.audit import AuditTail, Request
from lab.aws import LocalAws, token_in
from lab.control_plane import ControlPlane
from lab.operator import OperatorProcess
from lab.processes import ROOT, LabError, Process, lean_environment, temporary_folder
from lab.waiting import wait_for

LIMIT: Final = 600.0
STATUSES: Final = Request("patch", "secrets.ecr.mobb.redhat.com", "status")
APPLIED: Final = Request("patch", "secrets", "")

_REGIONS: Final = ("us-east-1", "us-east-2", "eu-west-1", "eu-central-1")
_AT_A_TIME: Final = 32
_WATCHES: Final = 3
# An operator that uses less than this share of a core is at rest.
_REST: Final = 0.02

# What the operator writes of a Secret's metadata.
WRITTEN: Final = ("name", "labels", "annotations", "ownerReferences")

Row = dict[str, str]
Models = dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """Where everything runs; an operator idle for `settle` seconds is at rest."""

    plane: ControlPlane
    api: Api
    aws: LocalAws
    settle: float


@asynccontextmanager
async def field_of(api: Api, size: int, frequency: str = "10h") -> AsyncIterator[list[Row]]:
    """Create resources in a namespace of their own; they and their Secrets are deleted with the block."""
    namespace = await api.create_namespace("bench")
    rows = [_row(number, namespace) for number in range(size)]

    async def create(row: Row) -> None:
        spec = {"generated_secret_name": row["secret"], "ecr_registry": row["registry"]}
        manifest = {
            "apiVersion": ECR_SECRETS.api_version,
            "kind": "Secret",
            "metadata": {"name": row["name"]},
            "spec": {**spec, "region": row["region"], "frequency": frequency},
        }
        row["uid"] = (await api.create(manifest, namespace))["metadata"]["uid"]

    try:
        await for_each(rows, create)
        yield rows
    finally:
        await delete(api, ECR_SECRETS, namespace, [row["name"] for row in rows])
        await delete(api, SECRETS, namespace, [row["secret"] for row in rows])


def _row(number: int, namespace: str) -> Row:
    region = _REGIONS[number % len(_REGIONS)]
    names = {"name": f"registry-{number}", "namespace": namespace, "secret": f"login-{number}"}
    return {**names, "region": region, "registry": f"123456789012.dkr.ecr.{region}.amazonaws.com"}


async def for_each(things: Iterable[Any], do: Callable[[Any], Awaitable[object]]) -> None:
    """Do something with each, 32 at a time."""
    shared = iter(things)

    async def work() -> None:
        for thing in shared:
            await do(thing)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_A_TIME):
            group.create_task(work())


async def delete(api: Api, resource: Resource, namespace: str, names: Iterable[str]) -> None:
    """Delete objects in small requests; some may not exist."""

    async def one(name: str) -> None:
        with suppress(ApiError):
            await api.delete(resource, name, namespace)

    await for_each(names, one)


async def all_live(api: Api, rows: list[Row]) -> bool:
    """Whether every status is Ready and every Secret holds a live token of its region."""
    found = await api.list(ECR_SECRETS, rows[0]["namespace"])
    ready = [each for each in found if each.get("status", {}).get("phase") == "Updated"]
    return len(ready) == len(rows) == await count_live(api, rows)


async def count_live(api: Api, rows: list[Row]) -> int:
    """Count the Secrets that hold a live token of their region."""
    found = {each["metadata"]["name"]: each for each in await api.list(SECRETS, rows[0]["namespace"])}
    tokens = [(row["region"], token_in(found.get(row["secret"], {}), row["registry"])) for row in rows]
    now = time.time()
    return sum(
        token is not None and token.region == region and token.expires_at > now for region, token in tokens
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An operator: its process, its requests, its start in epoch seconds, AWS's calls before it."""

    lab: Lab
    process: OperatorProcess
    tail: AuditTail
    started: float
    calls_before: int

    @property
    def aws_calls(self) -> int:
        """How many calls AWS got since it was started."""
        return self.lab.aws.count("GetAuthorizationToken") - self.calls_before

    def cpu(self) -> float:
        """Processor time so far in seconds, to a hundredth."""
        times = psutil.Process(self.process.process.pid).cpu_times()
        return float(times.user + times.system)

    async def at_rest(self) -> None:
        """Wait until it watches and has had next to nothing to do for a while. Raises TimeoutError."""
        await wait_for(self._watches, LIMIT, "the operator's watches")
        async with asyncio.timeout(LIMIT):
            busy = 1.0
            while busy > _REST * self.lab.settle:
                before = self.cpu()
                await asyncio.sleep(self.lab.settle)
                busy = self.cpu() - before
        self.tail.read()

    def _watches(self) -> bool:
        self.tail.read()
        return self.tail.watches >= _WATCHES


@asynccontextmanager
async def operator_at(lab: Lab, namespace: str, *arguments: str) -> AsyncIterator[Running]:
    """Start an operator that serves one namespace, as a user of its own in system:masters."""
    user = f"operator-{time.monotonic_ns()}"
    kubeconfig = lab.plane.write_kubeconfig(user, groups=("system:masters",), namespace=namespace)
    tail, calls = AuditTail(lab.plane.audit_log, user), lab.aws.count("GetAuthorizationToken")
    env = {"WATCH_NAMESPACE": namespace}
    process = OperatorProcess(*arguments, kubeconfig=kubeconfig, aws_endpoint=lab.aws.url, env=env)
    async with process:
        started = time.time() - (time.monotonic() - process.started_at)
        try:
            yield Running(lab=lab, process=process, tail=tail, started=started, calls_before=calls)
        except (LabError, TimeoutError):
            print(process.tail(), file=sys.stderr)
            raise
        await process.stop()


async def models(lab: Lab) -> Models:
    """Have the operator write for one resource of each region, for the bare loop to write the same."""
    found = {}
    async with field_of(lab.api, len(_REGIONS)) as rows, operator_at(lab, rows[0]["namespace"]) as running:
        await running.tail.until(STATUSES, len(rows), LIMIT)
        for row in rows:
            secret = await lab.api.get(SECRETS, row["secret"], row["namespace"])
            written = {name: secret["metadata"][name] for name in WRITTEN}
            status = (await lab.api.get(ECR_SECRETS, row["name"], row["namespace"]))["status"]
            found[row["region"]] = {
                "row": row,
                "secret": json.dumps({**secret, "metadata": written}),
                "status": json.dumps({"status": status}),
            }
    return found


async def bare_loop(lab: Lab, rows: list[Row], like: Models) -> float:
    """Run the bare loop over a field; seconds from its start to its last write."""
    seconds = await run_loop(lab, rows, like, STATUSES)
    if not await all_live(lab.api, rows):
        raise LabError("the bare loop is over, but not every Secret is live")
    return seconds


async def run_loop(lab: Lab, rows: list[Row], like: Models, last: Request) -> float:
    """Run the bare loop until each row has had its last write; seconds from its start."""
    user = f"loop-{time.monotonic_ns()}"
    tail = AuditTail(lab.plane.audit_log, user)
    with temporary_folder("ecr-bench-") as home:
        server = {"url": lab.plane.url, "authority": lab.plane.authority, "client": str(home / "client.pem")}
        (home / "client.pem").write_bytes(lab.plane.client_certificate(user, ("system:masters",)))
        (home / "work.json").write_text(json.dumps({**server, "rows": rows, "models": like}))
        command = [sys.executable, "-m", "lab.bench_loop", str(home / "work.json")]
        log, env, started = home / "loop.log", lean_environment(home), time.time()
        process = Process("the bare loop", command, log=log, env=env, cwd=ROOT)
        with process:
            await tail.until(last, len(rows), LIMIT)
            if await asyncio.to_thread(process.wait, LIMIT):
                raise process.error("failed")
    tail.read()
    return tail.last_write - started
