"""A child process with its own session and log file, which never outlives this process.

Methods block; call them through `asyncio.to_thread` where a loop must go on meanwhile.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import psutil

from lab import janitor

_GUARD = Path(__file__).with_name("_guard.py")
_TAIL_BYTES = 64 * 1024

# The kernel's death signal follows the thread that forked, not the process: a short-lived thread would
# take its children along. So one thread, which lives as long as the process, starts them all.
_starter = ThreadPoolExecutor(1, thread_name_prefix="lab-starter")


class LabError(Exception):
    """A part of the lab did not do its job; the message says which, and ends with its log's tail."""


def guarded(command: Sequence[str | Path]) -> list[str]:
    """Return the command line that runs `command` bound to the life of this process."""
    return [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), *map(str, command)]


def tail(path: Path, lines: int = 20) -> str:
    """Return the last lines of a text file, or a remark when there is nothing to show."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except FileNotFoundError:
        text = ""
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"


class Process:
    """One child process: started once, its output appended to `log`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Prepare the process; `env` replaces the environment of this process when given."""
        self.name = name
        self.command = command
        self.log = log
        self._env = env
        self._cwd = cwd
        self._popen: subprocess.Popen[bytes] | None = None
        self._listed = False

    def __enter__(self) -> Self:
        """Start the process."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the process if it still runs."""
        self.kill()

    def start(self) -> None:
        """Start the process and return at once."""
        self._popen = _starter.submit(self._spawn).result()
        janitor.tell(f"+process {self._popen.pid}")
        self._listed = True

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                guarded(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended yet."""
        return self._popen is not None and self.returncode is None

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        code = self._started().poll()
        if code is not None and self._listed:
            self._listed = False
            janitor.tell(f"-process {self.pid}")
        return code

    @property
    def rss(self) -> int:
        """Resident memory in bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the log."""
        return tail(self.log, lines)

    def wait(self, timeout: float) -> int:
        """Wait for the end, at most `timeout` seconds, and return the exit code.

        Raises LabError when it still runs then.
        """
        deadline = time.monotonic() + timeout
        while (code := self.returncode) is None:
            if time.monotonic() > deadline:
                raise self.error(f"still runs after {timeout:g} s")
            time.sleep(0.01)
        return code

    def stop(self, timeout: float = 10) -> int:
        """Ask it to end (SIGTERM), kill it after `timeout` seconds, and return the exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except LabError:
            return self.kill()

    def kill(self) -> int:
        """End it at once with its whole group (SIGKILL) and return the exit code; 0 if never started."""
        if self._popen is None:
            return 0
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return self.wait(10)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): it holds its connections but does not answer."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        self._started().send_signal(number)

    def error(self, what: str) -> LabError:
        """Return an error that says what happened and holds the tail of the log."""
        return LabError(f"{self.name} {what}; the end of its log:\n{self.tail()}")

    def _started(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            message = f"{self.name} was not started"
            raise LabError(message)
        return self._popen
