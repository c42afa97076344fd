"""Binaries: built once, whole or not at all; found in the cache; and one line where they can't be had."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import assets, gobuild
from lab.processes import ROOT, LabError, temporary_folder
from tests.lab.scripts import put, run, start

BUILD = """
import pathlib, sys
from lab import gobuild
recipe = gobuild.Recipe(title="tiny", module=pathlib.Path(sys.argv[1]), packages={"tiny": "./cmd/tiny"})
gobuild.build(recipe, ["tiny"], pathlib.Path(sys.argv[2]))
"""
# Root would install it; anybody else gets the command.
ENSURE_AS_USER = """
import os
from lab import programs
if os.geteuid() == 0:
    os.seteuid(65534)
programs.from_debian("tool")
"""
INSTALL = "from lab import programs; print(programs.from_debian('tool'))"
INSTALL_COMMAND = "apt-get install -y --no-install-recommends tool"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A Go module with one program, in place of Kubernetes."""
    source = tmp_path / "module" / "cmd" / "tiny"
    source.mkdir(parents=True)
    (tmp_path / "module" / "go.mod").write_text("module example.com/module\n\ngo 1.26\n")
    (source / "main.go").write_text('package main\n\nfunc main() { println("it runs") }\n')
    return tmp_path / "module"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the program goes."""
    return tmp_path / "target"


@pytest.fixture
def path() -> Iterator[Path]:
    """A folder for PATH that every user can read."""
    with temporary_folder("ecr-path-") as folder:
        folder.chmod(0o755)
        yield folder


def _build(module: Path, target: Path) -> None:
    recipe = gobuild.Recipe(title="tiny", module=module, packages={"tiny": "./cmd/tiny"})
    gobuild.build(recipe, ["tiny"], target)


def _run(*command: str, **env: str) -> tuple[int, str, str]:
    return run(*command, **{"PATH": "", "HOME": os.environ["HOME"], **env})


def _wait_for_unfinished(target: Path) -> None:
    deadline = time.monotonic() + 30
    while not list(target.glob(".unfinished-*")):
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_build_leaves_no_binary_and_the_next_is_whole(
    module: Path, target: Path, number: int
) -> None:
    with start(BUILD, module, target) as build:
        _wait_for_unfinished(target)
        build.send_signal(number)
        build.communicate()
    assert build.returncode != 0
    assert not (target / "tiny").exists()
    _build(module, target)
    done = subprocess.run([target / "tiny"], capture_output=True, text=True, check=True)
    assert done.stderr == "it runs\n"
    assert not list(target.glob(".unfinished-*"))


def test_second_of_two_builds_waits_and_builds_nothing(module: Path, target: Path) -> None:
    with start(BUILD, module, target) as first:
        _wait_for_unfinished(target)
        with start(BUILD, module, target) as second:
            output = second.communicate()[0]
        first.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert "building" not in output


def test_several_packages_are_built_at_once_each_under_its_name(module: Path, target: Path) -> None:
    for folder in ("first", "second/v2"):
        (module / folder).mkdir(parents=True)
        (module / folder / "main.go").write_text(f'package main\n\nfunc main() {{ println("{folder}") }}\n')
    packages = {"one": "example.com/module/first", "two": "example.com/module/second/v2"}
    gobuild.build(gobuild.Recipe(title="both", module=module, packages=packages), list(packages), target)
    shown = [subprocess.run([target / name], capture_output=True, check=True).stderr for name in packages]
    assert shown == [b"first\n", b"second/v2\n"]


def test_a_compile_error_shows_what_go_printed(module: Path, target: Path) -> None:
    (module / "cmd" / "tiny" / "main.go").write_text("package main\n\nfunc main() { missing() }\n")
    with pytest.raises(LabError, match="undefined: missing"):
        _build(module, target)
    assert [each.name for each in target.iterdir()] == [".lock"]


def test_without_go_the_message_says_how_to_get_it(module: Path, target: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "python"
    elsewhere.symlink_to(sys.executable)
    env = {"PATH": "", "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHOME": sys.base_prefix}
    command = [str(elsewhere), "-c", BUILD, str(module), str(target)]
    error = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False).stderr
    assert "Go 1.26 or later is needed" in error
    assert "`make venv` installs it" in error


def test_assets_refuses_what_it_does_not_know() -> None:
    known = ", ".join(assets.known_versions())
    assert assets.DEFAULT_VERSION in known
    message = f"KUBERNETES=1.2.3: no such version here; there is {known}\n"
    assert _run("-m", "lab.assets", KUBERNETES="1.2.3") == (1, "", message)
    code, _, error = _run("-m", "lab.assets", "--only", "etcd,kubelet")
    assert code == 2
    assert "unknown: kubelet; there is etcd, kube-apiserver, kube-controller-manager" in error


def test_assets_uses_the_folder_of_kubebuilder_assets_if_it_has_all(tmp_path: Path) -> None:
    given = {"KUBEBUILDER_ASSETS": str(put(tmp_path, "etcd", "kube-apiserver"))}
    for chosen in ("--only=etcd", "--without=kube-controller-manager"):
        assert _run("-m", "lab.assets", chosen, **given) == (0, f"{tmp_path}\n", "")
    message = (
        f"KUBEBUILDER_ASSETS={tmp_path}: no kube-controller-manager there; add it, or unset the variable\n"
    )
    assert _run("-m", "lab.assets", **given) == (1, "", message)


def test_assets_in_the_cache_need_no_go(tmp_path: Path) -> None:
    place = put(tmp_path / "ecr-secret-operator" / "assets" / assets.folder().name, *assets.ALL)
    assert _run("-m", "lab.assets", XDG_CACHE_HOME=str(tmp_path)) == (0, f"{place}\n", "")


def test_a_package_is_installed_after_an_update(path: Path) -> None:
    put(path, "apt-get", script=f'#!/bin/sh\necho "$@" >>{path}/log\n/bin/cp $0 {path}/tool\n')
    assert _run("-c", INSTALL, PATH=str(path))[1] == f"{path / 'tool'}\n"
    assert (path / "log").read_text() == f"update\n{INSTALL_COMMAND.removeprefix('apt-get ')}\n"


@pytest.mark.parametrize(
    ("script", "source", "message"),
    [
        ("echo E: no package; test $1 = update", INSTALL, "failed:\nE: no package"),
        ("exit 0", ENSURE_AS_USER, f"not on PATH: sudo sh -c 'apt-get update && {INSTALL_COMMAND}'"),
    ],
    ids=["apt-get fails", "not root"],
)
def test_package_that_cannot_be_installed_is_an_error_with_its_reason(
    path: Path, script: str, source: str, message: str
) -> None:
    put(path, "apt-get", script=f"#!/bin/sh\n{script}\n")
    assert message in _run("-c", source, PATH=str(path))[2]
