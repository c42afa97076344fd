"""A long step as a process: how long it usually takes and, every 10 s, how far it is, even if it is silent.

Standard library only, as the packages themselves are installed with it.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.processes import LabError, killed_on_error

_WIDTH = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A long step; the lines that it prints are counted if they match `unit`.

    `usually` says how long it takes, `units` is the plural to report, `about` the usual number of them.
    """

    title: str
    usually: str
    unit: re.Pattern[str]
    units: str
    about: int = 0


def run(
    step: Step,
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    every: float = 10.0,
) -> None:
    """Run a command to its end and report on it; it ends with this process.

    Raises LabError, with the last 20 lines that are no unit, for an exit code other than 0.
    """
    say(f"{step.title}; usually {step.usually}…")
    started = time.monotonic()
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process,
        killed_on_error(process),
    ):
        while _runs(process, every):
            say(_report(step, time.monotonic() - started, _lines(output.fileno())))
        lines = _lines(output.fileno())
    if process.returncode:
        others = [line for line in lines if not step.unit.match(line)]
        raise LabError("\n".join([f"{step.title} failed:", *others[-20:]]))


def say(line: str) -> None:
    """Print a line of progress: on stderr, since stdout is for results."""
    print(line, file=sys.stderr, flush=True)


def _runs(process: subprocess.Popen[str], seconds: float) -> bool:
    """Whether a process still runs after so long."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def _lines(output: int) -> list[str]:
    # From the start of the file, without moving the position at which the process writes.
    text = os.pread(output, os.fstat(output).st_size, 0).decode(errors="replace")
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def _report(step: Step, seconds: float, lines: list[str]) -> str:
    minutes, rest = divmod(int(seconds), 60)
    count = sum(1 for line in lines if step.unit.match(line))
    number = f"{count:,} of about {step.about:,}" if count < step.about else f"{count:,}"
    last = lines[-1].strip() if lines else "starting"
    return f"  {minutes}:{rest:02} {number} {step.units}; {last[:_WIDTH]}{'…' * (len(last) > _WIDTH)}"
