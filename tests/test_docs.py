"""The documents say what the code does."""

from pathlib import Path

import pytest

from ecr_operator.model.outcome import MEANINGS, Reason

_DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_stands_in_the_troubleshooting_table_with_its_meaning(reason: Reason) -> None:
    lines = (_DOCS / "troubleshooting.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split("|") for line in lines if line.startswith(f"| `{reason}` |")]
    assert [row[2].strip() for row in rows] == [MEANINGS[reason]]
