"""What goes wrong at a server of the lab: at the local AWS, or at the proxy of the API server."""

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiohttp import web


@dataclass(slots=True, kw_only=True)
class Fault(ABC):
    """One thing that goes wrong, `times` times or, with None, until cleared."""

    kind: str
    times: int | None = None

    @abstractmethod
    def fits(self, call: Any) -> bool:
        """Whether this call is one that it is meant for."""

    def hits(self, call: Any) -> bool:
        """Whether it hits this call; counts it if so."""
        if self.times == 0 or not self.fits(call):
            return False
        if self.times is not None:
            self.times -= 1
        return True


AnyFault = TypeVar("AnyFault", bound=Fault)


class Faults(Generic[AnyFault]):
    """What goes wrong at present: `faults`, of which the oldest that fits a call wins."""

    def __init__(self) -> None:
        self.faults: list[AnyFault] = []
        self._released = asyncio.Event()

    def add(self, fault: AnyFault) -> AnyFault:
        """Put one more fault at the end of the plan."""
        self.faults.append(fault)
        return fault

    def release(self) -> None:
        """Let what hangs go on, and hang no more."""
        self.faults = [fault for fault in self.faults if fault.kind != "hang"]
        self._released.set()
        self._released = asyncio.Event()

    def clear(self) -> None:
        """Let nothing go wrong any more; also releases."""
        self.faults.clear()
        self.release()

    def find_fault(self, call: Any) -> AnyFault | None:
        """Return the fault that hits this call, if any."""
        return next((fault for fault in self.faults if fault.hits(call)), None)

    async def released(self) -> None:
        """Wait for the next `release`."""
        await self._released.wait()


def reset(request: web.Request) -> web.Response:
    """Reset a request's connection; the answer only ends its handler."""
    if request.transport is not None:
        # A linger of 0 s makes the kernel send RST in place of FIN.
        linger = struct.pack("ii", 1, 0)
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        request.transport.abort()
    return web.Response()
