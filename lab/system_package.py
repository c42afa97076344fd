"""Get a program from the system: the one on PATH, or Debian's package of the same name.

A package is installed only by root, who needs no password for it; anybody else is told the command.
"""

import os
import shutil
import subprocess
from collections import deque
from pathlib import Path

from lab.progress import Progress

_INSTALL = "apt-get install -y --no-install-recommends"


class PackageError(Exception):
    """A program is not there and can't be installed; the message tells what to do."""


def ensure(name: str) -> Path:
    """Return where a program is, after installing its package if need be. Raises PackageError."""
    if found := shutil.which(name):
        return Path(found)
    if shutil.which("apt-get") is None:
        raise PackageError(f"{name} is needed and not on PATH: install this system's package of it")
    if os.geteuid():
        raise PackageError(
            f"{name} is needed and not on PATH: sudo sh -c 'apt-get update && {_INSTALL} {name}'"
        )
    return install(name)


def install(name: str) -> Path:
    """Install Debian's package and return where its program is. Raises PackageError."""
    with Progress(f"{name}: installing Debian's package") as progress:
        for command in ("apt-get update", f"{_INSTALL} {name}"):
            _run(command, progress)
    if found := shutil.which(name):
        return Path(found)
    raise PackageError(f"Debian's package {name} was installed, but there is no {name} on PATH")


def _run(command: str, progress: Progress) -> None:
    """Run apt-get to its end: bound to this process's life, it could be killed half-way through a package."""
    process = subprocess.Popen(
        command.split(),
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    rest: deque[str] = deque(maxlen=20)
    with process:
        for line in process.stdout or ():
            rest.append(line.rstrip())
            progress.remark(rest[-1])
    if process.returncode:
        raise PackageError("\n".join([f"`{command}` failed:", *rest]))
