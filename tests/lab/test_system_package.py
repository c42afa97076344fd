"""Debian's packages: installed by root, named to anybody else. A script stands for apt-get."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.janitor import temporary_folder
from tests.lab.scripts import ROOT

INSTALL = "from lab import system_package; print(system_package.install('tool'))"
# What a user other than root sees; a user can't become anybody else, and need not.
ENSURE_AS_USER = """
import os
from lab import system_package
if os.geteuid() == 0:
    os.seteuid(65534)
system_package.ensure("tool")
"""


@pytest.fixture
def path() -> Iterator[Path]:
    """A folder for PATH that every user can read."""
    with temporary_folder("ecr-path-") as folder:
        folder.chmod(0o755)
        yield folder


def _apt_get(path: Path, *lines: str) -> None:
    script = path / "apt-get"
    script.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    script.chmod(0o755)


def _run(source: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", source],
        cwd=ROOT,
        env={"PATH": str(path), "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        check=False,
    )


def test_lists_are_renewed_then_the_package_is_installed(path: Path) -> None:
    program = path / "tool"
    _apt_get(path, f'echo "$@" >>{path}/asked', f"/bin/cp $0 {program}")
    assert _run(INSTALL, path).stdout == f"{program}\n"
    assert (path / "asked").read_text() == "update\ninstall -y --no-install-recommends tool\n"


def test_a_failure_says_what_apt_get_said(path: Path) -> None:
    _apt_get(path, "echo E: Unable to locate package tool", "test $1 = update")
    done = _run(INSTALL, path)
    assert "`apt-get install -y --no-install-recommends tool` failed:\nE: Unable to locate" in done.stderr


def test_a_package_without_the_program_is_a_failure_too(path: Path) -> None:
    _apt_get(path, "exit 0")
    assert "was installed, but there is no tool on PATH" in _run(INSTALL, path).stderr


def test_without_root_the_command_is_named_and_not_run(path: Path) -> None:
    _apt_get(path, f": >{path}/asked")
    done = _run(ENSURE_AS_USER, path)
    command = "sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends tool'"
    assert done.stderr.endswith(f"tool is needed and not on PATH: {command}\n")
    assert not (path / "asked").exists()
