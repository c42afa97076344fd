"""`make bench`: how fast and how cheap the operator is, beside a bare loop of the same writes.

Nothing is asserted here: times depend on the machine, so only figures of one run may be compared. The order
of operator and loop changes from round to round, so that neither always meets the fresher server.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console

from lab.bench_audit import STATUSES
from lab.bench_field import Field, field_of
from lab.bench_figures import Case, Figures, Once, Plan
from lab.bench_lives import Lives, short_lives
from lab.bench_loops import LoopRun, bare_loop
from lab.bench_replicas import rolling_restart
from lab.bench_rest import Repairs, Rest, repairs, rest, strangers
from lab.bench_runs import Lab, OperatorRun, cold_start, operator_at
from lab.bench_stage import AwsProcess
from lab.bench_start import Starts, starts
from lab.bench_table import show
from lab.control_plane import ControlPlane

_WIDTH: Final = 110
_MIB: Final = 2**20
_SHORT_LIVED: Final = 4


class Bench:
    """Makes the runs one after another, with a line of progress for each."""

    def __init__(self, lab: Lab, plan: Plan) -> None:
        self._lab = lab
        self._plan = plan
        self._steps = 0
        self._concurrency = plan.concurrencies[0]
        self._rests: dict[int, Rest] = {}
        self._once: Once | None = None

    async def measure(self) -> Figures:
        """Measure everything in the plan."""
        cases = [case for size in self._plan.sizes for case in await self._cases(size)]
        frequent, lives, begun = await self._frequent(), await self._lives(), await self._starts()
        if self._once is None:
            raise RuntimeError("the main size is not among the sizes")
        return Figures(
            plan=self._plan, cases=cases, once=self._once, frequent=frequent, lives=lives, starts=begun
        )

    async def _cases(self, size: int) -> list[Case]:
        """Cold starts of one size; of the smallest also with a slow AWS, beside the same bare loops."""
        if self._plan.searches(size):
            self._concurrency = await self._best_concurrency(size)
        delays = [self._plan.delay, 0.0] if size == self._plan.least else [0.0]
        loops: list[LoopRun] = []
        operators: dict[float, list[OperatorRun]] = {delay: [] for delay in delays}
        rounds = self._plan.rounds_of(size)
        for number in range(rounds):
            loop_first = number % 2 == 0
            if loop_first:
                loops.append(await self._loop(size, self._concurrency))
            for delay in delays:
                last = number == rounds - 1 and not delay
                operators[delay].append(await self._operator(size, delay, last=last))
            if not loop_first:
                loops.append(await self._loop(size, self._concurrency))
        return [
            Case(
                title=f"{size:,}, AWS {delay * 1000:.0f} ms" if delay else f"{size:,}",
                size=size,
                operator=operators[delay],
                loop=loops,
                concurrency=self._concurrency,
                rest=None if delay else self._rests[size],
            )
            for delay in reversed(delays)
        ]

    async def _best_concurrency(self, size: int) -> int:
        tried = {each: await self._loop(size, each) for each in self._plan.concurrencies}
        return min(tried, key=lambda each: tried[each].seconds)

    async def _loop(self, size: int, concurrency: int) -> LoopRun:
        async with field_of(self._lab.api, size) as field:
            run = await bare_loop(self._lab, field, concurrency)
        self._tell(f"bare loop, {size:,} resources, {concurrency} at a time: {run.seconds:.2f} s")
        return run

    async def _operator(self, size: int, delay: float, *, last: bool) -> OperatorRun:
        """A cold start; after the last of a size also what there is to see where everything is fresh."""
        mended: Repairs | None = None
        await self._lab.aws.change(delay=delay)
        async with field_of(self._lab.api, size) as field:
            async with operator_at(self._lab, field) as running:
                run = await cold_start(self._lab, running, field, self._plan.settle)
                slow = f", AWS takes {delay * 1000:.0f} ms" if delay else ""
                self._tell(f"operator, {size:,} resources{slow}: {run.seconds:.2f} s")
                await self._lab.aws.change(delay=0.0)
                if last and size == self._plan.main:
                    mended = await repairs(self._lab, running, field, self._plan.repairs)
                    self._tell(f"repairs: {max(mended.deleted):.2f} s, {max(mended.edited):.2f} s")
            if last:
                self._rests[size] = await self._rest(field)
            if mended:
                self._once = await self._main(field, mended)
        return run

    async def _rest(self, field: Field) -> Rest:
        seen = await rest(self._lab, field, self._plan.settle, self._plan.quiet)
        self._tell(
            f"restart, {len(field.rows):,} fresh Secrets: {seen.aws_calls} AWS calls, {seen.writes} writes;"
            f" then {seen.cpu / seen.seconds:.2%} of a core"
        )
        return seen

    async def _main(self, field: Field, mended: Repairs) -> Once:
        plan = self._plan
        beside = await strangers(self._lab, field, plan.settle, plan.strangers)
        self._tell(f"{plan.strangers:,} foreign Secrets of 40 kB: {beside.starting / _MIB:+.1f} MiB")
        rolling = await rolling_restart(self._lab, field, plan.settle)
        self._tell(f"two replicas replaced: {rolling.aws_calls} AWS calls, {rolling.writes} writes")
        return Once(repairs=mended, strangers=beside, rolling=rolling)

    async def _frequent(self) -> int:
        """AWS calls while every resource wants a new token each second."""
        size = self._plan.least
        async with (
            field_of(self._lab.api, size, frequency="1s") as field,
            operator_at(self._lab, field) as running,
        ):
            await running.tail.until(STATUSES, size)
            await asyncio.sleep(self._plan.frequent)
            calls = await self._lab.aws.calls() - running.aws_calls_before
        self._tell(f"{size:,} resources with frequency 1s: {calls} AWS calls")
        return calls

    async def _lives(self) -> Lives:
        async with field_of(self._lab.api, _SHORT_LIVED) as field:
            seen = await short_lives(self._lab, field, self._plan.life, self._plan.lives)
        self._tell(f"tokens that live {seen.life:g} s: alive {seen.share:.2%} of {seen.seconds:.0f} s")
        return seen

    async def _starts(self) -> Starts:
        async with field_of(self._lab.api, self._plan.least) as field:
            begun = await starts(self._lab, field, self._plan.imports)
        self._tell(f"imports: {begun.imports[0]:.2f} s, without bytecode {begun.imports_uncompiled[0]:.2f} s")
        return begun

    def _tell(self, what: str) -> None:
        self._steps += 1
        print(f"{self._steps}/{self._plan.steps} {what}", file=sys.stderr, flush=True)


async def measure(plane: ControlPlane, plan: Plan) -> Figures:
    """Measure on a control plane that has the CRDs."""
    async with plane.api() as api, AwsProcess() as aws:
        return await Bench(Lab(plane=plane, api=api, aws=aws), plan).measure()


async def _install_and_measure(plane: ControlPlane, plan: Plan) -> Figures:
    async with plane.api() as api:
        await api.install_crds()
    return await measure(plane, plan)


def _sizes(text: str) -> list[int]:
    return sorted(int(part) for part in text.split(","))


def main(arguments: Sequence[str] | None = None) -> None:
    """Start a control plane, measure, print the table."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench", description="Measure the operator.")
    parser.add_argument("--sizes", type=_sizes, default=Plan().sizes, help="default: 200,1000,10000")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each up to 1,000 (default: 3)")
    parser.add_argument("--quiet", type=float, default=60, help="seconds at rest (default: 60)")
    options = parser.parse_args(arguments)
    print("Starting etcd, kube-apiserver and a local AWS…", file=sys.stderr)
    with ControlPlane() as plane:
        plan = Plan(sizes=options.sizes, rounds=options.rounds, quiet=options.quiet)
        figures = asyncio.run(_install_and_measure(plane, plan))
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    show(figures, console)


if __name__ == "__main__":
    main()
