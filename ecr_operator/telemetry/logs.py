"""Logs: one line per outcome, JSON in a cluster and colours on a terminal, libraries in the same stream.

The warnings of libraries are in it too.

Invariant: no secret in any line. The libraries that print tokens at DEBUG stay at WARNING whatever the level.
"""

import logging
import sys
from typing import Final, TextIO

import structlog

from ecr_operator.settings import LogOptions
from ecr_operator.telemetry.repeats import RepeatLimiter

# kubernetes_asyncio.client.rest prints Secret bodies at DEBUG, botocore prints the ECR token; at INFO they
# say nothing for a user.
_TALKATIVE: Final = ("kubernetes_asyncio", "botocore", "aiobotocore", "aiohttp", "urllib3", "asyncio")


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
                *_renderers(options, stream),
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


def _renderers(options: LogOptions, stream: TextIO) -> list[structlog.typing.Processor]:
    terminal = stream.isatty()
    if options.encoder == "console" or (options.encoder is None and terminal):
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=plain)]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(),
    ]
