"""Logs: one line per outcome, JSON in a cluster and colours on a terminal, libraries in the same stream.

The warnings of libraries are in it too.

Invariants: no secret in any line; the libraries that print tokens at DEBUG stay at WARNING at any level.
No line is longer than 4 KiB, and nothing in a value can break a line, or colour or move a terminal's cursor.
"""

import logging
import sys
from typing import Any, Final, TextIO

import structlog

from ecr_operator.api.text import one_line, printable
from ecr_operator.settings import LogOptions
from ecr_operator.telemetry.repeats import RepeatLimiter

# kubernetes_asyncio.client.rest prints Secret bodies at DEBUG, botocore prints the ECR token; at INFO they
# say nothing for a user.
_TALKATIVE: Final = ("kubernetes_asyncio", "botocore", "aiobotocore", "aiohttp", "urllib3", "asyncio")
_LONGEST_LINE: Final = 4095  # bytes, without the line break
# Characters of a value; fewer, where they make a line too long.
_LONGEST_VALUES: Final = (1000, 250, 50, 10)
_LONGEST_TRACE: Final = 2500
_TRACES: Final = frozenset({"exception", "stack"})


def configure(options: LogOptions, stream: TextIO = sys.stderr) -> None:
    """Set up structlog and the standard library's logging to write to one stream.

    Args:
        options: the level, and the form if it is not to follow from the stream.
        stream: where lines go; colours if it is a terminal, JSON otherwise.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _Bounded(_renderer(options, stream)),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=options.level, force=True)
    logging.captureWarnings(capture=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(options.level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            RepeatLimiter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


class _Bounded:
    """Renders lines of at most 4 KiB: where one is longer, its values are cut shorter."""

    def __init__(self, render: structlog.typing.Processor) -> None:
        self._render = render

    def __call__(self, logger: Any, method: str, line: structlog.typing.EventDict) -> str:  # noqa: ANN401 - structlog's
        """Return the line as text."""
        for longest in _LONGEST_VALUES:
            text = str(self._render(logger, method, _cut(line, longest)))
            if len(encoded := text.encode()) <= _LONGEST_LINE:
                return text
        return encoded[:_LONGEST_LINE].decode(errors="ignore")


def _cut(line: structlog.typing.EventDict, longest: int) -> structlog.typing.EventDict:
    share = _LONGEST_TRACE * longest // _LONGEST_VALUES[0]
    return {
        one_line(name, longest): _last_lines(str(value), share) if name in _TRACES else _short(value, longest)
        for name, value in line.items()
    }


def _short(value: object, longest: int) -> object:
    return value if isinstance(value, int | float | None) else one_line(str(value), longest)


def _last_lines(trace: str, longest: int) -> str:
    """The end of a traceback, which says what happened."""
    last = trace[-longest:].splitlines()
    return "\n".join(printable(line, longest) for line in last)


def _renderer(options: LogOptions, stream: TextIO) -> structlog.typing.Processor:
    terminal = stream.isatty()
    if options.encoder == "console" or (options.encoder is None and terminal):
        plain = structlog.dev.plain_traceback
        return structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=plain)
    return _json


def _json(logger: Any, method: str, line: structlog.typing.EventDict) -> str | bytes:  # noqa: ANN401 - structlog's
    named = structlog.processors.EventRenamer("message")(logger, method, line)
    return structlog.processors.JSONRenderer()(logger, method, named)
