"""Logs: one line per outcome, JSON in a cluster and colours on a terminal, libraries in the same stream.

Guarantees: no secret in any line; libraries that print tokens at DEBUG stay at WARNING whatever the level.
No line is longer than 4 KiB, and no value can break a line, or colour or move a terminal's cursor. Of equal
lines five a minute are written; of those that name a namespace ten a second, and in addition all first
outcomes (`first=True`). What is dropped is counted, in bounded memory.
"""

import json
import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor

from ecr_operator.api.text import one_line, printable
from ecr_operator.settings import LogOptions

# kubernetes_asyncio.client.rest prints Secret bodies at DEBUG, botocore prints the ECR token; at INFO they
# print nothing for a user.
_TALKATIVE: Final = ("kubernetes_asyncio", "botocore", "aiobotocore", "aiohttp", "urllib3", "asyncio")
_LONGEST_LINE: Final = 4095  # bytes, without the line break
# Characters of a value; fewer where the line is too long.
_LONGEST_VALUES: Final = (1000, 250, 50, 10)
_LONGEST_TRACE: Final = 2500
_TRACES: Final = frozenset({"exception", "stack"})
_MOST_WINDOWS: Final = 2000
# Fields that differ between repeats of a line.
_VOLATILE: Final = frozenset({"timestamp", "duration"})


def configure(options: LogOptions, stream: TextIO = sys.stderr) -> None:
    """Make structlog and the standard library's logging write to one stream.

    Args:
        options: the level, and the encoder if it does not follow from the stream.
        stream: gets colours if it is a terminal, JSON otherwise.
    """
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    rendering: list[Processor] = [
        structlog.processors.format_exc_info,
        _BoundedRenderer(_renderer(options, stream)),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *rendering,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=options.level, force=True)
    logging.captureWarnings(capture=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(options.level, logging.WARNING))
    # Our own lines go straight to the stream: through the standard library each would cost twice as much.
    structlog.configure(
        processors=[LineLimiter(), *shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(options.level),
        logger_factory=lambda *_: _Writer(stream),
        cache_logger_on_first_use=True,
    )


class _Writer:
    """Writes lines to a stream; one that can't be written is lost, as with the standard library."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def info(self, line: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = warning = error = critical = info


class LineLimiter:
    """A structlog processor that drops repeated lines, and those beyond the share of their namespace.

    The next equal line that is written has the number of dropped ones as `repeated`; the next line of the
    namespace has the number of those beyond its share as `left_out`.

    Args:
        monotonic: seconds that never step.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        # The windows of the keys used last; each key is a hash.
        windows = lru_cache(_MOST_WINDOWS)
        self._equal = windows(lambda _: _Window(deque(maxlen=5), 60.0))
        self._of_namespace = windows(lambda _: _Window(deque(maxlen=10), 1.0))

    def __call__(self, _logger: object, _method: str, line: EventDict) -> EventDict:
        """Return the line.

        Raises:
            structlog.DropEvent: the line is dropped.
        """
        first, now = bool(line.pop("first", False)), self._monotonic()
        equal = self._equal(_content(line))
        equal.check(now)
        namespace = line.get("namespace")
        if isinstance(namespace, str):
            share = self._of_namespace(hash(namespace))
            if not first:
                share.check(now)
                share.written.append(now)
            share.report(line, "left_out")
        equal.written.append(now)
        equal.report(line, "repeated")
        return line


@dataclass(slots=True)
class _Window:
    """When the last lines of one key were written, and how many were dropped since."""

    written: deque[float]
    seconds: float
    dropped: int = 0

    def check(self, now: float) -> None:
        if len(self.written) == self.written.maxlen and now - self.written[0] < self.seconds:
            self.dropped += 1
            raise structlog.DropEvent

    def report(self, line: EventDict, field: str) -> None:
        if self.dropped:
            line[field], self.dropped = self.dropped, 0


def _content(line: EventDict) -> int:
    """A hash of all that makes two lines equal."""
    names = sorted(line.keys() - _VOLATILE)
    return hash(tuple((name, str(line[name])[: _LONGEST_VALUES[0]]) for name in names))


class _BoundedRenderer:
    """Renders lines of at most 4 KiB: it shortens the values of a longer one."""

    def __init__(self, render: Processor) -> None:
        self._render = render

    def __call__(self, logger: Any, method: str, line: EventDict) -> str:  # noqa: ANN401 - structlog's
        for longest in _LONGEST_VALUES:
            text = str(self._render(logger, method, _shorten(line, longest)))
            if len(encoded := text.encode()) <= _LONGEST_LINE:
                return text
        return encoded[:_LONGEST_LINE].decode(errors="ignore")


def _shorten(line: EventDict, longest: int) -> EventDict:
    longest_trace = _LONGEST_TRACE * longest // _LONGEST_VALUES[0]
    return {
        one_line(name, longest): _last_lines(str(value), longest_trace)
        if name in _TRACES
        else _shorten_value(value, longest)
        for name, value in line.items()
    }


def _shorten_value(value: object, longest: int) -> object:
    return value if isinstance(value, int | float | None) else one_line(str(value), longest)


def _last_lines(trace: str, longest: int) -> str:
    """The end of a traceback, which has the error."""
    return "\n".join(printable(line, longest) for line in trace[-longest:].splitlines())


def _renderer(options: LogOptions, stream: TextIO) -> Processor:
    terminal = stream.isatty()
    if options.encoder == "console" or (options.encoder is None and terminal):
        plain = structlog.dev.plain_traceback
        return structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=plain)
    return _json


def _json(_logger: object, _method: str, line: EventDict) -> str:
    message = line.pop("event")
    return json.dumps({**line, "message": message})
