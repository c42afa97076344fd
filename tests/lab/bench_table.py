"""The benchmark's figures as one table: a column for each case, a row for each figure, targets last."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.lab.audit import Request
from tests.lab.bench_audit import SECRETS_APPLIED, STATUSES
from tests.lab.bench_runs import LoopRun, OperatorRun

_MIB: Final = 2**20
_NONE: Final = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What was measured with one number of resources.

    Attributes:
        title: heads the column.
        size: number of resources.
        operator: every run of the operator.
        loop: every run of the bare loop, beside it.
        concurrency: how many writes at a time the bare loop was best with.
    """

    title: str
    size: int
    operator: Sequence[OperatorRun]
    loop: Sequence[LoopRun]
    concurrency: int

    @property
    def operator_seconds(self) -> float:
        """The operator's median."""
        return median(run.seconds for run in self.operator)

    @property
    def loop_seconds(self) -> float:
        """The bare loop's median, from the start of its process."""
        return median(run.seconds for run in self.loop)

    @property
    def loop_without_start(self) -> float:
        """The bare loop's median, from when its imports were done."""
        return median(run.without_start for run in self.loop)

    @property
    def cpu(self) -> tuple[float, float]:
        """Processor time of the operator and of the bare loop, medians."""
        return median(run.cpu for run in self.operator), median(run.cpu for run in self.loop)

    @property
    def share(self) -> float:
        """What share of the bare loop's speed the operator reaches; 1 is the same speed."""
        return self.loop_seconds / self.operator_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All that was measured.

    Attributes:
        cases: the cold starts.
        repairs: seconds, one for each deleted Secret.
        restart: AWS calls and writes of a start with everything fresh.
        frequent: AWS calls in `frequent_seconds` from resources with `frequency: 1s`, their first included.
        frequent_seconds: how long these were watched.
        imports: seconds that Python needs to import the operator's and the loop's libraries.
    """

    cases: Sequence[Case]
    repairs: Sequence[float]
    restart: tuple[int, int]
    frequent: int
    frequent_seconds: float
    imports: tuple[float, float]


def show(figures: Figures, console: Console) -> None:
    """Print everything as one table."""
    cases = figures.cases
    rounds = len(cases[0].operator)
    table = Table(title=f"The operator beside a bare loop of the same writes (medians of {rounds})")
    table.add_column("Resources, over 4 regions")
    for case in cases:
        table.add_column(case.title, justify="right")
    table.add_column("Target", justify="right")
    for section in (_speed(cases), _requests(cases), _idle(cases), _afterwards(figures)):
        for row in section:
            table.add_row(*row)
        table.add_section()
    console.print(table)
    operator, loop = figures.imports
    console.print(f"Importing its libraries takes the operator {operator:.2f} s, the bare loop {loop:.2f} s.")


def _speed(cases: Sequence[Case]) -> list[list[str]]:
    return [
        _row(cases, "Operator, process start to all live, s", lambda case: f"{case.operator_seconds:.2f}"),
        _row(cases, "Bare loop, the same, s", lambda case: f"{case.loop_seconds:.2f}"),
        _row(cases, "Share of the bare loop, %", lambda case: f"{case.share:.0%}"[:-1], "60"),
        _row(cases, "Bare loop without its start, s", lambda case: f"{case.loop_without_start:.2f}"),
        _row(cases, "Processor time of operator, loop, s", lambda case: "{:.1f}, {:.1f}".format(*case.cpu)),
        _row(cases, "Bare loop's best concurrency", lambda case: str(case.concurrency)),
    ]


def _requests(cases: Sequence[Case]) -> list[list[str]]:
    """A row for AWS and for each verb and resource of the API server; the most of any run."""
    seen = {request for case in cases for run in case.operator for request in run.requests}
    rows = [_row(cases, "AWS calls", lambda case: str(max(run.aws_calls for run in case.operator)), "4")]
    for request in sorted(seen, key=lambda request: (request.verb != "patch", request)):
        target = "1 per resource" if request in (SECRETS_APPLIED, STATUSES) else ""
        rows.append(_row(cases, _worded(request), partial(_most, request), target))
    return rows


def _idle(cases: Sequence[Case]) -> list[list[str]]:
    return [
        _row(cases, "Resident after the work, MiB", lambda case: _mib(case, "resident"), "110"),
        _row(cases, "Resident at most, MiB", lambda case: _mib(case, "peak")),
        _row(cases, "A scrape, processor time, ms", _scrape, "50"),
    ]


def _afterwards(figures: Figures) -> list[list[str]]:
    """What was measured once: with `frequency: 1s` at the smallest size, the rest at the largest."""
    calls, writes = figures.restart
    frequent = f"AWS calls in {figures.frequent_seconds:.0f} s at frequency: 1s"
    between = [""] * (len(figures.cases) - 1)
    return [
        [frequent, str(figures.frequent), *between, "4 every 5 min"],
        ["Restart, all fresh: AWS calls, writes", *between, f"{calls}, {writes}", "0, 0"],
        ["Deleted Secret is back after, s (worst)", *between, f"{max(figures.repairs):.2f}", "1"],
    ]


def _row(cases: Sequence[Case], title: str, cell: Callable[[Case], str], target: str = "") -> list[str]:
    return [title, *map(cell, cases), target]


def _worded(request: Request) -> str:
    resource = request.resource.replace(".ecr.mobb.redhat.com", ".ecr")
    return f"API: {request.verb} {resource}{request.subresource and '/' + request.subresource}"


def _most(request: Request, case: Case) -> str:
    return str(max(run.requests[request] for run in case.operator))


def _mib(case: Case, figure: str) -> str:
    most: int = max(getattr(run, figure) for run in case.operator)
    return f"{most / _MIB:.0f}" if most else _NONE


def _scrape(case: Case) -> str:
    most = max(run.scrape for run in case.operator)
    return f"{most * 1000:.0f}" if most else _NONE
