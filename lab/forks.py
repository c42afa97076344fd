"""Operators that are forked from a process that has imported the libraries, to start quickly.

Like any child each is a process of its own, with a session, environment, log and exit code. The process that
forks is multiprocessing's. Left out: what the start of an interpreter and the imports do; for that, tests
start `python -m ecr_operator`.
"""

import contextlib
import multiprocessing
import os
import runpy
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

from lab.processes import Process

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["lab._preloaded"])
# multiprocessing looks after all its children at each start.
_lock = threading.Lock()


class Fork:
    """One forked operator, with the methods of `subprocess.Popen` that `Process` uses."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path) -> None:
        receiver, sender = _context.Pipe(duplex=False)
        # A daemon: at its exit this process doesn't wait for one that is left.
        self._process = _context.Process(
            target=_become_operator, args=(arguments, env, cwd, log, sender), daemon=True
        )
        with _lock, receiver, sender:
            self._process.start()
            sender.close()
            self.pid: int = receiver.recv()

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        with _lock:
            return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _become_operator(
    arguments: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path, started: Connection
) -> None:
    """Run the operator in this child, which ends with SystemExit."""
    os.setsid()
    with started:
        started.send(os.getpid())
    with log.open("ab") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv[1:] = arguments
    runpy.run_module("ecr_operator", run_name="__main__", alter_sys=True)


class ForkedProcess(Process):
    """An operator as a child process; `command` is its arguments."""

    def _launch(self, log: BinaryIO | None) -> Fork:  # noqa: ARG002 - its path goes to the child
        assert self.log is not None
        return Fork([str(part) for part in self.command], self._env or {}, self._cwd or Path.cwd(), self.log)
