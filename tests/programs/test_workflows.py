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


def test_each_kind_of_mistake_is_found(lint: Lint, tmp_path: Path) -> None:
    file = Path(shutil.copy(WORKFLOWS / "test.yml", tmp_path))
    text = file.read_text()
    for right, wrong in (
        ("    runs-on: ", "    run-on: "),
        ("matrix.python }", "matrix.pyton }"),
        ("run: make check", "run: make $ARGS ${{ github.head_ref }}"),
    ):
        assert right in text
        text = text.replace(right, wrong)
    file.write_text(text)
    found = lint(tmp_path)
    for kind in ("[syntax-check]", "[expression]", "SC2086", "potentially untrusted"):
        assert kind in found
