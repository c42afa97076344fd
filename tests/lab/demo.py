"""The demo: the operator's main job on real parts, in about a minute.

Run `python -m tests.lab.demo [--picture FILE]`. With KEEP=1 it stays up until Ctrl-C.

Exit codes: 0; 1 when a step failed, with the end of the right log; 128 and the signal's number when a
signal came first. Whatever way it ends, no process and no folder is left behind.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BY_SIGNAL = 128


def main() -> int:
    """Run the demo; the exit code."""
    options = _options()
    try:
        for number in _heeded():
            signal.signal(number, _interrupt)
        return _run(options.picture)
    except KeyboardInterrupt as error:
        return _BY_SIGNAL + (error.args[0] if error.args else signal.SIGINT)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.demo",
        description="Show the operator at work on a real API server.",
        epilog="environment: KEEP=1 stays up until Ctrl-C, for a look from another terminal",
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the last screen as an SVG file")
    return parser.parse_args()


def _heeded() -> list[signal.Signals]:
    """Return the signals that end the demo; who starts it with nohup wants it to outlive the terminal."""
    return [
        number for number in _SIGNALS if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN
    ]


def _interrupt(number: int, _: FrameType | None) -> None:
    """Stop what is done outside of the event loop: imports, and building the binaries."""
    raise KeyboardInterrupt(number)


def _run(picture: Path | None) -> int:
    # Only now: these take half a second, in which a signal must find its handler already.
    from tests.lab import assets, demo_run, demo_screen, processes  # noqa: PLC0415

    keep = os.environ.get("KEEP", "") not in {"", "0"}
    demo = demo_run.Demo(demo_screen.screen_for(sys.stdout), picture=picture, keep=keep)
    try:
        assets.ensure([assets.ETCD, assets.API_SERVER])
        number = asyncio.run(_until_signal(demo.run()))
    except processes.LabError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except demo_screen.OutputGoneError:
        _forget_output()
        number = signal.SIGPIPE
    if number is None or (number == signal.SIGINT and demo.is_kept):
        return 0
    return _BY_SIGNAL + number


async def _until_signal(work: Coroutine[None, None, None]) -> signal.Signals | None:
    """Do the work; at the first signal cancel it, let it clean up, and return the signal."""
    task = asyncio.create_task(work)
    came: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        if number == signal.SIGHUP:
            _forget_output()
        if not came:
            task.cancel()
        came.append(number)

    for number in _heeded():
        asyncio.get_running_loop().add_signal_handler(number, end, number)
    try:
        await task
    except (asyncio.CancelledError, Exception):
        # What breaks while all is being torn down is no news.
        if not came:
            raise
    return came[0] if came else None


def _forget_output() -> None:
    """Let what is still written go nowhere: a terminal that is gone would make it fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
