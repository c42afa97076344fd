"""The loop's lateness is seen."""

import asyncio

from ecr_operator.core.snapshot import watch_loop
from tests.fakes import FakeClock, settle


class LateClock(FakeClock):
    """Wakes sleepers too late.

    Attributes:
        late: by how many seconds.
    """

    late = 0.0

    async def sleep(self, seconds: float) -> None:
        """Wait longer than was asked for."""
        await super().sleep(seconds + self.late)


async def test_each_second_it_tells_by_how_much_it_woke_too_late() -> None:
    clock, told = LateClock(), list[float]()
    task = asyncio.create_task(watch_loop(clock, told.append))
    await settle()
    clock.late = 0.5
    await clock.advance(4)
    task.cancel()
    await settle()
    assert told == [0, 0.5, 0.5]
