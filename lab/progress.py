"""What a long step is doing: how long it usually takes and, every 10 s, how far it is.

Reports come also while the step prints nothing. Left out: running it; callers hand in what it prints.
Standard library only, as the packages themselves are installed with it.
"""

import queue
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_WIDTH = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A long step; the lines that it prints are counted if they match `unit`.

    `usually` says how long it takes, `units` is the plural to report, `about` the usual number of them,
    `every` the seconds between two reports.
    """

    title: str
    usually: str
    unit: re.Pattern[str]
    units: str
    about: int = 0
    every: float = 10.0


def follow(step: Step, lines: Iterable[str]) -> list[str]:
    """Report on a step until its lines end; return the last 20 of those that are no unit.

    What reading the lines raises is raised here.
    """
    say(f"{step.title}; usually {step.usually}…")
    started = shown = time.monotonic()
    count, last, others = 0, "", deque[str](maxlen=20)
    for line in _with_silences(lines, step.every):
        if line and step.unit.match(line):
            count += 1
        elif line:
            others.append(line)
        last = line.strip() or last
        now = time.monotonic()
        if now - shown >= step.every:
            shown = now
            say(_report(step, now - started, count, last))
    return list(others)


def say(line: str) -> None:
    """Print a line of progress: on stderr, since stdout is for results."""
    print(line, file=sys.stderr, flush=True)


def _report(step: Step, seconds: float, count: int, last: str) -> str:
    minutes, rest = divmod(int(seconds), 60)
    number = f"{count:,} of about {step.about:,}" if count < step.about else f"{count:,}"
    short = last if len(last) <= _WIDTH else f"{last[:_WIDTH]}…"
    return f"  {minutes}:{rest:02} {number} {step.units}; {short or 'starting'}"


def _with_silences(lines: Iterable[str], seconds: float) -> Iterator[str]:
    """Yield the lines, and an empty one whenever none came for so long."""
    read: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()

    def reader() -> None:
        try:
            for line in lines:
                read.put(line.rstrip())
        except BaseException as error:  # noqa: BLE001 - raised again by the reading thread's owner
            read.put(error)
        read.put(None)

    threading.Thread(target=reader, daemon=True).start()
    while True:
        try:
            line = read.get(timeout=seconds)
        except queue.Empty:
            line = ""
        if line is None:
            return
        if isinstance(line, BaseException):
            raise line
        yield line
