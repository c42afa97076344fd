"""Packages: what pip says when it can't install them."""

import os
import subprocess
import sys
from pathlib import Path

from lab.processes import ROOT


def test_packages_that_cannot_be_installed_end_with_pips_reason_and_exit_code(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n")
    done = subprocess.run(
        [sys.executable, "-m", "lab.packages", tmp_path / "lock"],
        cwd=ROOT,
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Installing the locked packages; usually a minute…" in done.stderr
    assert "No matching distribution found for no-such-package==1.0" in done.stderr
