"""The benchmark: everything is counted and shown. No time is held against anything: machines differ."""

import asyncio
import io
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from rich.console import Console

from lab.api import SECRETS, Api, Json
from lab.audit import Request
from lab.bench import measure
from lab.bench_audit import SECRETS_APPLIED, STATUSES, AuditTail
from lab.bench_field import field_of
from lab.bench_figures import Figures, Plan
from lab.bench_loops import bare_loop
from lab.bench_runs import Lab, cold_start, operator_at
from lab.bench_stage import AwsProcess
from lab.bench_table import show
from lab.control_plane import ControlPlane

SIZE = 20
PLAN = Plan(
    sizes=[SIZE],
    rounds=1,
    concurrencies=[4],
    settle=0.3,
    quiet=0.5,
    frequent=1,
    repairs=1,
    strangers=5,
    lives=1,
    imports=1,
)


@pytest.fixture(scope="module")
def figures(control_plane: ControlPlane) -> Figures:
    # In a thread, because asyncio.run takes away the event loop that pytest-asyncio set.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, measure(control_plane, PLAN)).result()


def test_each_cold_start_takes_one_aws_call_per_region(figures: Figures) -> None:
    assert [run.aws_calls for case in figures.cases for run in case.operator] == [4, 4]


def test_each_resource_takes_exactly_two_writes(figures: Figures) -> None:
    for case in figures.cases:
        (run,) = case.operator
        assert writes(run.requests) == {SECRETS_APPLIED: SIZE, STATUSES: SIZE}


def test_a_restart_with_everything_fresh_takes_nothing(figures: Figures) -> None:
    rests = [case.rest for case in figures.cases if case.rest]
    assert [(rest.aws_calls, rest.writes) for rest in rests] == [(0, 0)]


def test_two_replicas_are_replaced_at_no_cost(figures: Figures) -> None:
    rolling = figures.once.rolling
    assert (rolling.aws_calls, rolling.writes) == (0, 0)
    assert len(rolling.takeovers) >= 1


def test_tokens_that_die_soon_are_seen_alive(figures: Figures) -> None:
    assert (figures.lives.share, figures.lives.aws_calls) == (1, 4)


def test_resources_that_want_a_token_each_second_stay_within_the_bound(figures: Figures) -> None:
    assert figures.frequent == 4


def test_every_figure_is_there(figures: Figures) -> None:
    for case in figures.cases:
        assert case.share > 0
        assert min(*case.cpu, case.loop_without_start, *(run.resident for run in case.operator)) > 0
        assert min(run.scrape for run in case.operator) > 0
        assert min(*case.first_write, case.operator_seconds - case.first_write[0]) > 0
    assert min(*figures.once.repairs.deleted, *figures.once.repairs.edited) > 0
    starts = figures.starts
    assert min(*starts.imports, *starts.imports_uncompiled, starts.first_write_uncompiled) > 0


def test_the_table_names_what_was_measured_and_the_targets(figures: Figures) -> None:
    page = io.StringIO()
    show(figures, Console(file=page, width=110))
    shown = page.getvalue()
    for words in (
        "20, AWS 50 ms",
        "Share of the bare loop",
        "API: patch secrets.ecr/status",
        "Resident",
        "110",
        "A scrape",
        "Restart",
        "at rest",
        "foreign Secrets",
        "Two replicas",
        "bytecode",
    ):
        assert words in shown
    assert "…" not in shown


async def test_operator_and_loop_write_alike(control_plane: ControlPlane, api: Api) -> None:
    async with AwsProcess() as aws, field_of(api, 4) as ours, field_of(api, 4) as theirs:
        lab = Lab(plane=control_plane, api=api, aws=aws)
        async with operator_at(lab, ours) as running:
            await cold_start(lab, running, ours, 0)
        await bare_loop(lab, theirs, 2)
        for mine, other in zip(
            await api.list(SECRETS, ours.namespace), await api.list(SECRETS, theirs.namespace), strict=True
        ):
            assert form(mine) == form(other)
            assert size(mine) == pytest.approx(size(other), rel=0.03)  # tokens differ in length


async def test_the_tail_counts_one_user_alone(control_plane: ControlPlane, api: Api) -> None:
    admin = AuditTail(control_plane.audit_log, "admin")
    nobody = AuditTail(control_plane.audit_log, "nobody")
    async with field_of(api, 3):
        await admin.until(Request("create", "secrets.ecr.mobb.redhat.com", ""), 3)
    nobody.read()
    assert not nobody.requests
    assert admin.last_write > 0


def writes(requests: Counter[Request]) -> dict[Request, int]:
    return {
        request: count for request, count in requests.items() if request.verb not in {"get", "list", "watch"}
    }


def form(secret: Json) -> Json:
    """What a Secret is made of, without what must differ."""
    metadata = secret["metadata"]
    return {
        "type": secret["type"],
        "data": sorted(secret["data"]),
        "labels": metadata["labels"],
        "annotations": sorted(metadata["annotations"]),
        "owner": {key: value for key, value in metadata["ownerReferences"][0].items() if key != "uid"},
    }


def size(secret: Json) -> int:
    return sum(len(value) for value in secret["data"].values())
