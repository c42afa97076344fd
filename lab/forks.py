"""Operators that are forked from a process that has imported the libraries, to start quickly.

Like any child each is a process of its own, with a session, environment, log and exit code. Left out: what
the start of an interpreter and the imports do; for that, tests start `python -m ecr_operator`.
"""

import atexit
import contextlib
import functools
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from lab.processes import ROOT, LabError, Process, lean_environment, temporary_folder

_START_LIMIT = 60.0
_starting = threading.Lock()


class Fork:
    """One forked operator, with the methods of `subprocess.Popen` that `Process` uses."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, log: BinaryIO) -> None:
        request = json.dumps({"arguments": [*arguments], "env": {**env}, "cwd": str(cwd)}).encode()
        with _starting:
            server = _server()
        self._connection = server.connect()
        sent = socket.send_fds(self._connection, [request], [log.fileno()])
        self._connection.sendall(request[sent:])
        self._connection.shutdown(socket.SHUT_WR)
        self._answer = b""
        while b"\n" not in self._answer:
            self._receive()
        self.pid = int(self._answer.split()[0])
        self._connection.settimeout(0)
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        with self._lock, contextlib.suppress(BlockingIOError):
            while self._answer.count(b"\n") < 2:
                self._receive()
            self._connection.close()
            return int(self._answer.split()[1])
        return None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _receive(self) -> None:
        received = self._connection.recv(64)
        if not received:
            raise LabError("the fork server has ended")
        self._answer += received


class _ForkServer:
    """The process that forks; it is started once, and ends with this one."""

    def __init__(self) -> None:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(temporary_folder("ecr-fork-"))
            self._path = folder / "socket"
            self._process = Process(
                "the fork server",
                [sys.executable, "-m", "lab._fork_server", self._path],
                log=folder / "log",
                env=lean_environment(folder),
                cwd=ROOT,
            )
            stack.enter_context(self._process)
            atexit.register(stack.pop_all().close)

    def connect(self) -> socket.socket:
        """Return a connection; it is accepted once the libraries are imported."""
        deadline = time.monotonic() + _START_LIMIT
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self._path))
            except OSError:
                connection.close()
                if not self._process.running or time.monotonic() > deadline:
                    raise self._process.error("does not serve") from None
                time.sleep(0.01)
            else:
                return connection


@functools.cache
def _server() -> _ForkServer:
    return _ForkServer()


class ForkedProcess(Process):
    """An operator as a child process; `command` is its arguments."""

    def _launch(self, log: BinaryIO | None) -> Fork:
        assert log is not None
        assert self._env is not None
        return Fork([str(part) for part in self.command], self._env, self._cwd or Path.cwd(), log)
