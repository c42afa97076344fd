"""Runs a command: its exit code, and one line for every error that a user can cause."""

import asyncio
import importlib
import os
import signal
import sys
from types import FrameType
from typing import Final, NoReturn

from ecr_operator.cli.output import CommandError, Terminal
from ecr_operator.core.ports import Clock, SystemClock
from ecr_operator.settings.commands import Command
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
        The command's exit code; 130 after Ctrl-C.
    """
    terminal = Terminal(program=program)
    # An exception, so that a live display restores the terminal.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return asyncio.run(run_on(terminal, command, SystemClock()))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Python would report it once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NO_READER


async def run_on(terminal: Terminal, command: Command, clock: Clock) -> int:
    """Run a command that writes to a terminal, and return its exit code."""
    # The module of the command's name; only this one, since what each needs takes time to load.
    module = importlib.import_module(f"ecr_operator.cli.{type(command).__name__.lower()}")
    try:
        code: int = await module.run(command, terminal, clock)
    except CommandError as error:
        terminal.note(str(error))
        return 1
    return code


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(_TERMINATED)
