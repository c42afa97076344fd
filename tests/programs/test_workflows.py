"""actionlint, with shellcheck for the commands in it, finds nothing in the workflows."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from lab import programs
from tests.programs.conftest import Program

WORKFLOWS: Final = Path(__file__).parents[2] / ".github" / "workflows"
SHELLCHECK: Final = Path(sys.executable).with_name("shellcheck")

Lint = Callable[[Path], str]


@pytest.fixture
def lint(program: Program) -> Lint:
    """How to ask actionlint about a folder's workflows: nothing, or a line for each fault."""
    options = ["-oneline", "-no-color", "-shellcheck", str(SHELLCHECK), "-pyflakes="]

    def ask(folder: Path) -> str:
        files = sorted(folder.glob("*.y*ml"))
        assert files
        command: list[str | Path] = [program(programs.ACTIONLINT), *options, *files]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (int(bool(done.stdout)), "")
        return done.stdout

    return ask


def test_the_workflows_have_no_fault(lint: Lint) -> None:
    assert lint(WORKFLOWS) == ""


def test_a_fault_in_a_command_is_found(lint: Lint, tmp_path: Path) -> None:
    file = Path(shutil.copy(WORKFLOWS / "test.yml", tmp_path))
    assert "run: make check" in file.read_text()
    file.write_text(file.read_text().replace("run: make check", "run: make $ARGS"))
    assert "SC2086" in lint(tmp_path)
