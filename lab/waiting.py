"""Wait for something to become true, by asking often."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

Result = TypeVar("Result")

# Where speed is not what a test is about, on a busy machine.
LONG = 60.0
_PAUSE, _LONGEST_PAUSE = 0.05, 0.25


@overload
async def wait_for(
    predicate: Callable[[], Awaitable[Result | None]], timeout: float = ..., what: str = ...
) -> Result: ...


@overload
async def wait_for(
    predicate: Callable[[], Result | None], timeout: float = ..., what: str = ...
) -> Result: ...


async def wait_for(predicate: Callable[[], object], timeout: float = LONG, what: str = "") -> object:
    """Call `predicate`, plain or async, until it returns something true, and return that.

    The pause is 50 ms at first, and grows with the time waited to a quarter of a second.

    Raises TimeoutError after `timeout` seconds, with what was waited for and the last value seen.
    """
    began = time.monotonic()
    while True:
        result = predicate()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return result
        waited = time.monotonic() - began
        if waited > timeout:
            message = f"not within {timeout:g} s: {what or predicate} (last: {result!r})"
            raise TimeoutError(message)
        await asyncio.sleep(min(_PAUSE + waited / 20, _LONGEST_PAUSE))
