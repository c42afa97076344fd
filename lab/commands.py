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
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.operator import AWS_KEYS
from lab.processes import ROOT, LabError, lean_environment

_PROGRAM = (sys.executable, "-m", "ecr_operator")
_LIMIT = 120.0
_ROWS, _COLUMNS = 40, 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A command's exit code and output; a terminal shows both streams in `out`."""

    code: int
    out: str
    err: str = ""


async def run(
    *arguments: str,
    kubeconfig: Path | None = None,
    aws: str | None = None,
    env: Mapping[str, str | None] | None = None,
    given: bytes = b"",
    out: int | None = None,
) -> Ended:
    """Run a command to its end. Raises LabError if it shows a traceback.

    `given` is its standard input; `out` takes its standard output, in place of the answer.
    """
    async with started(*arguments, kubeconfig=kubeconfig, aws=aws, env=env, out=out) as process:
        async with asyncio.timeout(_LIMIT):
            said, err = await process.communicate(given)
    return _checked(Ended(code=process.returncode or 0, out=(said or b"").decode(), err=err.decode()))


@asynccontextmanager
async def started(
    *arguments: str,
    kubeconfig: Path | None = None,
    aws: str | None = None,
    env: Mapping[str, str | None] | None = None,
    out: int | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command, and end it with the context."""
    process = await asyncio.create_subprocess_exec(
        *_PROGRAM,
        *arguments,
        env=_environment(kubeconfig, aws, env),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE if out is None else out,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - else it waits for the collector


async def run_on_terminal(
    *arguments: str,
    kubeconfig: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    until: str | None = None,
    then: signal.Signals = signal.SIGINT,
) -> Ended:
    """Run a command on a terminal of 120 columns; once it has shown `until`, send it a signal (Ctrl-C's)."""
    environment = {"TERM": "xterm-256color", **_environment(kubeconfig, None, env)}
    return _checked(await asyncio.to_thread(_on_terminal, arguments, environment, until, then))


def _on_terminal(
    arguments: tuple[str, ...], env: Mapping[str, str], until: str | None, then: signal.Signals
) -> Ended:
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    child = os.posix_spawn(
        _PROGRAM[0],
        (*_PROGRAM, *arguments),
        env,
        file_actions=[(os.POSIX_SPAWN_DUP2, terminal, number) for number in range(3)],
        setsid=True,
    )
    os.close(terminal)
    shown = b""
    # Linux answers EIO when the last user of a terminal has gone.
    with contextlib.suppress(OSError):
        while data := os.read(controller, 65536):
            shown += data
            if until is not None and until.encode() in shown:
                os.kill(child, then)
                until = None
    os.close(controller)
    _, status = os.waitpid(child, 0)
    return Ended(code=os.waitstatus_to_exitcode(status), out=shown.decode())


def _environment(
    kubeconfig: Path | None, aws: str | None, env: Mapping[str, str | None] | None
) -> dict[str, str]:
    desired: dict[str, str | None] = {
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": None,
        "LANG": "C.UTF-8",
        "KUBECONFIG": str(kubeconfig) if kubeconfig else None,
        "AWS_ENDPOINT_URL": aws,
        **AWS_KEYS,
        **(env or {}),
    }
    return lean_environment(Path("/nonexistent"), **desired)


def _checked(ended: Ended) -> Ended:
    print(ended.out, ended.err, f"exit code {ended.code}", sep="\n")
    if "Traceback" in ended.out + ended.err:
        raise LabError(f"a traceback:\n{ended.out}\n{ended.err}")
    return ended
