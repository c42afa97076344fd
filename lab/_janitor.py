"""Clean up after a parent that ended without doing so itself, even by SIGKILL.

Reads lines from a pipe that only the parent holds: `+process PID`, `-process PID`, `+folder PATH`,
`-folder PATH`. When the pipe ends, so has the parent: what is still listed is killed and removed.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable

REMOVAL_ATTEMPTS = 50
REMOVAL_PAUSE = 0.1


def read_orders(lines: Iterable[str]) -> dict[str, set[str]]:
    """Follow the orders until the pipe ends; return what is left of each kind."""
    left: dict[str, set[str]] = {"process": set(), "folder": set()}
    for line in lines:
        order, _, subject = line.rstrip("\n").partition(" ")
        kind = left[order[1:]]
        if order[0] == "+":
            kind.add(subject)
        else:
            kind.discard(subject)
    return left


def kill_group(leader: int) -> None:
    """Kill a process together with its group, if it is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def remove(folder: str) -> None:
    """Remove a folder; a dying process may still write to it for a moment."""
    for _ in range(REMOVAL_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.lexists(folder):
            return
        time.sleep(REMOVAL_PAUSE)


def main() -> None:
    """Outlive the terminal's signals, wait for the parent's end, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    left = read_orders(sys.stdin)
    for leader in left["process"]:
        kill_group(int(leader))
    for folder in left["folder"]:
        remove(folder)


if __name__ == "__main__":
    main()
