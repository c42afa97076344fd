"""`make bench`: what the operator costs, beside a bare loop of the same writes.

Nothing is asserted: times depend on the machine, so compare only figures of one run. Operator and loop take
turns in going first, so that neither always meets the fresher server.
"""

import argparse
import asyncio
import base64
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median
from typing import Final

import aiohttp

from lab.api import SECRETS, Resource
from lab.aws import LocalAws
from lab.aws_services import TWELVE_HOURS
from lab.bench_runs import (
    APPLIED,
    LIMIT,
    STATUSES,
    Lab,
    Row,
    Running,
    all_live,
    bare_loop,
    count_live,
    delete,
    field_of,
    for_each,
    operator_at,
)
from lab.control_plane import ControlPlane
from lab.waiting import wait_for

# The rows of the table, and what the contract asks for.
ROWS: Final = {
    "Cold start, process start to all live, s": "",
    "  bare loop, s": "",
    "  share of the bare loop, %": "70 at 200, 80 at 1,000",
    "Processor time of a cold start, s": "",
    "  per resource, ms": "3 at 1,000",
    "GetAuthorizationToken, 4 regions": "4",
    "Writes per refresh": "2",
    "Resident memory, MiB": "110 at 1,000",
    "  more for foreign Secrets of 40 kB, MiB": "0",
    "One scrape, processor time, ms": "",
    "Restart, all fresh: AWS calls, writes": "0, 0",
    "Idle: share of a core, %": "",
    "  requests: watches, Lease, others": "others 0",
    "Deleted, edited Secret repaired, s": "1, 1",
    "Two replicas replaced: AWS calls, writes": "0, 0",
    "  longest time without a leader, s": "2",
    "frequency 1s: AWS calls in 30 s": "4 per minimum interval",
    "Tokens of 40 s: time with a live one, %": "100",
}
_MIB: Final = 2**20
_LEASES: Final = Resource("coordination.k8s.io/v1", "leases")
_LEASE: Final = "bc9c1120.mobb.redhat.com"

