"""`make bench`: how fast and how cheap the operator is, beside a bare loop of the same writes.

Nothing is asserted here: times depend on the machine, so only figures of one run may be compared. The order
of operator and loop changes from round to round, so that neither always meets the fresher server.
"""

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console

from tests.lab.bench_audit import STATUSES
from tests.lab.bench_runs import (
    Lab,
    LoopRun,
    OperatorRun,
    bare_loop,
    cold_start,
    operator_at,
    repair_seconds,
    restart,
)
from tests.lab.bench_stage import ROOT, AwsProcess, field_of
from tests.lab.bench_table import Case, Figures, show
from tests.lab.control_plane import ControlPlane

_OPERATOR_IMPORTS: Final = "import ecr_operator.app"
_LOOP_IMPORTS: Final = "import asyncio, kubernetes_asyncio.client, kubernetes_asyncio.config"
_WIDTH: Final = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure.

    Attributes:
        sizes: numbers of resources.
        rounds: how often each run is made.
        concurrencies: what the bare loop is tried with.
        delay: seconds that each AWS call takes in one more case of the smallest size.
        settle: seconds to wait before memory is read and calls are counted.
        frequent_seconds: how long resources with `frequency: 1s` are watched.
        repairs: how many Secrets are deleted.
    """

    sizes: Sequence[int] = (200, 1000)
    rounds: int = 3
    concurrencies: Sequence[int] = (8, 16, 32)
    delay: float = 0.05
    settle: float = 3.0
    frequent_seconds: float = 30.0
    repairs: int = 5

    @property
    def steps(self) -> int:
        """How many runs that is."""
        each_size = len(self.concurrencies) + 2 * self.rounds
        return each_size * len(self.sizes) + self.rounds + 2


class Bench:
    """Makes the runs one after another, with a line of progress for each."""

    def __init__(self, lab: Lab, plan: Plan) -> None:
        self._lab = lab
        self._plan = plan
        self._steps = 0

    async def measure(self) -> Figures:
        """Measure everything in the plan."""
        cases = [case for size in self._plan.sizes for case in await self._cases(size)]
        restarted, repairs = await self._afterwards(max(self._plan.sizes))
        frequent = await self._frequent(min(self._plan.sizes))
        return Figures(
            cases=cases,
            repairs=repairs,
            restart=restarted,
            frequent=frequent,
            frequent_seconds=self._plan.frequent_seconds,
            imports=(_import_seconds(_OPERATOR_IMPORTS), _import_seconds(_LOOP_IMPORTS)),
        )

    async def _cases(self, size: int) -> list[Case]:
        """Cold starts of one size; of the smallest also with a slow AWS, beside the same bare loops."""
        concurrency = await self._best_concurrency(size)
        delays = [0.0, self._plan.delay] if size == min(self._plan.sizes) else [0.0]
        loops: list[LoopRun] = []
        operators: dict[float, list[OperatorRun]] = {delay: [] for delay in delays}
        for number in range(self._plan.rounds):
            loop_first = number % 2 == 0
            if loop_first:
                loops.append(await self._loop(size, concurrency))
            for delay in delays:
                operators[delay].append(await self._operator(size, delay))
            if not loop_first:
                loops.append(await self._loop(size, concurrency))
        return [
            Case(
                title=f"{size:,}, AWS takes {delay * 1000:.0f} ms" if delay else f"{size:,}",
                size=size,
                operator=operators[delay],
                loop=loops,
                concurrency=concurrency,
            )
            for delay in delays
        ]

    async def _best_concurrency(self, size: int) -> int:
        tried = {each: await self._loop(size, each) for each in self._plan.concurrencies}
        return min(tried, key=lambda each: tried[each].seconds)

    async def _loop(self, size: int, concurrency: int) -> LoopRun:
        async with field_of(self._lab.api, size) as field:
            run = await bare_loop(self._lab, field, concurrency)
        self._tell(f"bare loop, {size:,} resources, {concurrency} at a time: {run.seconds:.2f} s")
        return run

    async def _operator(self, size: int, delay: float) -> OperatorRun:
        await self._lab.aws.set_delay(delay)
        async with field_of(self._lab.api, size) as field, operator_at(self._lab, field) as running:
            run = await cold_start(self._lab, running, field, self._plan.settle)
        await self._lab.aws.set_delay(0)
        slow = f", AWS takes {delay * 1000:.0f} ms" if delay else ""
        self._tell(f"operator, {size:,} resources{slow}: {run.seconds:.2f} s")
        return run

    async def _afterwards(self, size: int) -> tuple[tuple[int, int], list[float]]:
        """What a restart costs, and how soon deleted Secrets are back."""
        plan = self._plan
        async with field_of(self._lab.api, size) as field:
            async with operator_at(self._lab, field) as running:
                await cold_start(self._lab, running, field, 0)
                repairs = [
                    await repair_seconds(self._lab, running, row) for row in field.rows[: plan.repairs]
                ]
            restarted = await restart(self._lab, field, plan.settle)
        self._tell(f"restart, {size:,} fresh Secrets: {restarted[0]} AWS calls, {restarted[1]} writes")
        return restarted, repairs

    async def _frequent(self, size: int) -> int:
        """AWS calls while every resource wants a new token each second."""
        async with (
            field_of(self._lab.api, size, frequency="1s") as field,
            operator_at(self._lab, field) as running,
        ):
            await running.tail.until(STATUSES, size)
            await asyncio.sleep(self._plan.frequent_seconds)
            calls = await self._lab.aws.calls() - running.aws_calls_before
        self._tell(f"{size:,} resources with frequency 1s: {calls} AWS calls")
        return calls

    def _tell(self, what: str) -> None:
        self._steps += 1
        print(f"{self._steps}/{self._plan.steps} {what}", file=sys.stderr, flush=True)


async def measure(plane: ControlPlane, plan: Plan) -> Figures:
    """Measure on a control plane that has the CRDs."""
    async with plane.api() as api, AwsProcess() as aws:
        return await Bench(Lab(plane=plane, api=api, aws=aws), plan).measure()


def _import_seconds(statement: str) -> float:
    """Time a Python that only imports, less one that does nothing: the best of five of each."""
    return min(_python_seconds(statement) for _ in range(5)) - min(_python_seconds("pass") for _ in range(5))


def _python_seconds(statement: str) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", statement], cwd=ROOT, check=True)
    return time.monotonic() - began


async def _install_and_measure(plane: ControlPlane, plan: Plan) -> Figures:
    async with plane.api() as api:
        await api.install_crds()
    return await measure(plane, plan)


def _sizes(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Start a control plane, measure, print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench", description="Measure the operator.")
    parser.add_argument("--sizes", type=_sizes, default=[200, 1000], help="default: 200,1000")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (default: 3)")
    options = parser.parse_args(arguments)
    print("Starting etcd, kube-apiserver and a local AWS…", file=sys.stderr)
    with ControlPlane() as plane:
        plan = Plan(sizes=options.sizes, rounds=options.rounds)
        figures = asyncio.run(_install_and_measure(plane, plan))
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    show(figures, console)


if __name__ == "__main__":
    main()
