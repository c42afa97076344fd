"""How the process ends: asked by a signal, in order, in time whatever hangs, at once when asked twice.

v0.6.0's Deployment gives 10 s between SIGTERM and SIGKILL, of which the kubelet may need 2.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import Final

# Seconds from the signal; what the parts of a stop may take adds up to less than LIMIT.
LIMIT: Final = 7.0
DRAIN_LIMIT: Final = 2.5
CANCEL_LIMIT: Final = 1.0
RELEASE_LIMIT: Final = 2.0
_FLUSH_LIMIT: Final = 0.3


class Stop:
    """The wish to stop. Made on the main thread, inside the event loop.

    Attributes:
        requested: set by the first SIGTERM or SIGINT.
    """

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._asked = False

    def listen(self) -> None:
        """Take SIGTERM and SIGINT from now on, to the end of the process."""
        # Not by the loop's own handlers: these are called also while something holds the loop up.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._asked or self._loop.is_closed():
            end_now()
        self._asked = True
        self._loop.call_soon_threadsafe(self.requested.set)
        # A thread, since nothing is sure to run on the loop; a daemon, since it must not hold up a good end.
        last_resort = threading.Timer(LIMIT, end_now)
        last_resort.daemon = True
        last_resort.start()


async def end(task: "asyncio.Task[None]", limit: float) -> None:
    """Cancel a task and wait for its end, but not for ever.

    Raises:
        Exception: what the task ended with, if it was not the cancellation.
    """
    task.cancel()
    await asyncio.wait((task,), timeout=limit)
    if task.done() and not task.cancelled():
        task.result()


def end_now() -> None:
    """End the process with exit code 0, with its log flushed and nothing else seen to."""
    # Who writes to a log that nobody reads hangs, and holds what is needed to flush it.
    flushing = threading.Thread(target=_flush, daemon=True)
    # The interpreter may be at its end already, and start none.
    with contextlib.suppress(RuntimeError):
        flushing.start()
        flushing.join(_FLUSH_LIMIT)
    os._exit(0)


def _flush() -> None:
    # Any of it may be in the middle of being done.
    with contextlib.suppress(Exception):
        logging.shutdown()
        sys.stderr.flush()
