"""The user's commands as a user runs them: as processes, on a pipe or on a terminal."""

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.operator import AWS_KEYS
from lab.processes import ROOT, LabError, lean_environment

_LIMIT = 120.0
_ROWS, _COLUMNS = 40, 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A command's exit code and output; a terminal shows both streams in `out`."""

    code: int
    out: str
    err: str = ""

    def __post_init__(self) -> None:
        print(self.out, self.err, f"exit code {self.code}", sep="\n")
        if "Traceback" in self.out + self.err:
            raise LabError(f"a traceback:\n{self.out}\n{self.err}")


async def run(*arguments: str, given: bytes = b"", **options: Any) -> Ended:
    """Run a command to its end, `given` as its standard input; `options` as of `started`.

    Raises LabError if it shows a traceback.
    """
    async with started(*arguments, **options) as process, asyncio.timeout(_LIMIT):
        out, err = await process.communicate(given)
    return Ended(code=process.returncode or 0, out=(out or b"").decode(), err=err.decode())


@asynccontextmanager
async def started(
    *arguments: str,
    kubeconfig: Path | None = None,
    aws: str | None = None,
    env: Mapping[str, str | None] | None = None,
    out: int = PIPE,
    terminal: int | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command, and end it with the context.

    Args:
        arguments: all but the program.
        kubeconfig: the value of KUBECONFIG.
        aws: the value of AWS_ENDPOINT_URL.
        env: more variables; None removes one.
        out: the file descriptor of its standard output.
        terminal: the file descriptor of all three streams.
    """
    stdin, stdout, stderr = (PIPE, out, PIPE) if terminal is None else (terminal, terminal, terminal)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ecr_operator", *arguments),
        env=_environment(kubeconfig, aws, env or {}),
        cwd=ROOT,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=terminal is not None,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - else it waits for the collector


def _environment(kubeconfig: Path | None, aws: str | None, more: Mapping[str, str | None]) -> dict[str, str]:
    variables: dict[str, str | None] = {
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": None,
        "LANG": "C.UTF-8",
        "KUBECONFIG": str(kubeconfig) if kubeconfig else None,
        "AWS_ENDPOINT_URL": aws,
        **AWS_KEYS,
        **more,
    }
    return lean_environment(Path("/nonexistent"), **variables)


async def run_on_terminal(
    *arguments: str,
    until: str | None = None,
    then: signal.Signals = signal.SIGINT,
    env: Mapping[str, str | None] | None = None,
    **options: Any,
) -> Ended:
    """Run a command on a terminal of 120 columns; once it has shown `until`, send it a signal (Ctrl-C's)."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    variables = {"TERM": "xterm-256color", **(env or {})}
    async with started(*arguments, env=variables, terminal=terminal, **options) as process:
        os.close(terminal)
        # What it has shown by then is in the failing test's report.
        limit = asyncio.get_running_loop().call_later(_LIMIT, process.kill)
        shown = await asyncio.to_thread(_read, controller, until, lambda: process.send_signal(then))
        code = await process.wait()
        limit.cancel()
    os.close(controller)
    return Ended(code=code, out=shown)


def _read(controller: int, until: str | None, then: Callable[[], object]) -> str:
    """Read what a terminal shows until its last user has gone, and call `then` once it shows `until`."""
    shown = b""
    # Linux answers EIO when there is no user any more.
    with contextlib.suppress(OSError):
        while data := os.read(controller, 65536):
            shown += data
            if until is not None and until.encode() in shown:
                then()
                until = None
    return shown.decode()
