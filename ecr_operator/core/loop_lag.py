"""How late the event loop is: the one number that tells of whatever holds it up."""

from collections.abc import Callable

from ecr_operator.core.ports import Clock

_PERIOD = 1.0


async def watch_loop(clock: Clock, observe: Callable[[float], None]) -> None:
    """Sleep, and tell by how many seconds the waking was late, until cancelled."""
    while True:
        due = clock.monotonic() + _PERIOD
        await clock.sleep(_PERIOD)
        observe(max(clock.monotonic() - due, 0.0))
