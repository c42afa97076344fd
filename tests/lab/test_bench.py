"""The benchmark: every row of the table is filled. No time is asserted: machines differ."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.api import SECRETS, Api, Json
from lab.aws import LocalAws
from lab.bench import ROWS, Plan, Table, measure, print_table
from lab.bench_runs import LIMIT, STATUSES, Lab, bare_loop, field_of, operator_at
from lab.control_plane import ControlPlane

SIZE = 20
PLAN = Plan(sizes=[SIZE], rounds=1, settle=0.3, idle=0.5, frequent=1, lives=1, foreign=5)


@pytest.fixture(scope="module")
def table(control_plane: ControlPlane) -> Table:
    # In a thread, because asyncio.run takes away the event loop that pytest-asyncio set.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, measure(control_plane, PLAN)).result()


def test_counts_are_the_contracts(table: Table) -> None:
    assert table["GetAuthorizationToken, 4 regions"] == {"20, AWS 50 ms": "4", "20": "4"}
    assert table["Writes per refresh"] == {"20, AWS 50 ms": "2", "20": "2"}
    for row, value in {
        "Restart, all fresh: AWS calls, writes": "0, 0",
        "frequency 1s: AWS calls in 30 s": "4",
        "Tokens of 40 s: time with a live one, %": "100.0",
    }.items():
        assert table[row] == {"20": value}, row


def test_every_row_is_filled_and_printed(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    assert [row for row, cells in table.items() if not cells] == []
    print_table(table)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "Resources,",
        "over",
        "4",
        "regions",
        "20,",
        "AWS",
        "50",
        "ms",
        "20",
        "contract",
    ]
    assert len(lines) == len(ROWS) + 1


async def test_operator_and_loop_write_alike(control_plane: ControlPlane, api: Api) -> None:
    async with LocalAws() as aws, field_of(api, 4) as ours, field_of(api, 4) as theirs:
        lab = Lab(plane=control_plane, api=api, aws=aws, settle=0.1)
        async with operator_at(lab, ours[0]["namespace"]) as running:
            await running.tail.until(STATUSES, 4, LIMIT)
        await bare_loop(lab, theirs)
        mine, other = [await api.list(SECRETS, rows[0]["namespace"]) for rows in (ours, theirs)]
    assert list(map(_form, mine)) == list(map(_form, other))
    # Tokens differ in length.
    assert sum(map(_size, mine)) == pytest.approx(sum(map(_size, other)), rel=0.03)


def _form(secret: Json) -> Json:
    """What a Secret is made of, without what must differ."""
    metadata = secret["metadata"]
    return {
        "type": secret["type"],
        "data": sorted(secret["data"]),
        "labels": metadata["labels"],
        "annotations": sorted(metadata["annotations"]),
        "owner": {key: value for key, value in metadata["ownerReferences"][0].items() if key != "uid"},
    }


def _size(secret: Json) -> int:
    return sum(len(value) for value in secret["data"].values())
