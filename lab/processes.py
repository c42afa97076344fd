"""Child processes and temporary folders, none of which outlives this process.

A child has its own session and log file. A helper process, the janitor (`_janitor.py`), knows of each child
and folder; when this process ends, even by SIGKILL, the janitor kills and removes what is left.

Methods block; call them through `asyncio.to_thread` where a loop must go on meanwhile.
"""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, Self

ROOT = Path(__file__).parents[1]

_JANITOR = Path(__file__).with_name("_janitor.py")
_TAIL_BYTES = 64 * 1024
_lock = threading.Lock()


class Child(Protocol):
    """What `Process` uses of a `subprocess.Popen`."""

    @property
    def pid(self) -> int:
        """The process id, which is its session's too."""

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""

    def send_signal(self, number: int, /) -> None:
        """Send a signal, unless it has ended."""


class LabError(Exception):
    """A part of the lab failed; the message names it, and ends with the end of its log."""


@functools.cache
def _janitor() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_JANITOR)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
        cwd="/",
        start_new_session=True,
    )
    atexit.register(_dismiss, process)
    return process


def _dismiss(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(BrokenPipeError):
        process.communicate()


def _order(order: str) -> None:
    """Send `+process PID`, `-process PID`, `+folder PATH` or `-folder PATH` to the janitor."""
    with _lock:
        pipe = _janitor().stdin
        assert pipe is not None
        pipe.write(order + "\n")
        pipe.flush()


@contextlib.contextmanager
def temporary_folder(prefix: str = "ecr-lab-") -> Iterator[Path]:
    """Yield a new folder that is removed with the block, or when this process ends in any way."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    _order(f"+folder {folder}")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            _order(f"-folder {folder}")


@contextlib.contextmanager
def killed_on_error(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill the group of a session's leader when the block is left early, or when this process ends."""
    _order(f"+process {process.pid}")
    try:
        yield
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        _order(f"-process {process.pid}")


def tail(path: Path, lines: int = 20) -> str:
    """Return the last lines of a text file, or a remark when there are none."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except FileNotFoundError:
        text = ""
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"


def lean_environment(home: Path, **more: str | None) -> dict[str, str]:
    """Return variables for a child: of the caller's own only PATH, so that no AWS_* or proxy gets in.

    A value of None removes a variable.
    """
    desired = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONUNBUFFERED": "1", **more}
    return {name: value for name, value in desired.items() if value is not None}


class Process:
    """One child process.

    Its output is appended to `log`, or goes where this process's does if that is None. `env` replaces this
    process's variables.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path | None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.command = command
        self.log = log
        self._env = env
        self._cwd = cwd
        self._popen: Child | None = None
        self._listed = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the process and return at once. Raises LabError where there is no such program."""
        with self.log.open("ab") if self.log else contextlib.nullcontext() as log:
            try:
                self._popen = self._launch(log)
            except OSError as error:
                raise LabError(f"{self.name}: cannot run {self.command[0]}: {error.strerror}") from error
        _order(f"+process {self._popen.pid}")
        self._listed = True

    def _launch(self, log: BinaryIO | None) -> Child:
        return subprocess.Popen(
            [str(part) for part in self.command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self._env,
            cwd=self._cwd,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id, which is the group's too."""
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
            _order(f"-process {self.pid}")
        return code

    @property
    def rss(self) -> int:
        """Resident memory in bytes."""
        # Imported here: set-up needs this module before psutil is installed.
        import psutil  # noqa: PLC0415

        return int(psutil.Process(self.pid).memory_info().rss)

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the log."""
        return tail(self.log, lines) if self.log else "(it has none)"

    def wait(self, timeout: float) -> int:
        """Wait for the end and return the exit code. Raises LabError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (code := self.returncode) is None:
            if time.monotonic() > deadline:
                raise self.error(f"still runs after {timeout:g} s")
            time.sleep(0.01)
        return code

    def stop(self, timeout: float = 10) -> int:
        """Send SIGTERM, kill it after `timeout` seconds, and return the exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except LabError:
            return self.kill()

    def kill(self) -> int:
        """Send SIGKILL to its whole group and return the exit code; 0 if it was never started."""
        if self._popen is None:
            return 0
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return self.wait(10)

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        self._started().send_signal(number)

    def error(self, what: str) -> LabError:
        """Return an error that says what happened and holds the tail of the log."""
        return LabError(f"{self.name} {what}; the end of its log:\n{self.tail()}")

    def _started(self) -> Child:
        if self._popen is None:
            raise LabError(f"{self.name} was not started")
        return self._popen
