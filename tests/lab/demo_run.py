"""One run of the demo, from the first step to the summary."""

from contextlib import AsyncExitStack
from pathlib import Path

from tests.lab import demo_view
from tests.lab.demo_play import NotSeenError, Play
from tests.lab.demo_screen import Screen
from tests.lab.demo_stage import set_stage


class Demo:
    """One run: set the stage, play, sum up.

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
            with self._screen.table():
                await self._play(play)
            if not self._keep:
                await play.stop_operator()
            self._screen.sum_up(play.summary())
            self._draw()
            if self._keep:
                self._screen.say("", "It stays up until Ctrl-C.", "")
                with self._screen.table():
                    await play.stay()

    async def _play(self, play: Play) -> None:
        await play.until_ready()
        if not self._keep:
            await play.go_on()
            return
        self.is_kept = True
        self._screen.say(*play.to_try())
        try:
            await play.go_on()
        except NotSeenError:
            # Somebody is trying things already.
            self._screen.tell("The resources changed meanwhile; the rest of the play is left out.")

    def _draw(self) -> None:
        if self._picture:
            demo_view.draw(self._screen.story, self._picture)
            self._screen.say("", f"The picture is in {self._picture}.")