Table = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure; times in seconds.

    Attributes:
        sizes: numbers of resources; the first also with a slow AWS, the last below 2,000 with all the rest.
        rounds: of operator and loop, for sizes below 2,000.
        settle: how long an operator must be idle to count as at rest.
        idle, frequent, lives: how long an idle operator, `frequency: 1s` and tokens of 40 s are watched.
        foreign: how many Secrets of 40 kB other people have.
    """

    sizes: Sequence[int] = (200, 1000, 10_000)
    rounds: int = 3
    settle: float = 3.0
    idle: float = 60.0
    frequent: float = 30.0
    lives: float = 120.0
    foreign: int = 3000

    @property
    def main(self) -> int:
        """The size with which everything is measured."""
        return max((size for size in self.sizes if size < 2000), default=self.sizes[0])


class Bench:
    """Makes the runs one after another, and fills the table, by row and column."""

    def __init__(self, lab: Lab, plan: Plan) -> None:
        self._lab = lab
        self._plan = plan
        self._nothing = 0.0
        self.table: Table = {row: {} for row in ROWS}

    async def measure(self) -> Table:
        """Measure everything in the plan."""
        namespace = await self._lab.api.create_namespace("bench")
        async with operator_at(self._lab, namespace) as running:
            await running.at_rest()
            self._nothing = running.cpu()
        await self._cold_starts(self._plan.sizes[0], delay=0.05)
        for size in self._plan.sizes:
            await self._cold_starts(size)
        await self._frequent()
        await self._short_lives()
        return self.table

    def _put(self, row: str, column: str, *values: str) -> None:
        self.table[row][column] = ", ".join(values)
        print(f"{column}: {row.strip()}: {self.table[row][column]}", file=sys.stderr, flush=True)

    async def _cold_starts(self, size: int, delay: float = 0.0) -> None:
        """Run operator and loop in turns; after the last also what needs fresh Secrets."""
        column = f"{size:,}, AWS {delay * 1000:.0f} ms" if delay else f"{size:,}"
        rounds = self._plan.rounds if size < 2000 else 1
        seconds: list[float] = []
        loops: list[float] = []
        for number in range(rounds):
            for loop in (number % 2 == 0, number % 2 != 0):
                async with field_of(self._lab.api, size) as rows:
                    if loop:
                        loops.append((await bare_loop(self._lab, rows))[0])
                        continue
                    seconds.append(await self._cold_start(column, rows, delay))
                    if number == rounds - 1 and not delay:
                        await self._with_fresh_secrets(column, rows)
        mine, theirs = median(seconds), median(loops)
        self._put("Cold start, process start to all live, s", column, f"{mine:.2f}")
        self._put("  bare loop, s", column, f"{theirs:.2f}")
        self._put("  share of the bare loop, %", column, f"{100 * theirs / mine:.0f}")

    async def _cold_start(self, column: str, rows: list[Row], delay: float) -> float:
        """Seconds from the operator's start until all is live."""
        lab, namespace = self._lab, rows[0]["namespace"]
        lab.aws.delay = delay
        async with operator_at(lab, namespace) as running:
            await running.tail.until(STATUSES, len(rows))
            cpu = running.cpu()
            await wait_for(lambda: all_live(lab.api, rows), LIMIT, "every Secret live, every status Ready")
            running.tail.read()
            seconds = running.tail.last_write - running.started
            lab.aws.delay = 0.0
            await running.at_rest()
            self._put("Processor time of a cold start, s", column, f"{cpu:.2f}")
            self._put("  per resource, ms", column, f"{1000 * (cpu - self._nothing) / len(rows):.1f}")
            self._put("GetAuthorizationToken, 4 regions", column, str(running.aws_calls))
            self._put("Writes per refresh", column, f"{running.tail.writes / len(rows):g}")
            self._put("Resident memory, MiB", column, f"{running.process.rss / _MIB:.0f}")
            await self._scrape(column, running)
            if len(rows) == self._plan.main and not delay:
                await self._repairs(column, running, rows)
        return seconds

    async def _scrape(self, column: str, running: Running) -> None:
        url = f"http://127.0.0.1:{await running.process.port('/metrics')}/metrics"
        before = running.cpu()
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            await answer.read()
            answer.raise_for_status()
        milliseconds = 1000 * (running.cpu() - before)
        self._put("One scrape, processor time, ms", column, f"{milliseconds:.0f}")

    async def _repairs(self, column: str, running: Running, rows: list[Row]) -> None:
        """Delete some Secrets, one after the other, and edit as many others."""
        worst = {True: 0.0, False: 0.0}
        for number, row in enumerate(rows[:10]):
            deletes = number % 2 == 0
            name, namespace, tail = row["secret"], row["namespace"], running.tail
            tail.read()
            before, began = tail.requests[APPLIED], time.time()
            if deletes:
                await self._lab.api.delete(SECRETS, name, namespace)
            else:
                patch = {"data": {".dockerconfigjson": "e30="}}
                await self._lab.api.merge_patch(SECRETS, name, patch, namespace)
            await tail.until(APPLIED, before + 1, 20)
            worst[deletes] = max(worst[deletes], tail.last_write - began)
        self._put("Deleted, edited Secret repaired, s", column, f"{worst[True]:.2f}", f"{worst[False]:.2f}")

    async def _with_fresh_secrets(self, column: str, rows: list[Row]) -> None:
        """A restart that has to win the Lease first, and a quiet time; of the main size some more."""
        async with operator_at(self._lab, rows[0]["namespace"], "--leader-elect") as running:
            await running.at_rest()
            self._put(
                "Restart, all fresh: AWS calls, writes",
                column,
                str(running.aws_calls),
                str(running.tail.writes),
            )
            before, cpu, began = running.tail.requests.copy(), running.cpu(), time.monotonic()
            await asyncio.sleep(self._plan.idle)
            share = (running.cpu() - cpu) / (time.monotonic() - began)
            running.tail.read()
            running.tail.requests -= before
            watches, leases = running.tail.watches, running.tail.of_leases
            others = running.tail.requests.total() - watches - leases
            self._put("Idle: share of a core, %", column, f"{100 * share:.2f}")
            self._put("  requests: watches, Lease, others", column, str(watches), str(leases), str(others))
        if len(rows) == self._plan.main:
            await self._foreign(column, rows[0]["namespace"])
            await self._rolling_restart(column, rows[0]["namespace"])

    async def _foreign(self, column: str, namespace: str) -> None:
        """Compare the memory of operators started without and with other people's Secrets."""
        api = self._lab.api
        data = {"blob": base64.b64encode(bytes(30_000)).decode()}
        names = [f"foreign-{number}" for number in range(self._plan.foreign)]

        async def create(name: str) -> None:
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
            await api.create(secret, namespace)

        resident = []
        for present in (False, True):
            if present:
                await for_each(names, create)
            async with operator_at(self._lab, namespace) as running:
                await running.at_rest()
                resident.append(running.process.rss)
        await delete(api, SECRETS, namespace, names)
        more = (resident[1] - resident[0]) / _MIB
        self._put("  more for foreign Secrets of 40 kB, MiB", column, f"{more:+.1f}")

    async def _rolling_restart(self, column: str, namespace: str) -> None:
        """Replace two replicas as a Deployment does: start a new one, stop an old one, and again."""
        user, calls, gaps = f"replicas-{time.monotonic_ns()}", self._lab.calls(), [0.0]
        replicas: dict[str, Running] = {}
        async with AsyncExitStack() as stack:
            for name, replaced in (("old-1", ""), ("old-2", ""), ("new-1", "old-1"), ("new-2", "old-2")):
                env = {"POD_NAME": name, "POD_NAMESPACE": namespace}
                starting = operator_at(self._lab, namespace, "--leader-elect", user=user, env=env)
                replicas[name] = await stack.enter_async_context(starting)
                await replicas[name].at_rest()
                if replaced:
                    gaps.append(await self._stop(namespace, replaced, replicas[replaced]))
            # The first of one user has seen the requests of all.
            tail = replicas["old-1"].tail
            tail.read()
            self._put(
                "Two replicas replaced: AWS calls, writes",
                column,
                str(self._lab.calls() - calls),
                str(tail.writes),
            )
        self._put("  longest time without a leader, s", column, f"{max(gaps):.1f}")

    async def _stop(self, namespace: str, name: str, replica: Running) -> float:
        """Stop a replica; seconds until another one held the Lease, if it was the leader."""

        async def leader() -> str:
            lease = await self._lab.api.find(_LEASES, _LEASE, namespace)
            return str((lease or {}).get("spec", {}).get("holderIdentity") or "").rpartition("_")[0]

        async def is_replaced() -> bool:
            return await leader() not in ("", name)

        was_leader, began = await leader() == name, time.monotonic()
        replica.process.signal(signal.SIGTERM)
        if was_leader:
            await wait_for(is_replaced, 30, "another leader")
        gap = time.monotonic() - began if was_leader else 0.0
        await replica.process.wait()
        return gap

    async def _frequent(self) -> None:
        """Count the AWS calls of resources that want a new token each second."""
        size = self._plan.sizes[0]
        async with (
            field_of(self._lab.api, size, frequency="1s") as rows,
            operator_at(self._lab, rows[0]["namespace"]) as running,
        ):
            await running.tail.until(STATUSES, size)
            await asyncio.sleep(self._plan.frequent)
            self._put("frequency 1s: AWS calls in 30 s", f"{size:,}", str(running.aws_calls))

    async def _short_lives(self) -> None:
        """Look at four Secrets again and again, while their tokens expire after 40 s."""
        self._lab.aws.token_life = 40.0
        async with (
            field_of(self._lab.api, 4) as rows,
            operator_at(self._lab, rows[0]["namespace"]) as running,
        ):
            await running.tail.until(STATUSES, len(rows))
            looks, end = [], time.monotonic() + self._plan.lives
            while time.monotonic() < end:
                looks.append(await count_live(self._lab.api, rows))
                await asyncio.sleep(0.25)
        self._lab.aws.token_life = TWELVE_HOURS
        share = f"{100 * sum(looks) / (4 * len(looks)):.1f}"
        self._put("Tokens of 40 s: time with a live one, %", f"{self._plan.sizes[0]:,}", share)


