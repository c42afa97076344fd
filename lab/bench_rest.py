"""The operator when there is little or nothing to do: a restart, a quiet minute, a repair, strangers.

Everything here needs a field whose Secrets are fresh.
"""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass

from lab.api import SECRETS
from lab.audit import Request
from lab.bench_audit import SECRETS_APPLIED
from lab.bench_field import Field, Row, foreign_secrets
from lab.bench_process import cpu_seconds, peak_memory
from lab.bench_runs import Lab, Running, operator_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """A start with everything fresh, and what came after.

    Attributes:
        aws_calls: of the start.
        writes: of the start.
        start_cpu: seconds of processor time from the start until it was at rest.
        resident: memory in bytes after the start.
        peak: the most of it, in bytes; 0 where the system doesn't tell.
        seconds: how long it was watched after that.
        cpu: seconds of processor time meanwhile.
        requests: to the API server meanwhile.
    """

    aws_calls: int
    writes: int
    start_cpu: float
    resident: int
    peak: int
    seconds: float
    cpu: float
    requests: Counter[Request]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """Seconds until a Secret was as it should be again, one for each of them."""

    deleted: list[float]
    edited: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strangers:
    """What Secrets of other people cost, in bytes of resident memory.

    Attributes:
        running: when they were made while the operator ran.
        starting: when the operator was started with them there.
    """

    running: int
    starting: int


async def rest(lab: Lab, field: Field, settle: float, seconds: float) -> Rest:
    """Start an operator that has to win its Lease first, and watch it for a while."""
    async with operator_at(lab, field, "--leader-elect") as running:
        await running.at_rest(settle)
        aws_calls, writes = await lab.aws.calls() - running.aws_calls_before, running.tail.writes
        before, begun = Counter(running.tail.requests), time.monotonic()
        cpu = cpu_seconds(running.pid)
        await asyncio.sleep(seconds)
        lasted, spent = time.monotonic() - begun, cpu_seconds(running.pid) - cpu
        running.tail.read()
        return Rest(
            aws_calls=aws_calls,
            writes=writes,
            start_cpu=cpu,
            resident=running.process.rss,
            peak=peak_memory(running.pid),
            seconds=lasted,
            cpu=spent,
            requests=running.tail.requests - before,
        )


async def repairs(lab: Lab, running: Running, field: Field, count: int) -> Repairs:
    """Delete some Secrets, one after the other, and change as many others."""
    return Repairs(
        deleted=[await _repair(lab, running, row, edit=False) for row in field.rows[:count]],
        edited=[await _repair(lab, running, row, edit=True) for row in field.rows[count : 2 * count]],
    )


async def strangers(lab: Lab, field: Field, settle: float, count: int) -> Strangers:
    """Compare an operator's memory before and after other people's Secrets came, and started beside them."""
    async with AsyncExitStack() as stack:
        async with operator_at(lab, field) as running:
            await running.at_rest(settle)
            alone = running.process.rss
            await stack.enter_async_context(foreign_secrets(lab.api, field.namespace, count))
            await running.at_rest(settle)
            beside = running.process.rss
        async with operator_at(lab, field) as running:
            await running.at_rest(settle)
            return Strangers(running=beside - alone, starting=running.process.rss - alone)


async def _repair(lab: Lab, running: Running, row: Row, *, edit: bool) -> float:
    """Spoil one generated Secret, and tell how long from then until the server has it right."""
    tail = running.tail
    tail.read()
    before = tail.requests[SECRETS_APPLIED]
    spoilt = time.time()
    if edit:
        await lab.api.merge_patch(
            SECRETS, row["secret"], {"data": {".dockerconfigjson": "e30="}}, row["namespace"]
        )
    else:
        await lab.api.delete(SECRETS, row["secret"], row["namespace"])
    await tail.until(SECRETS_APPLIED, before + 1, 20)
    return tail.last_write - spoilt
