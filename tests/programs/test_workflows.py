"""actionlint, with shellcheck for the commands in it, accepts the workflows."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from lab import programs
from tests.programs.conftest import Program

WORKFLOWS: Final = Path(__file__).parents[2] / ".github" / "workflows"
SHELLCHECK: Final = Path(sys.executable).with_name("shellcheck")


def lint(program: Program, folder: Path) -> str:
    """Run actionlint on a folder's workflows; return a line for each fault."""
    files = sorted(folder.glob("*.y*ml"))
    assert files
    options = ["-oneline", "-no-color", "-shellcheck", str(SHELLCHECK), "-pyflakes="]
    command: list[str | Path] = [program(programs.ACTIONLINT), *options, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (int(bool(done.stdout)), "")
    return done.stdout


def test_the_workflows_have_no_fault(program: Program) -> None:
    assert lint(program, WORKFLOWS) == ""


def test_a_fault_in_a_command_is_found(program: Program, tmp_path: Path) -> None:
    file = Path(shutil.copy(WORKFLOWS / "test.yml", tmp_path))
    assert "run: make check" in file.read_text()
    file.write_text(file.read_text().replace("run: make check", "run: make $ARGS"))
    assert "SC2086" in lint(program, tmp_path)
