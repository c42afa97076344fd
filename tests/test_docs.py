"""The documents say what the code does."""

from pathlib import Path

import pytest

from ecr_operator.model.outcome import Reason

_DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_stands_in_the_troubleshooting_table(reason: Reason) -> None:
    rows = (_DOCS / "troubleshooting.md").read_text(encoding="utf-8").splitlines()
    assert any(row.startswith("|") and f"`{reason}`" in row.split("|")[1] for row in rows)
