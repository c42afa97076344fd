"""How the process ends: after a signal in order, in bounded time whatever hangs, after a second one at once.

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

# Seconds from the signal; the limits of the parts add up to less than LIMIT.
LIMIT: Final = 7.0
DRAIN_LIMIT: Final = 2.5
CANCEL_LIMIT: Final = 1.0
RELEASE_LIMIT: Final = 2.0
_FLUSH_LIMIT: Final = 0.3


class Stop:
    """A request to stop by a signal. To be created on the main thread, inside the event loop.

    Attributes:
        requested: set by the first SIGTERM or SIGINT.
    """

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._is_requested = False

    def listen(self) -> None:
        """Handle SIGTERM and SIGINT from now on, to the end of the process."""
        # Not by the loop's own handlers: these also run while something blocks the loop.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._is_requested or self._loop.is_closed():
            end_now()
        self._is_requested = True
        self._loop.call_soon_threadsafe(self.requested.set)
        # A thread, since the loop may be blocked; a daemon, since it must not delay an end in order.
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
    """End the process with exit code 0; of its work only the log is flushed."""
    # In a thread: a write to a log that nobody reads hangs, and holds the lock that a flush needs.
    flushing = threading.Thread(target=_flush, daemon=True)
    # At its end the interpreter starts no thread.
    with contextlib.suppress(RuntimeError):
        flushing.start()
        flushing.join(_FLUSH_LIMIT)
    os._exit(0)


def _flush() -> None:
    # The signal may have interrupted either.
    with contextlib.suppress(Exception):
        logging.shutdown()
        sys.stderr.flush()
