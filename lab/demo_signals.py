"""What the demo does at Ctrl-C, SIGTERM, and when its terminal is closed, at each stage of its life.

Imports little, since it has to be there before all else.
"""

import os
import signal
from collections.abc import Callable
from types import FrameType

IGNORED = signal.SIG_IGN
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BY_SIGNAL = 128

Handler = Callable[[int, FrameType | None], None]


def heeded() -> list[signal.Signals]:
    """Return the signals that end the demo; who starts it with nohup wants it to outlive the terminal."""
    return [
        number for number in _SIGNALS if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN
    ]


def handle(handler: Handler | signal.Handlers) -> None:
    """Set the handler of all of them."""
    for number in heeded():
        signal.signal(number, handler)


def exit_code(number: int) -> int:
    """Return the exit code that tells of a signal."""
    return _BY_SIGNAL + number


def leave(number: int, _: FrameType | None) -> None:
    """End at once, while there is nothing to clean up. An exception might be lost inside of an import."""
    os._exit(exit_code(number))


def interrupt(number: int, _: FrameType | None) -> None:
    """Raise KeyboardInterrupt with the signal's number."""
    raise KeyboardInterrupt(number)
