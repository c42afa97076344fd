"""Clean up after a parent process that ended without doing so itself, even by SIGKILL.

Reads lines from a pipe that only the parent holds: `+process PID`, `-process PID`, `+folder PATH`,
`-folder PATH`. The pipe ends with the parent; then what is still listed is killed and removed.
"""

import contextlib
import os
import shutil
import signal
import sys
import time

_ATTEMPTS = 50


def _remove(folder: str) -> None:
    """Remove a folder; a dying process may still write to it for a moment."""
    for _ in range(_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.lexists(folder):
            return
        time.sleep(0.1)


def main() -> None:
    """Ignore the terminal's signals, wait for the parent's end, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    left: dict[str, set[str]] = {"process": set(), "folder": set()}
    for line in sys.stdin:
        order, _, subject = line.rstrip("\n").partition(" ")
        change = left[order[1:]].add if order[0] == "+" else left[order[1:]].discard
        change(subject)
    for leader in left["process"]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(int(leader), signal.SIGKILL)
    for folder in left["folder"]:
        _remove(folder)


if __name__ == "__main__":
    main()
