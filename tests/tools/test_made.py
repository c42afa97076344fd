"""Files that tools make: what is edited, missing or no longer made is noticed; `make check` looks at all."""

import subprocess
import sys
from pathlib import Path

from tools import ROOT, crds, stale, write

MADE = crds.render()
CHECK = [sys.executable, "-m", "tools.crds", "--check"]


def test_the_check_names_each_file_that_is_edited_or_missing(tmp_path: Path) -> None:
    write(MADE, tmp_path)
    edited, missing, _ = sorted(MADE)
    (tmp_path / edited).write_text("edited")
    (tmp_path / missing).unlink()
    env = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(CHECK, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    message = "{} is not what its sources make: run `make crds`.\n"
    assert (done.returncode, done.stderr) == (1, message.format(edited) + message.format(missing))


def test_a_file_that_is_no_longer_made_is_stale_and_removed(tmp_path: Path) -> None:
    (folder,) = {str(Path(path).parent) for path in MADE}
    write(MADE, tmp_path)
    (tmp_path / folder / "old.yaml").write_text("left")
    assert stale(MADE, tmp_path, [folder]) == [f"{folder}/old.yaml"]
    write(MADE, tmp_path, [folder])
    assert stale(MADE, tmp_path, [folder]) == []
