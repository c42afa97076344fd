"""Wait for something to become true, by asking often."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

Result = TypeVar("Result")

# Where speed is not what a test is about, on a busy machine.
LONG = 60.0
_PAUSE = 0.05


@overload
async def wait_for(
    predicate: Callable[[], Awaitable[Result | None]], timeout: float = ..., what: str = ...
) -> Result: ...


@overload
async def wait_for(
    predicate: Callable[[], Result | None], timeout: float = ..., what: str = ...
) -> Result: ...


async def wait_for(predicate: Callable[[], object], timeout: float = LONG, what: str = "") -> object:
    """Call `predicate`, plain or async, every 50 ms until it returns something true, and return that.

    Raises TimeoutError after `timeout` seconds, with what was waited for and the last value seen.
    """
    deadline = time.monotonic() + timeout
    while True:
        result = predicate()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return result
        if time.monotonic() > deadline:
            message = f"not within {timeout:g} s: {what or predicate} (last: {result!r})"
            raise TimeoutError(message)
        await asyncio.sleep(_PAUSE)
