"""Run pieces of Python as a process of their own, from the project's root."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from lab.processes import ROOT


def start(source: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a script whose stdout and stderr can be read line by line."""
    return subprocess.Popen(
        [sys.executable, "-c", source, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(*command: str | Path, **env: str) -> tuple[int, str, str]:
    """Run this Python to its end, with these variables alone; the exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def put(folder: Path, *names: str, script: str = "") -> Path:
    """Write programs with the same content to a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    return folder


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that a started script prints."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def processes_in(folder: Path) -> list[str]:
    """Return the command lines of the processes that name a folder, also in a variable."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            known = [*process.cmdline(), *process.environ().values()]
            if any(str(folder) in text for text in known):
                found.append(" ".join(process.cmdline()))
    return found
