"""Logs: one line per outcome, JSON in a cluster and colours on a terminal, libraries in the same stream.

Invariant: no secret in any line. The libraries that print tokens at DEBUG stay at WARNING whatever the level.
"""

import logging
import sys
from typing import Final, TextIO

import structlog

# kubernetes_asyncio.client.rest prints Secret bodies at DEBUG, botocore prints the ECR token; at INFO they
# say nothing for a user.
_TALKATIVE: Final = ("kubernetes_asyncio", "botocore", "aiobotocore", "aiohttp", "urllib3", "asyncio")


def configure(stream: TextIO = sys.stderr, level: int = logging.INFO) -> None:
    """Set up structlog and the standard library's logging to write to one stream.

    Args:
        stream: where lines go; colours if it is a terminal, JSON otherwise.
        level: the least severe level that is shown.
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
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(stream)],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _renderers(stream: TextIO) -> list[structlog.typing.Processor]:
    if stream.isatty():
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(),
    ]
