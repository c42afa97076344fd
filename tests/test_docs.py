"""Documentation: tables match the code."""

from pathlib import Path

import pytest

from ecr_operator.api.outcome import MEANINGS, Reason
from ecr_operator.cli.rows import as_data
from ecr_operator.settings.flags import COMMANDS
from tests.cli.builders import NOW, row

_DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("reason", list(Reason))
def test_the_troubleshooting_table_has_every_reason_with_its_meaning(reason: Reason) -> None:
    lines = (_DOCS / "troubleshooting.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split("|") for line in lines if line.startswith(f"| `{reason}` |")]
    assert [row[2].strip() for row in rows] == [MEANINGS[reason]]


def _commands() -> str:
    return (_DOCS / "commands.md").read_text(encoding="utf-8")


def test_the_table_of_status_fields_matches_the_output_in_order() -> None:
    table = _commands().partition("| field |")[2].partition("\n\n")[0]
    names = [name for line in table.splitlines()[2:] for name in line.split("|")[1].split(",")]
    assert [name.strip(" `") for name in names] == list(as_data(row(), NOW))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_section(command: str) -> None:
    assert f"\n## {command}\n" in _commands()
