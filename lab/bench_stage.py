"""What the benchmark's processes need: a lean environment, and a local AWS in a process of its own."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import aiohttp

from lab.janitor import temporary_folder
from lab.processes import Process
from lab.waiting import wait_for

ROOT: Final = Path(__file__).parents[1]


def lean_environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment for a child process with nothing of the caller's own in it but PATH."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONUNBUFFERED": "1", **more}


class AwsProcess:
    """The local AWS as a process of its own, so that it shares no interpreter with the observer."""

    async def __aenter__(self) -> Self:
        """Start it and wait for its URL."""
        self._stack = ExitStack()
        home = self._stack.enter_context(temporary_folder("ecr-aws-"))
        self._process = Process(
            "the local AWS",
            [sys.executable, "-m", "lab.aws"],
            log=home / "aws.log",
            env=lean_environment(home),
            cwd=ROOT,
        )
        self._stack.enter_context(self._process)
        self.url = await wait_for(lambda: self._first_line(home / "aws.log"), 20, "the local AWS")
        self._session = aiohttp.ClientSession(self.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        await self._session.close()
        self._stack.close()

    def _first_line(self, log: Path) -> str:
        if not self._process.running:
            raise self._process.error("did not start")
        first, newline, _ = log.read_text().partition("\n")
        return first if newline and first.startswith("http") else ""

    async def change(self, **settings: float) -> None:
        """Change settings: `delay` of every answer, `token_life`; both in seconds."""
        async with self._session.patch("/_lab", json=settings) as answer:
            answer.raise_for_status()

    async def calls(self) -> int:
        """Count the calls of GetAuthorizationToken so far."""
        async with self._session.get("/_lab") as answer:
            counts = (await answer.json())["counts"]
        return sum(row["count"] for row in counts if row["operation"] == "GetAuthorizationToken")
