"""The operator as a child process, started the way a user starts it, with a clean environment."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from lab.janitor import temporary_folder
from lab.processes import Process
from lab.waiting import wait_for

_ROOT = Path(__file__).parents[1]
_STOP_LIMIT = 15.0
# Several run at once on one machine; `port` tells which it took.
_ANY_PORTS = ("--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0")


class OperatorProcess:
    """`python -m ecr_operator` against one kubeconfig; use it as an async context manager.

    It serves metrics and probes on ports that are free, unless the arguments say otherwise.

    Its environment holds PATH, a HOME and TMPDIR of its own, the kubeconfig, AWS keys and endpoint, and
    `env`, where None takes a variable out. Nothing of the caller's own (AWS_*, proxies) gets in.
    """

    def __init__(
        self,
        *arguments: str,
        kubeconfig: Path | None,
        aws_endpoint: str | None = None,
        env: Mapping[str, str | None] | None = None,
        log: Path | None = None,
    ) -> None:
        """Prepare the process; entering the context starts it."""
        self._arguments = arguments
        self._given: dict[str, str | None] = {
            "KUBECONFIG": str(kubeconfig) if kubeconfig else None,
            "AWS_ENDPOINT_URL": aws_endpoint,
            **(env or {}),
        }
        self._log = log
        self._stack = ExitStack()
        self.started_at = 0.0

    async def __aenter__(self) -> Self:
        """Start the operator; `started_at` is the monotonic time of it."""
        self.home = self._stack.enter_context(temporary_folder("ecr-operator-"))
        self.log = self._log or self.home / "operator.log"
        self.process = Process(
            "the operator",
            [sys.executable, "-m", "ecr_operator", *_ANY_PORTS, *self._arguments],
            log=self.log,
            env=self._environment(),
            cwd=_ROOT,
        )
        self._stack.callback(self.process.kill)
        self.started_at = time.monotonic()
        self.process.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill it if it still runs, and remove its folder."""
        self._stack.close()

    def _environment(self) -> dict[str, str]:
        desired: dict[str, str | None] = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "PYTHONUNBUFFERED": "1",
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "lab-secret-key",
            "AWS_EC2_METADATA_DISABLED": "true",
            **self._given,
        }
        return {name: value for name, value in desired.items() if value is not None}

    async def port(self, path: str) -> int:
        """Wait until the log says on which port a page such as /metrics is served, and return that."""
        return await wait_for(lambda: self._served(path), 20, f"the port of {path}")

    def _served(self, path: str) -> int | None:
        for line in self.log.read_text().splitlines():
            if line.startswith("{") and path in (said := json.loads(line)).get("paths", ""):
                return int(said["address"].rpartition(":")[2])
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
        """Ask it to end (SIGTERM), kill it after `timeout` seconds, and return the exit code."""
        return await asyncio.to_thread(self.process.stop, timeout)

    async def wait(self, timeout: float = _STOP_LIMIT) -> int:
        """Wait until it ends by itself and return the exit code. Raises LabError after `timeout` seconds."""
        return await asyncio.to_thread(self.process.wait, timeout)

    async def kill(self) -> int:
        """End it at once (SIGKILL) and return the exit code."""
        return await asyncio.to_thread(self.process.kill)

    def pause(self) -> None:
        """Freeze it (SIGSTOP)."""
        self.process.pause()

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self.process.resume()

    def signal(self, number: int) -> None:
        """Send any other signal."""
        self.process.signal(number)
