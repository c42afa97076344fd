"""The benchmark's figures as one table: a column for each case, a row for each figure, targets last."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from rich.console import Console
from rich.table import Table

from lab.audit import Request
from lab.bench_audit import SECRETS_APPLIED, STATUSES, is_of_lease
from lab.bench_figures import Case, Figures
from lab.bench_rest import Rest

_MIB: Final = 2**20
_KIB: Final = 2**10
_NONE: Final = "-"


def show(figures: Figures, console: Console) -> None:
    """Print everything as one table."""
    cases = figures.cases
    table = Table(title=_title(figures))
    table.add_column("Resources, over 4 regions", no_wrap=True)
    for case in cases:
        table.add_column(case.title, justify="right")
    table.add_column("Target", justify="right")
    sections = (
        _speed(cases),
        _start(figures),
        _requests(cases),
        _memory(figures),
        _at_rest(cases),
        _aws(figures),
        _main(figures),
    )
    for section in sections:
        for row in section:
            table.add_row(*row)
        table.add_section()
    console.print(table)


def _title(figures: Figures) -> str:
    plan = figures.plan
    single = [f"{size:,}" for size in plan.sizes if plan.rounds_of(size) < plan.rounds]
    once = f", {' and '.join(single)} once" if single else ""
    return f"The operator beside a bare loop of the same writes (medians of {plan.rounds}{once})"


def _speed(cases: Sequence[Case]) -> list[list[str]]:
    return [
        _row(cases, "Operator, process start to all live, s", lambda case: f"{case.operator_seconds:.2f}"),
        _row(cases, "Bare loop, the same, s", lambda case: f"{case.loop_seconds:.2f}"),
        _row(cases, "Share of the bare loop, %", lambda case: f"{case.share:.0%}"[:-1], "60, then 80"),
        _row(cases, "Bare loop without its start, s", lambda case: f"{case.loop_without_start:.2f}"),
        _row(cases, "Bare loop's best concurrency", lambda case: str(case.concurrency)),
        _row(cases, "Processor time: operator, loop, s", lambda case: _pair(case.cpu, 1)),
        _row(cases, "  ratio", lambda case: _ratio(case.cpu)),
        _row(cases, "Start to first write: operator, loop, s", lambda case: _pair(case.first_write)),
        _row(cases, "  ratio", lambda case: _ratio(case.first_write)),
    ]


def _start(figures: Figures) -> list[list[str]]:
    starts, least = figures.starts, figures.plan.least
    single = partial(_single, figures.cases, least)
    _, loop = figures.cases[0].first_write
    return [
        single("Imports: operator, loop, s", _pair(starts.imports)),
        single("  ratio", _ratio(starts.imports)),
        single("Imports without bytecode, s", _pair(starts.imports_uncompiled)),
        single("  ratio", _ratio(starts.imports_uncompiled)),
        single("First write without bytecode, s", f"{starts.first_write_uncompiled:.2f}"),
        single("  ratio to the loop with it", _ratio((starts.first_write_uncompiled, loop))),
    ]


def _requests(cases: Sequence[Case]) -> Iterator[list[str]]:
    """A row for AWS and for each verb and resource of the API server; the most of any run."""
    seen = {request for case in cases for run in case.operator for request in run.requests}
    yield _row(
        cases, "GetAuthorizationToken", lambda case: str(max(run.aws_calls for run in case.operator)), "4"
    )
    yield _row(cases, "Writes per refresh", _writes_each, "2")
    for request in sorted(seen, key=lambda request: (request.verb != "patch", request)):
        yield _row(cases, _worded(request), partial(_most, request))


def _memory(figures: Figures) -> list[list[str]]:
    cases = figures.cases
    return [
        _row(cases, "Resident after the work, MiB", lambda case: _mib(case.resident), "110 at 1,000"),
        _row(cases, "Resident at most, MiB", lambda case: _mib(max(run.peak for run in case.operator))),
        _rest_row(cases, "Resident after a restart, MiB", lambda rest: _mib(rest.resident)),
        _row(cases, "Each more resource than the fewest, KiB", partial(_slope, cases[0])),
        _single(
            cases,
            figures.plan.main,
            f"{figures.plan.strangers:,} foreign Secrets: running, at start, MiB",
            f"{figures.once.strangers.running / _MIB:+.1f}, {figures.once.strangers.starting / _MIB:+.1f}",
            "0",
        ),
        _row(cases, "A scrape, processor time, ms", _milliseconds, "50 at 1,000"),
    ]


def _at_rest(cases: Sequence[Case]) -> list[list[str]]:
    seconds = next(case.rest.seconds for case in cases if case.rest)
    return [
        _rest_row(
            cases,
            "Restart, all fresh: AWS calls, writes",
            lambda rest: f"{rest.aws_calls}, {rest.writes}",
            "0, 0",
        ),
        _rest_row(cases, "  processor time, s", lambda rest: f"{rest.start_cpu:.1f}"),
        _rest_row(
            cases,
            f"{seconds:.0f} s at rest: share of a core, %",
            lambda rest: f"{rest.cpu / rest.seconds:.2%}"[:-1],
            "1",
        ),
        _rest_row(cases, "  requests: watches, Lease, others", _kinds, "others 0"),
    ]


def _aws(figures: Figures) -> list[list[str]]:
    plan, lives = figures.plan, figures.lives
    single = partial(_single, figures.cases, plan.least)
    return [
        single(f"frequency: 1s, AWS calls in {plan.frequent:.0f} s", str(figures.frequent), "4 every 5 min"),
        single(f"{lives.life:.0f} s tokens (4 Secrets): alive, %", f"{lives.share:.2%}"[:-1], "100"),
        single(f"  AWS calls in {lives.seconds:.0f} s", str(lives.aws_calls)),
    ]


def _main(figures: Figures) -> list[list[str]]:
    single = partial(_single, figures.cases, figures.plan.main)
    mended, rolling = figures.once.repairs, figures.once.rolling
    worst = (max(mended.deleted), max(mended.edited))
    return [
        single("Deleted, edited Secret right after, s", _pair(worst), "1"),
        single("Two replicas replaced: AWS calls, writes", f"{rolling.aws_calls}, {rolling.writes}", "0, 0"),
        single("  without a leader, s (worst)", f"{max(rolling.takeovers):.1f}", "2"),
    ]


def _row(cases: Sequence[Case], title: str, cell: Callable[[Case], str], target: str = "") -> list[str]:
    return [title, *map(cell, cases), target]


def _rest_row(cases: Sequence[Case], title: str, cell: Callable[[Rest], str], target: str = "") -> list[str]:
    return _row(cases, title, lambda case: cell(case.rest) if case.rest else "", target)


def _single(cases: Sequence[Case], size: int, title: str, cell: str, target: str = "") -> list[str]:
    """A figure of one case: that of the size in which AWS is fast."""
    return _row(cases, title, lambda case: cell if case.size == size and case.rest else "", target)


def _pair(figures: tuple[float, float], digits: int = 2) -> str:
    return ", ".join(f"{figure:.{digits}f}" for figure in figures)


def _ratio(figures: tuple[float, float]) -> str:
    return f"{figures[0] / figures[1]:.2f}"


def _worded(request: Request) -> str:
    resource = request.resource.replace(".ecr.mobb.redhat.com", ".ecr")
    return f"API: {request.verb} {resource}{request.subresource and '/' + request.subresource}"


def _most(request: Request, case: Case) -> str:
    return str(max(run.requests[request] for run in case.operator))


def _writes_each(case: Case) -> str:
    most = max(run.requests[SECRETS_APPLIED] + run.requests[STATUSES] for run in case.operator)
    return f"{most / case.size:g}"


def _kinds(rest: Rest) -> str:
    watches = sum(count for request, count in rest.requests.items() if request.verb == "watch")
    leases = sum(count for request, count in rest.requests.items() if is_of_lease(request))
    return f"{watches}, {leases}, {rest.requests.total() - watches - leases}"


def _slope(fewest: Case, case: Case) -> str:
    more = case.size - fewest.size
    return f"{(case.resident - fewest.resident) / more / _KIB:.1f}" if more else ""


def _mib(amount: int) -> str:
    return f"{amount / _MIB:.0f}" if amount else _NONE


def _milliseconds(case: Case) -> str:
    most = max(run.scrape for run in case.operator)
    return f"{most * 1000:.0f}" if most else _NONE
