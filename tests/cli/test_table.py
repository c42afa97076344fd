"""The table of `status`."""

import io
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console

from ecr_operator.cli.rows import Row
from ecr_operator.cli.table import (
    Columns,
    PlainTable,
    drawing,
    next_refresh,
    remarks,
    summary,
    time_left,
)
from ecr_operator.cli.terminal import Marks
from tests.cli.builders import NOW, row

NARROW = Columns(namespaces=False, wide=False, messages=False)
WHOLE = Columns(namespaces=True, wide=True, messages=True)
MARKS = Marks(good="+", bad="x", optional="o", next=">", full="#", empty=".")
ROOMY = Columns(namespaces=False, wide=True, messages=False)
BAD = row(name="bad", state="Not ready", reason="AccessDenied", message="AWS denies it.", expires_at=None)


def test_the_columns_are_few_by_default() -> None:
    cells = ["ecrsecret/pull", "Ready", "Refreshed", "11h", "in 9h", "pull-login"]
    assert dict(zip(NARROW.names, NARROW.cells(row(), NOW), strict=True)) == {
        "RESOURCE": cells[0],
        "STATE": cells[1],
        "REASON": cells[2],
        "TIME LEFT": cells[3],
        "NEXT REFRESH": cells[4],
        "SECRET": cells[5],
    }


def test_wide_adds_registry_age_and_message_and_all_namespaces_their_names() -> None:
    cells = dict(zip(WHOLE.names, WHOLE.cells(BAD, NOW), strict=True))
    assert next(iter(cells)) == "NAMESPACE"
    assert list(cells)[-3:] == ["REGISTRY", "REFRESHED", "MESSAGE"]
    assert (cells["NAMESPACE"], cells["REGISTRY"], cells["REFRESHED"]) == ("team-a", "host", "1h ago")
    assert (cells["MESSAGE"], cells["TIME LEFT"]) == ("AWS denies it.", "-")


def test_an_argo_resource_is_named_as_kubectl_names_it() -> None:
    assert NARROW.cells(row(kind="ArgoHelmRepoSecret"), NOW)[0] == "argohelmrepo/pull"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"expires_at": None}, "", id="no token"),
        pytest.param({"expires_at": NOW}, "expired", id="dead in this second"),
        pytest.param({"expires_at": NOW + timedelta(minutes=5)}, "5m", id="alive"),
        pytest.param({"expires_at": NOW + timedelta(minutes=5), "estimated": True}, "~5m", id="reckoned"),
    ],
)
def test_the_time_left(fields: dict[str, Any], words: str) -> None:
    assert time_left(row(**fields), NOW) == words


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        pytest.param(None, "", id="unknown"),
        pytest.param(1, "in 1h", id="to come"),
        pytest.param(0, "now", id="now"),
        pytest.param(-0.05, "now", id="a little late"),
        pytest.param(-2, "overdue 2h", id="overdue"),
    ],
)
def test_the_next_refresh(hours: float | None, words: str) -> None:
    at = None if hours is None else NOW + timedelta(hours=hours)
    assert next_refresh(row(next_refresh_at=at), NOW) == words


def test_plain_columns_are_as_wide_as_needed_and_lines_end_with_their_text() -> None:
    lines = PlainTable(["A", "B"]).lines([["long", "x"], ["y", "z"]], with_names=True)
    assert lines == ["A      B", "long   x", "y      z"]


def test_later_lines_keep_the_widths_of_the_first_ones() -> None:
    table = PlainTable(["A", "B"])
    table.lines([["long", "x"]], with_names=True)
    assert table.lines([["y", "z"]], with_names=False) == ["y      z"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        pytest.param(NARROW, ["ecrsecret/bad: AWS denies it.", ""], id="below the table"),
        pytest.param(WHOLE, [], id="not where a column says it"),
    ],
)
def test_only_what_is_not_well_is_remarked_on(columns: Columns, said: list[str]) -> None:
    assert remarks([row(), BAD, row(reason="Suspended", message="Nothing is refreshed.")], columns) == said


def test_a_remark_names_the_namespace_where_there_are_several() -> None:
    several = Columns(namespaces=True, wide=False, messages=False)
    assert remarks([BAD], several)[0] == "team-a ecrsecret/bad: AWS denies it."


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        pytest.param([], "0 resources: none", id="none"),
        pytest.param([row()], "1 resource: 1 ready", id="one"),
        pytest.param(
            [row(), row(), BAD, row(state="Failing")],
            "4 resources: 2 ready, 1 failing, 1 not ready",
            id="all",
        ),
    ],
)
def test_the_summary_counts_states(rows: list[Row], words: str) -> None:
    assert summary(rows) == words


def test_the_drawing_has_bars_remarks_and_errors_and_takes_no_text_for_markup() -> None:
    file = io.StringIO()
    rows = [row(name="half", expires_at=NOW + timedelta(hours=1)), BAD, row(registry="[bold]x[/bold]")]
    Console(file=file, width=140, _environ={}).print(drawing(rows, NOW, MARKS, ROOMY, ["No server."]))
    shown = file.getvalue()
    assert "#####..... 1h" in shown
    assert "ecrsecret/bad: AWS denies it." in shown
    assert "[bold]x[/bold]" in shown
    assert "3 resources: 2 ready, 1 not ready" in shown
    assert shown.splitlines()[-1] == "No server."
