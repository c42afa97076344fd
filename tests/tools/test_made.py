"""Files that tools make: what is committed is what they make, and an edited or missing one is noticed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools import ROOT, argocd, crds, reference, stale, write

MADE = {
    "argocd": argocd.render(),
    "crds": crds.render(),
    "reference": {"docs/reference.md": reference.render()},
}


@pytest.mark.parametrize("name", MADE)
def test_what_is_committed_is_what_the_tool_makes(name: str) -> None:
    assert stale(MADE[name], ROOT) == [], f"run make {name}"


def test_the_check_names_each_file_that_is_edited_or_missing(tmp_path: Path) -> None:
    write(MADE["crds"], tmp_path)
    edited, missing, _ = sorted(MADE["crds"])
    (tmp_path / edited).write_text("edited")
    (tmp_path / missing).unlink()
    command = [sys.executable, "-m", "tools.crds", "--check"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    message = "{} is not what its sources make: run `make crds`.\n"
    assert (done.returncode, done.stderr) == (1, message.format(edited) + message.format(missing))
