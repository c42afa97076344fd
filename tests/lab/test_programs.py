"""The command that gets other people's programs: what it prints, and how it says no."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from lab import cache, programs
from tests.lab.scripts import ROOT

TOOLS, MODULES = ROOT / "tools", ROOT / "lab/modules"


def _hash(*files: Path) -> str:
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


VALIDATORS = _hash(TOOLS / "bundle_validators/main.go", TOOLS / "bundle_validators/go.sum")
KEYRING = _hash(TOOLS / "kubelet_keyring/main.go", MODULES / "kubernetes-1.36.3/go.sum")
FROM_GO = {
    "distribution-3.1.2": ("registry",),
    "helm-4.3.1": ("helm",),
    "prometheus-0.315.1": ("prometheus", "promtool"),
    "actionlint-1.7.12": ("actionlint",),
    f"bundle-validators-{VALIDATORS}": ("bundle_validators",),
    f"kubelet-keyring-{KEYRING}": ("kubelet_keyring",),
}


def _run(*arguments: str, path: Path, cached: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lab.programs", *arguments],
        cwd=ROOT,
        env={"PATH": str(path), "HOME": os.environ["HOME"], "XDG_CACHE_HOME": str(cached)},
        capture_output=True,
        text=True,
        check=False,
    )


def _put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch(mode=0o755)
    return folder


def test_what_is_there_is_named_and_nothing_is_fetched(tmp_path: Path) -> None:
    path = _put(tmp_path / "bin", "skopeo")
    places = {"skopeo": path}
    for folder, names in FROM_GO.items():
        place = tmp_path / "ecr-secret-operator" / "programs" / cache.folder("programs", folder).name
        places |= dict.fromkeys(names, _put(place, *names))
    done = _run(path=path, cached=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{name} {places[name] / name}" for name in programs.ALL]


def test_an_unknown_program_is_refused(tmp_path: Path) -> None:
    done = _run("--only", "helm,crane", path=tmp_path, cached=tmp_path)
    assert done.returncode == 2
    assert (
        "unknown: crane; there is registry, skopeo, helm, prometheus, promtool, actionlint, "
        "bundle_validators, kubelet_keyring" in done.stderr
    )


def test_a_program_that_can_not_be_had_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    done = _run("--only", "skopeo", path=tmp_path, cached=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "skopeo is needed and not on PATH: install this system's package of it\n"
