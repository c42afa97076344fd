"""The operator as a child process, started the way a user starts it, with a clean environment."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from lab.forks import ForkedProcess
from lab.processes import ROOT, Process, lean_environment, temporary_folder
from lab.waiting import wait_for

# Keys that the local AWS accepts unless a test restricts them.
AWS_KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "lab-secret-key",
    "AWS_EC2_METADATA_DISABLED": "true",
}

_COMMAND = (sys.executable, "-m", "ecr_operator")
_STOP_LIMIT = 15.0
# Several run at once on one machine; `port` returns which it took.
_ANY_PORTS = ("--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0")


class OperatorProcess:
    """`python -m ecr_operator` against one kubeconfig; use it as an async context manager.

    It serves metrics and probes on free ports, unless the arguments say otherwise. Its environment holds
    PATH, a HOME and TMPDIR of its own, the kubeconfig, AWS keys and endpoint, and `env`, where None removes
    a variable. `started_at` is the monotonic time of its start. `forked` saves the time of its imports.
    """

    def __init__(
        self,
        *arguments: str,
        kubeconfig: Path | None,
        aws_endpoint: str | None = None,
        env: Mapping[str, str | None] | None = None,
        log: Path | None = None,
        forked: bool = False,
    ) -> None:
        self._arguments = [*_ANY_PORTS, *arguments]
        # What PYTHONPATH adds has to be there before the first import.
        self._forked = forked and "PYTHONPATH" not in (env or {})
        self._env: dict[str, str | None] = {
            "KUBECONFIG": str(kubeconfig) if kubeconfig else None,
            "AWS_ENDPOINT_URL": aws_endpoint,
            **AWS_KEYS,
            **(env or {}),
        }
        self._log = log
        self._stack = ExitStack()
        self.started_at = 0.0

    async def __aenter__(self) -> Self:
        self.home = self._stack.enter_context(temporary_folder("ecr-operator-"))
        self.log = self._log or self.home / "operator.log"
        env = lean_environment(self.home, **{"TMPDIR": str(self.home), **self._env})
        start, command = (ForkedProcess, ()) if self._forked else (Process, _COMMAND)
        self.process = start("the operator", [*command, *self._arguments], log=self.log, env=env, cwd=ROOT)
        self._stack.callback(self.process.kill)
        self.started_at = time.monotonic()
        # A thread, since a fork server may have to start first, and a loop that waits serves AWS no longer.
        await asyncio.to_thread(self.process.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._stack.close)

    async def port(self, path: str) -> int:
        """Wait until the log names the port of a page such as /metrics, and return it."""
        return await wait_for(lambda: self._served(path), 20, f"the port of {path}")

    def _served(self, path: str) -> int | None:
        for line in self.log.read_text().splitlines():
            if line.startswith("{") and path in (logged := json.loads(line)).get("paths", ""):
                return int(logged["address"].rpartition(":")[2])
        return None

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.process.running

    @property
    def rss(self) -> int:
        """Resident memory in bytes."""
        return self.process.rss

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of its log."""
        return self.process.tail(lines)

    async def stop(self, timeout: float = _STOP_LIMIT) -> int:
        """Send SIGTERM, kill it after `timeout` seconds, and return the exit code."""
        return await asyncio.to_thread(self.process.stop, timeout)

    async def wait(self, timeout: float = _STOP_LIMIT) -> int:
        """Wait until it ends by itself and return the exit code. Raises LabError after `timeout` seconds."""
        return await asyncio.to_thread(self.process.wait, timeout)

    async def kill(self) -> int:
        """Send SIGKILL and return the exit code."""
        return await asyncio.to_thread(self.process.kill)

    def signal(self, number: int) -> None:
        """Send a signal, such as SIGSTOP."""
        self.process.signal(number)
