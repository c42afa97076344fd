"""The benchmark: every row of the table is filled. No time is asserted: machines differ."""

import pytest

from lab.bench import ROWS, Plan, measure, print_table
from lab.control_plane import ControlPlane

SIZE = 20
MANY = f"{SIZE} namespaces"
PLAN = Plan(sizes=[SIZE], rounds=1, idle=0.5, effort=0.05)


async def test_counts_are_the_contracts_and_every_row_is_filled_and_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A control plane of its own: a ClusterSecret is served for all namespaces.
    with ControlPlane() as plane:
        table = await measure(plane, PLAN)
    calls, writes = table["GetAuthorizationToken, 4 regions"], dict(table["Writes per refresh"])
    assert calls == {"20, AWS 50 ms": "4", "20": "4", MANY: "1"}
    assert writes.pop(MANY).startswith("1 + ")
    assert writes == {"20, AWS 50 ms": "2", "20": "2"}
    assert table["Restart, all fresh: AWS calls, writes"] == {"20": "0, 0", MANY: "0, 0"}
    assert [row for row, cells in table.items() if not cells] == []
    print_table(table)
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[0].split()) == "Resources, over 4 regions 20, AWS 50 ms 20 20 namespaces contract"
    assert len(lines) == len(ROWS) + 1
