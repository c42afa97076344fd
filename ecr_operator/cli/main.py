"""Runs a command: its exit code, and one line for every error that a user can cause."""

import asyncio
import os
import signal
import sys
from types import FrameType
from typing import Final, NoReturn

from ecr_operator.cli.output import CommandError, Terminal
from ecr_operator.core.ports import SystemClock
from ecr_operator.settings.commands import Check, Command, Pull, Refresh, Render, Status
from ecr_operator.settings.flags import PROGRAM

# As shells count a process that was ended by a signal.
_INTERRUPTED: Final = 128 + signal.SIGINT
_TERMINATED: Final = 128 + signal.SIGTERM
_NO_READER: Final = 128 + signal.SIGPIPE


def run(command: Command, program: str = PROGRAM) -> int:
    """Run a command to its end.

    Args:
        command: as read from the command line.
        program: as the user called it.

    Returns:
        The command's exit code; 1 if it can't go on, 130 after Ctrl-C.
    """
    terminal = Terminal(program=program)
    # An exception, so that a live display restores the terminal.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return asyncio.run(_run(command, terminal))
    except CommandError as error:
        terminal.note(str(error))
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Python would report it once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NO_READER


async def _run(command: Command, terminal: Terminal) -> int:
    # Each imported on demand: what one needs takes time to load.
    clock = SystemClock()
    match command:
        case Status():
            from ecr_operator.cli import status  # noqa: PLC0415

            return await status.run(command, terminal, clock)
        case Check():
            from ecr_operator.cli import check  # noqa: PLC0415

            return await check.run(command, terminal, clock)
        case Render():
            from ecr_operator.cli import render  # noqa: PLC0415

            return await render.run(command, terminal, clock)
        case Refresh():
            from ecr_operator.cli import refresh  # noqa: PLC0415

            return await refresh.run(command, terminal, clock)
        case Pull():
            from ecr_operator.cli import pull  # noqa: PLC0415

            return await pull.run(command, terminal, clock)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(_TERMINATED)
