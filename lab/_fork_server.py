"""Starts operators by forking: the libraries are imported once, and not by each.

    python -m lab._fork_server SOCKET

Each connection to the Unix socket is one operator: `lab.forks` sends a request (JSON, with the descriptor of
the log), and receives the process id in a line, and the exit code, negative for a signal, in another.

Invariant: this process has no other thread and no event loop, so a child begins like a fresh interpreter.
"""

import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys

_LONGEST = 1 << 20


def _preload() -> None:
    """Import what an operator imports, without rich as there."""
    sys.modules["rich"] = None  # type: ignore[assignment] # as in ecr_operator.__main__
    import ecr_operator.app  # noqa: F401, PLC0415

    # The collector of a child leaves alone what all share.
    gc.freeze()


class _Server:
    def __init__(self, path: str) -> None:
        self._running: dict[int, socket.socket] = {}
        self._wake, self._waker = socket.socketpair()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)

    def serve(self) -> None:
        """Fork for each connection, and report each end."""
        for each in (self._wake, self._waker):
            each.settimeout(0)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self._listener, self._wake], [], [])
            if self._wake in ready:
                self._wake.recv(1024)
                self._report_ends()
            if self._listener in ready:
                self._start(self._listener.accept()[0])

    def _report_ends(self) -> None:
        while self._running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = ended
            with self._running.pop(pid) as connection, contextlib.suppress(OSError):
                connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())

    def _start(self, connection: socket.socket) -> None:
        data, (log,), _, _ = socket.recv_fds(connection, _LONGEST, 1)
        while more := connection.recv(_LONGEST):
            data += more
        pid = os.fork()
        if not pid:
            self._become_operator(log, connection, **json.loads(data))
        os.close(log)
        self._running[pid] = connection

    def _become_operator(
        self, log: int, connection: socket.socket, arguments: list[str], env: dict[str, str], cwd: str
    ) -> None:
        """Run the operator in this child, which ends with SystemExit."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        connection.sendall(f"{os.getpid()}\n".encode())
        for each in (connection, self._listener, self._wake, self._waker, *self._running.values()):
            each.close()
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(log)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        sys.argv[1:] = arguments
        runpy.run_module("ecr_operator", run_name="__main__", alter_sys=True)
        sys.exit(0)


if __name__ == "__main__":
    _preload()
    _Server(sys.argv[1]).serve()
