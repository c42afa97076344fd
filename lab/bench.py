"""`make bench`: what the operator costs, beside a bare loop of the same writes.

Nothing is asserted: times depend on the machine, so compare only figures of one run. What doesn't, such as
calls and live tokens over time, the tests of `tests/cluster` assert. Operator and loop take turns in going
first, so that neither always meets the fresher server; their ratio is taken turn by turn.
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
from lab.bench_clusters import loop_over, namespaces_of, run_operator
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
    "  share of the bare loop, % (least, most)": "70 at 200, else 80",
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
}
_MIB: Final = 2**20

Table = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure.

    Attributes:
        sizes: numbers of resources; the first also with a slow AWS, the last below 2,000 with all the rest.
        rounds: of operator and loop, for sizes below 2,000.
        idle: seconds to watch an idle operator.
        effort: 1 for the real thing; less shortens all other waits, and the list of foreign Secrets.
    """

    sizes: Sequence[int]
    rounds: int = 3
    idle: float = 60.0
    effort: float = 1.0

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
        await self._cluster_secret(self._plan.main)
        return self.table

    def _put(self, column: str, row: str, value: str) -> None:
        self.table[row][column] = value
        print(f"{column}: {row.strip()}: {value}", file=sys.stderr, flush=True)

    async def _cold_starts(self, size: int, delay: float = 0.0) -> None:
        """Run operator and loop in turns; after the last also what needs fresh Secrets."""
        column = f"{size:,}, AWS {delay * 1000:.0f} ms" if delay else f"{size:,}"
        rounds = self._plan.rounds if size < 2000 else 1
        mine: list[float] = []
        theirs: list[float] = []
        for number in range(rounds):
            for loop in (number % 2 == 0, number % 2 != 0):
                async with field_of(self._lab.api, size) as rows:
                    if loop:
                        theirs.append(await bare_loop(self._lab, rows, self._models))
                        continue
                    mine.append(await self._cold_start(column, rows, delay))
                    if number == rounds - 1 and not delay:
                        await self._with_fresh_secrets(column, rows)
        self._put_shares(column, mine, theirs)

    def _put_shares(self, column: str, mine: Sequence[float], theirs: Sequence[float]) -> None:
        """Put seconds of the operator and of the loop, and their ratio."""
        shares = [100 * its / own for its, own in zip(theirs, mine, strict=True)]
        self._put(column, "Cold start, process start to all live, s", f"{median(mine):.2f}")
        self._put(column, "  bare loop, s", f"{median(theirs):.2f}")
        spread = f" ({min(shares):.0f}, {max(shares):.0f})" if len(shares) > 1 else ""
        self._put(column, "  share of the bare loop, % (least, most)", f"{median(shares):.0f}{spread}")

    async def _cold_start(self, column: str, rows: list[Row], delay: float) -> float:
        """Seconds from the operator's start until all is live."""
        self._lab.aws.delay = delay
        async with operator_at(self._lab, rows[0]["namespace"]) as running:
            await running.tail.until(STATUSES, len(rows), LIMIT)
            cpu = running.cpu()
            await wait_for(
                lambda: all_live(self._lab.api, rows), LIMIT, "every Secret live, every status Ready"
            )
            running.tail.read()
            seconds = running.tail.last_write - running.started
            self._lab.aws.delay = 0.0
            await running.at_rest()
            self._put(column, "Processor time of a cold start, s", f"{cpu:.2f}")
            self._put(column, "  per resource, ms", f"{1000 * (cpu - self._nothing) / len(rows):.1f}")
            self._put(column, "GetAuthorizationToken, 4 regions", str(running.aws_calls))
            self._put(column, "Writes per refresh", f"{running.tail.writes / len(rows):g}")
            self._put(column, "Resident memory, MiB", f"{running.process.rss / _MIB:.0f}")
            self._put(column, "One scrape, processor time, ms", f"{1000 * await _scrape(running):.0f}")
            if len(rows) == self._plan.main and not delay:
                await self._repairs(column, running, rows)
        return seconds

    async def _repairs(self, column: str, running: Running, rows: list[Row]) -> None:
        """Delete some Secrets, one after the other, and edit as many others."""
        api, tail, worst = self._lab.api, running.tail, [0.0, 0.0]
        for number, row in enumerate(rows[:10]):
            tail.read()
            before, began = tail.requests[APPLIED], time.time()
            if number % 2:
                patch = {"data": {".dockerconfigjson": "e30="}}
                await api.merge_patch(SECRETS, row["secret"], patch, row["namespace"])
            else:
                await api.delete(SECRETS, row["secret"], row["namespace"])
            await tail.until(APPLIED, before + 1, 20)
            worst[number % 2] = max(worst[number % 2], tail.last_write - began)
        self._put(column, "Deleted, edited Secret repaired, s", "{:.2f}, {:.2f}".format(*worst))

    async def _with_fresh_secrets(self, column: str, rows: list[Row]) -> None:
        """A restart that has to win the Lease first, and a quiet time; of the main size some more."""
        async with operator_at(self._lab, rows[0]["namespace"], "--leader-elect") as running:
            await running.at_rest()
            tail = running.tail
            self._put(column, "Restart, all fresh: AWS calls, writes", f"{running.aws_calls}, {tail.writes}")
            tail.requests.clear()
            await asyncio.sleep(self._plan.idle)
            tail.read()
            leases = sum(count for request, count in tail.requests.items() if request.is_for_a_lease)
            others = tail.requests.total() - tail.watches - leases
            self._put(column, "Idle requests: watches, Lease, others", f"{tail.watches}, {leases}, {others}")
        if len(rows) == self._plan.main:
            await self._foreign(column, rows[0]["namespace"])

    async def _foreign(self, column: str, namespace: str) -> None:
        """Compare the memory of operators started without and with other people's Secrets."""
        data = {"blob": base64.b64encode(bytes(30_000)).decode()}
        names = [f"foreign-{number}" for number in range(round(3000 * self._plan.effort))]

        async def create(name: str) -> None:
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
            await self._lab.api.create(secret, namespace)

        resident = []
        for present in ([], names):
            await for_each(present, create)
            async with operator_at(self._lab, namespace) as running:
                await running.at_rest()
                resident.append(running.process.rss)
        await delete(self._lab.api, SECRETS, namespace, names)
        more = (resident[1] - resident[0]) / _MIB
        self._put(column, "  more for foreign Secrets of 40 kB, MiB", f"{more:+.1f}")

    async def _cluster_secret(self, size: int) -> None:
        """Run one ClusterSecret over namespaces, and the bare loop over the same, in turns."""
        column = f"{size:,} namespaces"
        mine: list[float] = []
        theirs: list[float] = []
        async with namespaces_of(self._lab, size) as rows:
            for _ in range(self._plan.rounds):
                run, model = await run_operator(self._lab, rows)
                mine.append(run.seconds)
                await self._delete_secrets(rows)
                theirs.append(await loop_over(self._lab, rows, model))
                await self._delete_secrets(rows)
        self._put_shares(column, mine, theirs)
        self._put(column, "Processor time of a cold start, s", f"{run.cpu:.2f}")
        self._put(column, "  per resource, ms", f"{1000 * (run.cpu - self._nothing) / size:.1f}")
        self._put(column, "GetAuthorizationToken, 4 regions", str(run.aws_calls))
        writes = f"{run.secret_writes / size:g} + {run.status_writes} of the status"
        self._put(column, "Writes per refresh", writes)
        self._put(column, "Resident memory, MiB", f"{run.rss / _MIB:.0f}")
        self._put(column, "Restart, all fresh: AWS calls, writes", "{}, {}".format(*run.restart))

    async def _delete_secrets(self, rows: list[Row]) -> None:
        await for_each(rows, lambda row: self._lab.api.delete_all(SECRETS, row["namespace"]))


async def _scrape(running: Running) -> float:
    """Seconds of processor time of one scrape."""
    url = f"http://127.0.0.1:{await running.process.port('/metrics')}/metrics"
    before = running.cpu()
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        await answer.read()
        answer.raise_for_status()
    return running.cpu() - before


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
        return await Bench(Lab(plane=plane, api=api, aws=aws, settle=3 * plan.effort), plan).measure()


def main() -> None:
    """Start a control plane, measure, print the table."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench", description="Measure the operator.")
    parser.add_argument("--sizes", default="200,1000,10000", help="default: 200,1000,10000")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each size below 2,000 (default: 3)")
    parser.add_argument("--idle", type=float, default=60, help="seconds to watch it idle (default: 60)")
    options = parser.parse_args()
    plan = Plan(sizes=sorted(map(int, options.sizes.split(","))), rounds=options.rounds, idle=options.idle)
    print("Starting etcd, kube-apiserver and a local AWS…", file=sys.stderr)
    with ControlPlane() as plane:
        print_table(asyncio.run(measure(plane, plan)))


if __name__ == "__main__":
    main()
