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


def test_nothing_is_found_in_the_workflows(lint: Lint) -> None:
    assert lint(WORKFLOWS) == ""


@pytest.mark.parametrize(
    ("right", "wrong", "found"),
    [
        pytest.param("    runs-on: ", "    run-on: ", "[syntax-check]", id="a key that does not exist"),
        pytest.param("matrix.python }", "matrix.pyton }", "[expression]", id="a property that nobody sets"),
        pytest.param("run: make check", "run: make $ARGS", "SC2086", id="a variable without quotes"),
        pytest.param(
            "run: make check",
            "run: echo ${{ github.head_ref }}",
            "potentially untrusted",
            id="what strangers write, in a command",
        ),
    ],
)
def test_what_is_wrong_is_found(lint: Lint, tmp_path: Path, right: str, wrong: str, found: str) -> None:
    file = Path(shutil.copy(WORKFLOWS / "test.yml", tmp_path))
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, wrong))
    assert found in lint(tmp_path)
