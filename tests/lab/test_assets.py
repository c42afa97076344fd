"""The command that fetches the lab's binaries: what it prints, and how it says no."""

import os
import subprocess
import sys
from pathlib import Path

from lab import assets
from tests.lab.scripts import ROOT


def _run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lab.assets", *arguments],
        cwd=ROOT,
        env={"PATH": "", "HOME": os.environ["HOME"], **env},
        capture_output=True,
        text=True,
        check=False,
    )


def _put(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch(mode=0o755)
    return folder


def test_an_unknown_version_is_one_line_that_names_the_known_ones() -> None:
    done = _run(KUBERNETES="1.2.3")
    assert done.returncode == 1
    known = ", ".join(assets.known_versions())
    assert done.stderr == f"KUBERNETES=1.2.3: no such version here; there is {known}\n"
    assert "1.36.3" in known


def test_the_default_version_is_known() -> None:
    assert assets.DEFAULT_VERSION in assets.known_versions()


def test_an_unknown_binary_is_refused() -> None:
    done = _run("--only", "etcd,kubelet")
    assert done.returncode == 2
    assert "unknown: kubelet; there is etcd, kube-apiserver, kube-controller-manager" in done.stderr


def test_a_folder_given_is_used_as_it_is(tmp_path: Path) -> None:
    done = _run(KUBEBUILDER_ASSETS=str(_put(tmp_path, *assets.ALL)))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path}\n", "")


def test_a_folder_given_need_hold_only_what_is_asked_for(tmp_path: Path) -> None:
    done = _run("--only", "etcd", KUBEBUILDER_ASSETS=str(_put(tmp_path, "etcd")))
    assert done.stdout == f"{tmp_path}\n"


def test_a_folder_given_that_lacks_a_binary_is_one_line(tmp_path: Path) -> None:
    done = _run(KUBEBUILDER_ASSETS=str(_put(tmp_path, "etcd", "kube-apiserver")))
    assert done.returncode == 1
    assert done.stderr == (
        f"KUBEBUILDER_ASSETS={tmp_path}: no kube-controller-manager there; add it, or unset the variable\n"
    )


def test_what_is_in_the_cache_needs_no_go(tmp_path: Path) -> None:
    place = tmp_path / "ecr-secret-operator" / "assets" / assets.folder().name
    place.mkdir(parents=True)
    _put(place, *assets.ALL)
    done = _run(XDG_CACHE_HOME=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{place}\n", "")
