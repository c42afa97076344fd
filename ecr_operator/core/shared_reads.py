"""Shared reads: many requests at once get the result of one read that began after each of them."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SharedReads(Generic[K, V]):
    """Reads by key, one at a time; requests during one share the next.

    Args:
        read: reads what belongs to a key.
    """

    def __init__(self, read: Callable[[K], Awaitable[V]]) -> None:
        self._read = read
        self._next: dict[K, asyncio.Task[V]] = {}
        self._turns: WeakValueDictionary[K, asyncio.Lock] = WeakValueDictionary()
        self._running: set[asyncio.Task[V]] = set()

    async def read(self, key: K) -> V:
        """What belongs to the key, read after this call. Raises what the read raises."""
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._run(key), name=f"read {key}")
            self._running.add(task)
            task.add_done_callback(self._ended)
        # An asker that is cancelled leaves the read to the others.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Cancel what is being read."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: K) -> V:
        turn = self._turns.setdefault(key, asyncio.Lock())
        try:
            await turn.acquire()
        finally:
            # From here on a request needs another read.
            del self._next[key]
        try:
            return await self._read(key)
        finally:
            turn.release()

    def _ended(self, task: "asyncio.Task[V]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # every asker may have been cancelled
