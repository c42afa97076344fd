"""Single runs: of the operator, of the bare loop beside it, and of what the operator does afterwards.

Invariant: both are timed alike, from the start of the process to the answer to its last write; and a run
counts only when every Secret holds a live token and every status says so.
"""

import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import aiohttp
import psutil

from tests.lab.api import SECRETS, Api, Json
from tests.lab.audit import Request
from tests.lab.aws_tokens import IssuedToken, encode_token
from tests.lab.bench_audit import SECRETS_APPLIED, STATUSES, AuditTail
from tests.lab.bench_stage import REGIONS, ROOT, AwsProcess, Field, all_live, lean_environment
from tests.lab.control_plane import ControlPlane
from tests.lab.janitor import temporary_folder
from tests.lab.operator import OperatorProcess
from tests.lab.processes import LabError, Process
from tests.lab.waiting import wait_for

_LIMIT: Final = 180.0
_WATCHES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """Where everything runs."""

    plane: ControlPlane
    api: Api
    aws: AwsProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopRun:
    """One run of the bare loop.

    Attributes:
        seconds: from the start of its process to the answer to its last write.
        without_start: the same from when its imports were done.
        cpu: seconds of processor time, its start included.
    """

    seconds: float
    without_start: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRun:
    """One cold start of the operator.

    Attributes:
        seconds: from the start of its process to the answer to its last write.
        cpu: seconds of processor time until then, its start included.
        aws_calls: of GetAuthorizationToken.
        requests: to the API server, by verb and resource.
        resident: memory in bytes, when it had nothing to do for a while.
        peak: the most memory, in bytes; 0 where the system doesn't tell.
        scrape: seconds of processor time that one scrape of the metrics takes; 0 where it is not told.
    """

    seconds: float
    cpu: float
    aws_calls: int
    requests: Counter[Request]
    resident: int
    peak: int
    scrape: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An operator at work."""

    process: OperatorProcess
    tail: AuditTail
    started: float
    aws_calls_before: int


@asynccontextmanager
async def operator_at(lab: Lab, field: Field) -> AsyncIterator[Running]:
    """Start an operator that serves one field, as a user of its own in system:masters."""
    user = f"operator-{time.monotonic_ns()}"
    kubeconfig = lab.plane.write_kubeconfig(user, groups=("system:masters",))
    before = await lab.aws.calls()
    tail = AuditTail(lab.plane.audit_log, user)
    env = {"WATCH_NAMESPACE": field.namespace}
    async with OperatorProcess(kubeconfig=kubeconfig, aws_endpoint=lab.aws.url, env=env) as process:
        started = time.time() - (time.monotonic() - process.started_at)
        try:
            yield Running(process=process, tail=tail, started=started, aws_calls_before=before)
        except (LabError, TimeoutError):
            print(process.tail(), file=sys.stderr)
            raise
        await process.stop()


async def cold_start(lab: Lab, running: Running, field: Field, settle: float) -> OperatorRun:
    """Wait until all is live, and a while longer to see what memory stays."""
    await running.tail.until(STATUSES, len(field.rows), _LIMIT)
    times = psutil.Process(running.process.process.pid).cpu_times()
    await wait_for(lambda: all_live(lab.api, field), _LIMIT, "every Secret live and every status Ready")
    running.tail.read()
    seconds = running.tail.last_write - running.started
    await asyncio.sleep(settle)
    running.tail.read()
    scrape = await _scrape_seconds(running.process)
    return OperatorRun(
        seconds=seconds,
        cpu=times.user + times.system,
        aws_calls=await lab.aws.calls() - running.aws_calls_before,
        requests=Counter(running.tail.requests),
        resident=running.process.rss,
        peak=_peak(running.process.process.pid),
        scrape=scrape,
    )


async def bare_loop(lab: Lab, field: Field, concurrency: int) -> LoopRun:
    """Run the bare loop over a field, in a process of its own."""
    user = f"loop-{time.monotonic_ns()}"
    kubeconfig = lab.plane.write_kubeconfig(user, groups=("system:masters",))
    tail = AuditTail(lab.plane.audit_log, user)
    with temporary_folder("ecr-bench-") as home:
        work = home / "work.json"
        work.write_text(json.dumps({"rows": field.rows, "tokens": _tokens()}))
        process = Process(
            "the bare loop",
            [sys.executable, "-m", "tests.lab.bench_bare_loop", work, "--concurrency", str(concurrency)],
            log=home / "loop.log",
            env=lean_environment(home, KUBECONFIG=str(kubeconfig)),
            cwd=ROOT,
        )
        started = time.time()
        with process:
            await tail.until(STATUSES, len(field.rows), _LIMIT)
            if await asyncio.to_thread(process.wait, _LIMIT):
                raise process.error("failed")
            began, cpu = map(float, process.tail(1).split())
    tail.read()
    if not await all_live(lab.api, field):
        raise LabError("the bare loop is over, but not every Secret is live")
    return LoopRun(seconds=tail.last_write - started, without_start=tail.last_write - began, cpu=cpu)


async def repair_seconds(lab: Lab, running: Running, row: dict[str, str]) -> float:
    """Delete one generated Secret, and tell how long from then until the server has it again."""
    tail = running.tail
    tail.read()
    before = tail.requests[SECRETS_APPLIED]
    deleted = time.time()
    await lab.api.delete(SECRETS, row["secret"], row["namespace"])
    await tail.until(SECRETS_APPLIED, before + 1, 20)
    return tail.last_write - deleted


async def restart(lab: Lab, field: Field, settle: float) -> tuple[int, int]:
    """Start an operator where everything is fresh, and count its AWS calls and its writes."""
    async with operator_at(lab, field) as running:
        await wait_for(lambda: _watches(running.tail) >= _WATCHES, 30, "the operator's watches")
        await asyncio.sleep(settle)
        running.tail.read()
        return await lab.aws.calls() - running.aws_calls_before, running.tail.writes


def _watches(tail: AuditTail) -> int:
    tail.read()
    return sum(count for request, count in tail.requests.items() if request.verb == "watch")


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


async def _scrape_seconds(operator: OperatorProcess) -> float:
    """Scrape an operator that has nothing to do, and tell what it took of the processor."""
    url = f"http://127.0.0.1:{await operator.port('/metrics')}/metrics"
    before = _cpu_seconds(operator.process.pid)
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        await answer.read()
        answer.raise_for_status()
    return _cpu_seconds(operator.process.pid) - before


def _cpu_seconds(pid: int) -> float:
    """Read the processor time of a process's first thread; only Linux tells it this exactly."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


def _peak(pid: int) -> int:
    """Read the most memory that was ever resident; only Linux tells."""
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else 0
