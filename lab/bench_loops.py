"""The bare loop beside the operator: `bench_bare_loop` in a process of its own, timed as the operator is."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lab.api import Json
from lab.aws_tokens import IssuedToken, encode_token
from lab.bench_audit import STATUSES, AuditTail
from lab.bench_field import REGIONS, Field, all_live
from lab.bench_runs import LIMIT, Lab
from lab.bench_stage import ROOT, lean_environment
from lab.janitor import temporary_folder
from lab.processes import LabError, Process


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopRun:
    """One run of the bare loop.

    Attributes:
        seconds: from the start of its process to the answer to its last write.
        first_write: the same to its first.
        without_start: to its last write, from when its imports were done.
        cpu: seconds of processor time, its start included.
    """

    seconds: float
    first_write: float
    without_start: float
    cpu: float


async def bare_loop(lab: Lab, field: Field, concurrency: int) -> LoopRun:
    """Run the bare loop over a field."""
    user = f"loop-{time.monotonic_ns()}"
    kubeconfig = lab.plane.write_kubeconfig(user, groups=("system:masters",))
    tail = AuditTail(lab.plane.audit_log, user)
    with temporary_folder("ecr-bench-") as home:
        work = home / "work.json"
        work.write_text(json.dumps({"rows": field.rows, "tokens": _tokens()}))
        process = Process(
            "the bare loop",
            [sys.executable, "-m", "lab.bench_bare_loop", work, "--concurrency", str(concurrency)],
            log=home / "loop.log",
            env=lean_environment(home, KUBECONFIG=str(kubeconfig)),
            cwd=ROOT,
        )
        started = time.time()
        with process:
            await tail.until(STATUSES, len(field.rows), LIMIT)
            if await asyncio.to_thread(process.wait, LIMIT):
                raise process.error("failed")
            began, cpu = map(float, process.tail(1).split())
    tail.read()
    if not await all_live(lab.api, field):
        raise LabError("the bare loop is over, but not every Secret is live")
    return LoopRun(
        seconds=tail.last_write - started,
        first_write=tail.first_write - started,
        without_start=tail.last_write - began,
        cpu=cpu,
    )


def _tokens() -> Json:
    """Make a token for each region, as the local AWS would."""
    now = datetime.now(UTC)
    expiry = now + timedelta(hours=12)
    issued, expires = (f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in (now, expiry))
    return {
        region: {"password": _password(region, now, expiry), "issued": issued, "expires": expires}
        for region in REGIONS
    }


def _password(region: str, now: datetime, expiry: datetime) -> str:
    token = IssuedToken(
        serial=1,
        region=region,
        access_key="AKIAIOSFODNN7EXAMPLE",
        service="ecr",
        issued_at=now.timestamp(),
        expires_at=expiry.timestamp(),
    )
    return encode_token(token)