def written(table: Table) -> str:
    """Return the table as text."""
    columns = list(dict.fromkeys(column for cells in table.values() for column in cells))
    lines = [["Resources, over 4 regions", *columns, "contract"]]
    lines += [[row, *(cells.get(each, "") for each in columns), ROWS[row]] for row, cells in table.items()]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])]).rstrip()
        for first, *rest in lines
    )


async def measure(plane: ControlPlane, plan: Plan) -> Table:
    """Measure on a control plane that has the CRDs."""
    async with plane.api() as api, LocalAws() as aws:
        return await Bench(Lab(plane=plane, api=api, aws=aws, settle=plan.settle), plan).measure()


async def _install_and_measure(plane: ControlPlane, plan: Plan) -> Table:
    async with plane.api() as api:
        await api.install_crds()
    return await measure(plane, plan)


def main() -> None:
    """Start a control plane, measure, print the table."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench", description="Measure the operator.")
    parser.add_argument("--sizes", default="200,1000,10000", help="default: 200,1000,10000")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each size below 2,000 (default: 3)")
    parser.add_argument("--idle", type=float, default=60, help="seconds to watch it idle (default: 60)")
    options = parser.parse_args()
    sizes = sorted(map(int, options.sizes.split(",")))
    print("Starting etcd, kube-apiserver and a local AWS…", file=sys.stderr)
    with ControlPlane() as plane:
        plan = Plan(sizes=sizes, rounds=options.rounds, idle=options.idle)
        table = asyncio.run(_install_and_measure(plane, plan))
    print(written(table))


if __name__ == "__main__":
    main()
