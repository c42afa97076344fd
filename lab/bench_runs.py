"""The operator at work on a field, and its cold start.

Invariant: operator and bare loop are timed alike, from the start of the process to the answer to its last
write; and a run counts only when every Secret holds a live token and every status says so.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp

from lab.api import Api
from lab.audit import Request
from lab.bench_audit import STATUSES, AuditTail
from lab.bench_field import Field, all_live
from lab.bench_process import cpu_seconds, peak_memory
from lab.bench_stage import AwsProcess
from lab.control_plane import ControlPlane
from lab.operator import OperatorProcess
from lab.processes import LabError
from lab.waiting import wait_for

LIMIT: Final = 600.0

_WATCHES: Final = 3
# An operator that has less to do than this share of a core is at rest.
_REST: Final = 0.02
_LONGEST_UNREST: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """Where everything runs."""

    plane: ControlPlane
    api: Api
    aws: AwsProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRun:
    """One cold start of the operator.

    Attributes:
        seconds: from the start of its process to the answer to its last write.
        first_write: the same to its first.
        cpu: seconds of processor time until the last, its start included.
        aws_calls: of GetAuthorizationToken.
        requests: to the API server, by verb and resource.
        resident: memory in bytes, when it had nothing to do for a while.
        peak: the most memory, in bytes; 0 where the system doesn't tell.
        scrape: seconds of processor time that one scrape of the metrics takes.
    """

    seconds: float
    first_write: float
    cpu: float
    aws_calls: int
    requests: Counter[Request]
    resident: int
    peak: int
    scrape: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An operator at work.

    Attributes:
        process: the operator.
        tail: its requests to the API server.
        started: when its process was started, epoch seconds.
        aws_calls_before: what the local AWS had been asked until then.
    """

    process: OperatorProcess
    tail: AuditTail
    started: float
    aws_calls_before: int

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.process.pid

    async def at_rest(self, settle: float) -> None:
        """Wait until it watches and has had next to nothing to do for `settle` seconds.

        Raises TimeoutError.
        """
        await wait_for(self._watches, LIMIT, "the operator's watches")
        deadline = time.monotonic() + _LONGEST_UNREST
        while True:
            before = cpu_seconds(self.pid)
            await asyncio.sleep(settle)
            if cpu_seconds(self.pid) - before <= _REST * settle:
                break
            if time.monotonic() > deadline:
                raise TimeoutError("the operator does not come to rest")
        self.tail.read()

    def _watches(self) -> bool:
        self.tail.read()
        return self.tail.watches >= _WATCHES


@asynccontextmanager
async def operator_at(
    lab: Lab, field: Field, *arguments: str, user: str = "", env: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    """Start an operator that serves one field, as a user of its own in system:masters."""
    user = user or f"operator-{time.monotonic_ns()}"
    kubeconfig = lab.plane.write_kubeconfig(user, groups=("system:masters",), namespace=field.namespace)
    before = await lab.aws.calls()
    tail = AuditTail(lab.plane.audit_log, user)
    environment = {"WATCH_NAMESPACE": field.namespace, **(env or {})}
    async with OperatorProcess(
        *arguments, kubeconfig=kubeconfig, aws_endpoint=lab.aws.url, env=environment
    ) as process:
        started = time.time() - (time.monotonic() - process.started_at)
        try:
            yield Running(process=process, tail=tail, started=started, aws_calls_before=before)
        except (LabError, TimeoutError):
            print(process.tail(), file=sys.stderr)
            raise
        await process.stop()


async def cold_start(lab: Lab, running: Running, field: Field, settle: float) -> OperatorRun:
    """Wait until all is live, and a while longer to see what memory stays."""
    tail, pid = running.tail, running.pid
    await tail.until(STATUSES, len(field.rows), LIMIT)
    cpu = cpu_seconds(pid)
    await wait_for(lambda: all_live(lab.api, field), LIMIT, "every Secret live and every status Ready")
    tail.read()
    seconds = tail.last_write - running.started
    await asyncio.sleep(settle)
    tail.read()
    return OperatorRun(
        seconds=seconds,
        first_write=tail.first_write - running.started,
        cpu=cpu,
        aws_calls=await lab.aws.calls() - running.aws_calls_before,
        requests=Counter(tail.requests),
        scrape=await _scrape_seconds(running),
        resident=running.process.rss,
        peak=peak_memory(pid),
    )


async def _scrape_seconds(running: Running) -> float:
    """Scrape an operator that has nothing to do, and tell what it took of the processor."""
    url = f"http://127.0.0.1:{await running.process.port('/metrics')}/metrics"
    before = cpu_seconds(running.pid)
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        await answer.read()
        answer.raise_for_status()
    return cpu_seconds(running.pid) - before
