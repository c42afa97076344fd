"""`make bench`: what the operator costs, beside a bare loop of the same writes.

Nothing is asserted: times depend on the machine, so compare only figures of one run. Operator and loop take
turns in going first, so that neither always meets the fresher server.
"""

import argparse
import asyncio
import base64
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import aiohttp
import rich.table
from rich.console import Console

from lab.api import SECRETS
from lab.aws import LocalAws
from lab.aws_services import TWELVE_HOURS
from lab.bench_runs import (
    APPLIED,
    LIMIT,
    STATUSES,
    Lab,
    Models,
    Row,
    Running,
    all_live,
    bare_loop,
    count_live,
    delete,
    field_of,
    for_each,
    models,
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
    "Idle requests: watches, Lease, others": "others 0",
    "Deleted, edited Secret repaired, s": "1, 1",
    "frequency 1s: AWS calls in 30 s": "4 per minimum interval",
    "Tokens of 40 s: time with a live one, %": "100",
}
_MIB: Final = 2**20

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
        self._models: Models = {}
        self.table: Table = {row: {} for row in ROWS}

    async def measure(self) -> Table:
        """Measure everything in the plan."""
        namespace = await self._lab.api.create_namespace("bench")
        async with operator_at(self._lab, namespace) as running:
            await running.at_rest()
            self._nothing = running.cpu()
        self._models = await models(self._lab)
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
                        loops.append(await bare_loop(self._lab, rows, self._models))
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
            await running.tail.until(STATUSES, len(rows), LIMIT)
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
            calls, writes = str(running.aws_calls), str(running.tail.writes)
            self._put("Restart, all fresh: AWS calls, writes", column, calls, writes)
            running.tail.requests.clear()
            await asyncio.sleep(self._plan.idle)
            running.tail.read()
            requests, watches = running.tail.requests, running.tail.watches
            leases = sum(count for request, count in requests.items() if request.is_for_a_lease)
            others = requests.total() - watches - leases
            counts = map(str, (watches, leases, others))
            self._put("Idle requests: watches, Lease, others", column, *counts)
        if len(rows) == self._plan.main:
            await self._foreign(column, rows[0]["namespace"])

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

    async def _frequent(self) -> None:
        """Count the AWS calls of resources that want a new token each second."""
        size = self._plan.sizes[0]
        async with (
            field_of(self._lab.api, size, frequency="1s") as rows,
            operator_at(self._lab, rows[0]["namespace"]) as running,
        ):
            await running.tail.until(STATUSES, size, LIMIT)
            await asyncio.sleep(self._plan.frequent)
            self._put("frequency 1s: AWS calls in 30 s", f"{size:,}", str(running.aws_calls))

    async def _short_lives(self) -> None:
        """Look at four Secrets again and again, while their tokens expire after 40 s."""
        self._lab.aws.token_life = 40.0
        async with (
            field_of(self._lab.api, 4) as rows,
            operator_at(self._lab, rows[0]["namespace"]) as running,
        ):
            await running.tail.until(STATUSES, len(rows), LIMIT)
            looks, end = [], time.monotonic() + self._plan.lives
            while time.monotonic() < end:
                looks.append(await count_live(self._lab.api, rows))
                await asyncio.sleep(0.25)
        self._lab.aws.token_life = TWELVE_HOURS
        share = f"{100 * sum(looks) / (4 * len(looks)):.1f}"
        self._put("Tokens of 40 s: time with a live one, %", f"{self._plan.sizes[0]:,}", share)


def print_table(table: Table) -> None:
    """Print the table, as wide as it is."""
    columns = list(dict.fromkeys(column for cells in table.values() for column in cells))
    shown = rich.table.Table("Resources, over 4 regions", box=None, pad_edge=False)
    for column in (*columns, "contract"):
        shown.add_column(column, justify="right")
    for row, cells in table.items():
        shown.add_row(row, *(cells.get(each, "") for each in columns), ROWS[row])
    Console(width=200, highlight=False).print(shown)


async def measure(plane: ControlPlane, plan: Plan) -> Table:
    """Install the CRDs on a control plane, and measure."""
    async with plane.api() as api, LocalAws() as aws:
        await api.install_crds()
        return await Bench(Lab(plane=plane, api=api, aws=aws, settle=plan.settle), plan).measure()


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
        table = asyncio.run(measure(plane, plan))
    print_table(table)


if __name__ == "__main__":
    main()
