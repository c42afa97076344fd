"""Tokens that die soon: what share of the time is there a live one?"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from lab.aws_services import TWELVE_HOURS
from lab.bench_audit import STATUSES
from lab.bench_field import Field, count_live
from lab.bench_runs import LIMIT, Lab, operator_at

_EVERY: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """What was seen of tokens with a short life.

    Attributes:
        life: seconds that each lives.
        seconds: how long they were watched.
        share: of all looks at all Secrets, those that found a live token; 1 is always.
        aws_calls: meanwhile, the first included.
    """

    life: float
    seconds: float
    share: float
    aws_calls: int


async def short_lives(lab: Lab, field: Field, life: float, seconds: float) -> Lives:
    """Watch the Secrets of a field from when each was written once."""
    await lab.aws.change(token_life=life)
    try:
        async with operator_at(lab, field) as running:
            await running.tail.until(STATUSES, len(field.rows), LIMIT)
            begun, looks, live = time.monotonic(), 0, 0
            while time.monotonic() < begun + seconds:
                live += await count_live(lab.api, field)
                looks += len(field.rows)
                await asyncio.sleep(_EVERY)
            calls = await lab.aws.calls() - running.aws_calls_before
            lasted = time.monotonic() - begun
    finally:
        await lab.aws.change(token_life=TWELVE_HOURS)
    return Lives(life=life, seconds=lasted, share=live / looks, aws_calls=calls)
