"""Names of AWS's endpoints, looked up in threads of their own.

The loop's default threads are few and shared with everything else, so that one slow name server would delay
all. Here no more lookups than a bound are under way, a name is looked up once for all who wait for it, and
who gives up waiting leaves nothing in a queue.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

# For the endpoints that the SDK lists, and for all others together.
LISTED_THREADS: Final = 16
OTHER_THREADS: Final = 24

_Key = tuple[str, int, socket.AddressFamily]
_LookUp = Callable[[str, int, socket.AddressFamily], list[ResolveResult]]


def connector_args(threads: int) -> dict[str, Any]:
    """How clients connect: with a resolver of their own, and without keeping connections.

    Args:
        threads: how many names are looked up at once.
    """
    # Calls are hours apart: a connection kept until then has been cut by somebody on the way.
    return {"force_close": True, "keepalive_timeout": None, "resolver": NameResolver(threads)}


class NameResolver(AbstractResolver):
    """Looks names up as the machine does. Belongs to one event loop; needs no closing."""

    def __init__(self, threads: int, look_up: _LookUp | None = None) -> None:
        """Look nothing up yet.

        Args:
            threads: how many names are looked up at once; who comes then waits.
            look_up: called in a thread with host, port and family; the machine's by default.
        """
        self._look_up = look_up or _look_up
        self._free = asyncio.Semaphore(threads)
        self._lookups: dict[_Key, asyncio.Future[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises OSError."""
        key = (host, port, family)
        lookup = self._lookups.get(key)
        if lookup is None:
            await self._free.acquire()
            if lookup := self._lookups.get(key):
                self._free.release()
            else:
                lookup = self._start(key)
        return await asyncio.shield(lookup)

    async def close(self) -> None:
        """Nothing is open: a lookup can't be ended, and its thread ends with it or with the process."""

    def _start(self, key: _Key) -> "asyncio.Future[list[ResolveResult]]":
        loop = asyncio.get_running_loop()
        lookup: asyncio.Future[list[ResolveResult]]
        lookup = self._lookups[key] = loop.create_future()

        def look() -> None:
            failure: Exception | None = None
            found: list[ResolveResult] = []
            try:
                found = self._look_up(*key)
            except Exception as error:  # noqa: BLE001 -- passed on to who waits
                failure = error
            with suppress(RuntimeError):  # The loop may be closed by now.
                loop.call_soon_threadsafe(self._land, key, found, failure)

        try:
            threading.Thread(target=look, name="aws-name", daemon=True).start()
        except RuntimeError as error:
            self._land(key, [], OSError(str(error)))
        return lookup

    def _land(self, key: _Key, found: list[ResolveResult], failure: Exception | None) -> None:
        lookup = self._lookups.pop(key)
        self._free.release()
        if failure is None:
            lookup.set_result(found)
        else:
            lookup.set_exception(failure)
            lookup.exception()  # Where nobody waits any more, asyncio would print it.


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return [
        ResolveResult(
            # An IPv6 address of one link carries its zone after the address.
            hostname=host,
            host=socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0],
            port=int(address[1]),
            family=found,
            proto=protocol,
            flags=flags,
        )
        for found, _, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG
        )
    ]
