"""Builds with Go: whole or not at all, one at a time. A module of three lines stands for Kubernetes."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import gobuild
from tests.lab import scripts

BUILD = """
import pathlib, sys
from lab import gobuild
recipe = gobuild.Recipe(title="tiny", module=pathlib.Path(sys.argv[1]), packages={"tiny": "./cmd/tiny"})
print("started", flush=True)
gobuild.build(recipe, ["tiny"], pathlib.Path(sys.argv[2]))
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A Go module with one program."""
    source = tmp_path / "module" / "cmd" / "tiny"
    source.mkdir(parents=True)
    (tmp_path / "module" / "go.mod").write_text("module example.com/module\n\ngo 1.26\n")
    (source / "main.go").write_text('package main\n\nfunc main() { println("it runs") }\n')
    return tmp_path / "module"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the program goes."""
    return tmp_path / "target"


def _recipe(module: Path) -> gobuild.Recipe:
    return gobuild.Recipe(title="tiny", module=module, packages={"tiny": "./cmd/tiny"})


def _says(binary: Path) -> str:
    return subprocess.run([binary], capture_output=True, text=True, check=True).stderr


def _wait_for_unfinished(target: Path) -> None:
    deadline = time.monotonic() + 30
    while not list(target.glob(".unfinished-*")):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_program_is_built_once(module: Path, target: Path) -> None:
    gobuild.build(_recipe(module), ["tiny"], target)
    built = (target / "tiny").stat().st_mtime_ns
    gobuild.build(_recipe(module), ["tiny"], target)
    assert _says(target / "tiny") == "it runs\n"
    assert (target / "tiny").stat().st_mtime_ns == built


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name
)
def test_an_interrupted_build_leaves_nothing_taken_for_good(
    module: Path, target: Path, number: signal.Signals
) -> None:
    with scripts.start(BUILD, module, target) as build:
        _wait_for_unfinished(target)
        build.send_signal(number)
        build.communicate()
    assert build.returncode != 0
    assert not (target / "tiny").exists()
    gobuild.build(_recipe(module), ["tiny"], target)
    assert _says(target / "tiny") == "it runs\n"
    assert not list(target.glob(".unfinished-*"))


def test_tags_choose_what_is_built(module: Path, target: Path) -> None:
    (module / "cmd" / "tiny" / "extra.go").write_text(
        '//go:build extra\n\npackage main\n\nfunc init() { println("with more") }\n'
    )
    recipe = dataclasses.replace(_recipe(module), tags="extra")
    gobuild.build(recipe, ["tiny"], target)
    assert _says(target / "tiny") == "with more\nit runs\n"


def test_of_two_builds_at_once_the_second_finds_the_first_ones_result(module: Path, target: Path) -> None:
    with scripts.start(BUILD, module, target) as first:
        _wait_for_unfinished(target)
        with scripts.start(BUILD, module, target) as second:
            output = second.communicate()[0]
        first.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert "building" not in output
    assert _says(target / "tiny") == "it runs\n"


def test_a_program_that_does_not_compile_says_what_go_said(module: Path, target: Path) -> None:
    (module / "cmd" / "tiny" / "main.go").write_text("package main\n\nfunc main() { missing() }\n")
    with pytest.raises(gobuild.BuildError, match="undefined: missing"):
        gobuild.build(_recipe(module), ["tiny"], target)
    assert [path.name for path in target.iterdir()] == [".lock"]


def test_without_go_the_message_says_how_to_get_it(module: Path, target: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "python"
    elsewhere.symlink_to(sys.executable)
    done = subprocess.run(
        [elsewhere, "-c", BUILD, module, target],
        cwd=scripts.ROOT,
        env={"PATH": "", "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHOME": sys.base_prefix},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Go 1.26 or later is needed" in done.stderr
    assert "`make venv` installs it" in done.stderr
