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
def test_the_check_accepts_what_is_made_and_names_what_is_edited_or_missing(
    name: str, tmp_path: Path
) -> None:
    files = MADE[name]
    assert stale(files, ROOT) == [], f"run make {name}"
    write(files, tmp_path)
    assert _check(name, tmp_path) == (0, "")
    for spoil in (_edit, Path.unlink):
        victim = min(files)
        spoil(tmp_path / victim)
        message = f"{victim} is not what its sources make: run `make {name}`.\n"
        assert _check(name, tmp_path) == (1, message)


def _edit(path: Path) -> None:
    path.write_text("edited")


def _check(name: str, folder: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", f"tools.{name}", "--check"]
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr
