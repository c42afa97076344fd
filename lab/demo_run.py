"""One run of the demo, from the first step to the summary, and the exit code that it comes to."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path

from lab import assets, demo_signals, demo_view
from lab.api import ApiError
from lab.demo_play import NotSeenError, Play
from lab.demo_screen import OutputGoneError, Screen, screen_for
from lab.demo_stage import set_stage
from lab.processes import LabError


def main() -> int:
    """Run it as the command line and the environment say; the exit code."""
    options = _options()
    try:
        _build_what_is_missing()
        keep = os.environ.get("KEEP", "") not in {"", "0"}
        demo = Demo(screen_for(sys.stdout), picture=options.picture, keep=keep)
        number = asyncio.run(_until_signal(demo.run()))
    except KeyboardInterrupt as error:
        return demo_signals.exit_code(error.args[0] if error.args else signal.SIGINT)
    except LabError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except OutputGoneError:
        _forget_output()
        return demo_signals.exit_code(signal.SIGPIPE)
    if number is None:
        return 0
    print("\nStopped; nothing is left behind.")
    return 0 if number == signal.SIGINT and demo.is_kept else demo_signals.exit_code(number)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m lab.demo",
        description="Show the operator at work on a real API server.",
        epilog="environment: KEEP=1 stays up until Ctrl-C, for a look from another terminal",
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the last screen as an SVG file")
    return parser.parse_args()


def _build_what_is_missing() -> None:
    """Build etcd and the API server, before there is a loop: a build cleans up after KeyboardInterrupt."""
    demo_signals.handle(demo_signals.interrupt)
    assets.ensure([assets.ETCD, assets.API_SERVER])
    demo_signals.handle(demo_signals.leave)


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

    for number in demo_signals.heeded():
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


class Demo:
    """Set the stage, play, sum up.

    Attributes:
        is_kept: it is up for good, and only Ctrl-C ends it.
    """

    def __init__(self, screen: Screen, *, picture: Path | None = None, keep: bool = False) -> None:
        """Prepare it; `picture` is where the last screen is drawn, if anywhere."""
        self._screen = screen
        self._picture = picture
        self._keep = keep
        self.is_kept = False

    async def run(self) -> None:
        """Run it. Raises LabError, with the end of the right log."""
        async with AsyncExitStack() as stack:
            play = Play(await set_stage(stack, self._screen), self._screen)
            with self._screen.table(passing=self._keep):
                await self._play(play)
            if not self._keep:
                await play.stop_operator()
            self._screen.sum_up(play.summary())
            self._draw()
            if self._keep:
                self._screen.say("", "It stays up until Ctrl-C.")
                with self._screen.table():
                    await play.stay()

    async def _play(self, play: Play) -> None:
        await play.until_ready()
        if not self._keep:
            await play.go_on()
            return
        self.is_kept = True
        self._screen.say(*await play.to_try())
        try:
            await play.go_on()
        except (NotSeenError, ApiError):
            # Somebody is trying things already.
            self._screen.tell("The resources changed meanwhile; the rest of the play is left out.")

    def _draw(self) -> None:
        if self._picture:
            demo_view.draw(self._screen.story, self._picture)
            self._screen.say("", f"The picture is in {self._picture}.")
