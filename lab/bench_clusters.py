"""The benchmark's part about one ClusterSecret over many namespaces, beside a bare loop of its Secrets.

The loop writes each Secret once, as the operator wrote it before; both are timed as in bench_runs.
"""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from lab.api import CLUSTER_SECRETS, SECRETS, Json
from lab.audit import Request
from lab.aws import token_in
from lab.bench_runs import APPLIED, LIMIT, WRITTEN, Lab, Row, Running, for_each, operator_at, run_loop
from lab.processes import LabError
from lab.waiting import wait_for

CLUSTER_STATUSES = Request("patch", "clustersecrets.ecr.mobb.redhat.com", "status")
_REGION = "us-east-1"
_REGISTRY = f"123456789012.dkr.ecr.{_REGION}.amazonaws.com"
_SECRET, _NAME = "login", "everywhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a cold start, and a restart after it, cost; seconds, bytes and counts."""

    seconds: float
    cpu: float
    rss: int
    aws_calls: int
    secret_writes: int
    status_writes: int
    restart: tuple[int, int] = (0, 0)


@asynccontextmanager
async def namespaces_of(lab: Lab, size: int) -> AsyncIterator[list[Row]]:
    """Create namespaces with a label of their own, which are deleted with the block."""
    label = f"bench-{time.monotonic_ns()}"
    rows = [{"namespace": f"{label}-{number}", "secret": _SECRET, "name": _NAME} for number in range(size)]

    async def create(row: Row) -> None:
        metadata = {"name": row["namespace"], "labels": {"bench": label}}
        await lab.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    async def end(row: Row) -> None:
        await lab.api.delete_all(SECRETS, row["namespace"])
        await lab.api.end_namespace(row["namespace"])

    await for_each(rows, create)
    try:
        yield rows
    finally:
        await for_each(rows, end)


@asynccontextmanager
async def _serving(lab: Lab, rows: list[Row]) -> AsyncIterator[Json]:
    """A ClusterSecret for the namespaces."""
    label = rows[0]["namespace"].rpartition("-")[0]
    spec = {"generated_secret_name": _SECRET, "ecr_registry": _REGISTRY}
    manifest = {
        "apiVersion": CLUSTER_SECRETS.api_version,
        "kind": "ClusterSecret",
        "metadata": {"name": _NAME},
        "spec": {**spec, "namespaces": {"selector": {"matchLabels": {"bench": label}}}},
    }
    created = await lab.api.create(manifest)
    try:
        yield created
    finally:
        await lab.api.delete(CLUSTER_SECRETS, _NAME)


async def run_operator(lab: Lab, rows: list[Row]) -> tuple[Run, Json]:
    """A cold start over the namespaces and a restart; also the Secret that was written, and its owner."""
    async with _serving(lab, rows) as cluster:
        async with operator_at(lab, "") as running:
            await running.tail.until(APPLIED, len(rows), LIMIT)
            await wait_for(lambda: _all_ready(lab, rows), LIMIT, "a status that says all")
            seconds, cpu = running.tail.last_at[APPLIED] - running.started, running.cpu()
            await running.at_rest()
            run = _figures(running, seconds, cpu)
        async with operator_at(lab, "") as again:
            await again.at_rest()
            run = replace(run, restart=(again.aws_calls, again.tail.writes))
        secret = await lab.api.get(SECRETS, _SECRET, rows[0]["namespace"])
        written = {name: secret["metadata"][name] for name in WRITTEN}
        model = {
            "row": {**rows[0], "uid": cluster["metadata"]["uid"]},
            "secret": json.dumps({**secret, "metadata": written}),
        }
    return run, model


def _figures(running: Running, seconds: float, cpu: float) -> Run:
    return Run(
        seconds=seconds,
        cpu=cpu,
        rss=running.process.rss,
        aws_calls=running.aws_calls,
        secret_writes=running.tail.requests[APPLIED],
        status_writes=running.tail.requests[CLUSTER_STATUSES],
    )


async def _all_ready(lab: Lab, rows: list[Row]) -> bool:
    status = (await lab.api.get(CLUSTER_SECRETS, _NAME)).get("status", {})
    return bool(status.get("namespaces") == {"served": len(rows), "ready": len(rows)})


async def loop_over(lab: Lab, rows: list[Row], model: Json) -> float:
    """Run the bare loop over the namespaces; seconds from its start to its last write."""
    mine = [{**row, "uid": model["row"]["uid"], "region": _REGION} for row in rows]
    seconds = await run_loop(lab, mine, {_REGION: model}, APPLIED)
    for row in (rows[0], rows[-1]):
        if not token_in(await lab.api.get(SECRETS, _SECRET, row["namespace"]), _REGISTRY):
            raise LabError("the bare loop is over, but a Secret has no token")
    return seconds
