"""The benchmark: every row of the table is filled. No time is asserted: machines differ."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.bench import ROWS, Plan, Table, measure, print_table
from lab.control_plane import ControlPlane

SIZE = 20
MANY = f"{SIZE} namespaces"
PLAN = Plan(sizes=[SIZE], rounds=1, idle=0.5, effort=0.05)


@pytest.fixture(scope="module")
def table() -> Table:
    # A control plane of its own: a ClusterSecret is served for all namespaces.
    # In a thread, because asyncio.run takes away the event loop that pytest-asyncio set.
    with ControlPlane() as plane, ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, measure(plane, PLAN)).result()


def test_counts_are_the_contracts(table: Table) -> None:
    calls, writes = table["GetAuthorizationToken, 4 regions"], table["Writes per refresh"]
    assert calls == {"20, AWS 50 ms": "4", "20": "4", MANY: "1"}
    assert writes.pop(MANY).startswith("1 + ")
    assert writes == {"20, AWS 50 ms": "2", "20": "2"}
    assert table["Restart, all fresh: AWS calls, writes"] == {"20": "0, 0", MANY: "0, 0"}
    for row, value in {
        "frequency 1s: AWS calls in 30 s": "4",
        "Tokens of 40 s: time with a live one, %": "100.0",
    }.items():
        assert table[row] == {"20": value}, row


def test_every_row_is_filled_and_printed(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    assert [row for row, cells in table.items() if not cells] == []
    print_table(table)
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[0].split()) == "Resources, over 4 regions 20, AWS 50 ms 20 20 namespaces contract"
    assert len(lines) == len(ROWS) + 1
