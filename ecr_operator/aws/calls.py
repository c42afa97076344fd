"""Calls to AWS, as the metrics tell of them.

Invariant: a region may be whatever a user wrote, so that only those that the SDK knows are told by name.
Leaves out: the calls that the SDK itself makes to find the operator's own keys.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ecr_operator.api.token import plain_region
from ecr_operator.aws.endpoints import is_listed
from ecr_operator.aws.errors import reason_of
from ecr_operator.telemetry.metrics import SUCCESS, Metrics

_OTHER_REGION: Final = "other"


@contextmanager
def noted(metrics: Metrics, service: str, region: str, operation: str) -> Iterator[None]:
    """Note a call's time and outcome; one that the operator's stop cuts short is not told of.

    Args:
        metrics: where.
        service: the SDK's name of it.
        region: whose endpoint is asked.
        operation: the SDK's name of it, such as `assume_role`.
    """
    named = f"{service}:{''.join(word.capitalize() for word in operation.split('_'))}"
    plain = plain_region(region)
    shown_region = plain if is_listed(plain) else _OTHER_REGION
    began = time.monotonic()
    try:
        yield
    except Exception as error:
        metrics.aws_call(named, shown_region, reason_of(error), time.monotonic() - began)
        raise
    metrics.aws_call(named, shown_region, SUCCESS, time.monotonic() - began)
