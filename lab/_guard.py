"""Replace this process by a command that the kernel kills when its parent ends.

Run as `python -I -S _guard.py PARENT_PID COMMAND [ARGUMENT...]`. A preexec_fn would do the same between
fork and exec, but may deadlock in a process with threads. Where the kernel has no such signal (only
Linux has), the janitor alone sees to it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask for SIGKILL at the parent's end; exit when it has ended before we could ask."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def main() -> None:
    """Bind our life to the parent's, then become the command; 127 when it can't be run."""
    parent, *command = sys.argv[1:]
    die_with_parent(int(parent))
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main()
