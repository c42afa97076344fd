"""A way for clients to reach ECR's hosts on this machine: a proxy for HTTPS_PROXY that knows these only.

It passes bytes and reads none of them: TLS is between the client and the door.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from types import TracebackType
from typing import Self


class Tunnel:
    """A proxy that knows CONNECT to some hosts; use it as an async context manager."""

    def __init__(self, hosts: Collection[str], *, to: int) -> None:
        """Prepare it; `to` is the port on 127.0.0.1 where all these hosts are."""
        self._targets = {f"{host}:443" for host in hosts}
        self._port = to
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every connection."""
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def url(self) -> str:
        """What HTTPS_PROXY has to say."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._connect(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with _closing(writer):
            request = (await reader.readline()).decode().split()
            while (await reader.readline()).strip():
                pass
            if request[:1] != ["CONNECT"] or request[1] not in self._targets:
                writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
                return
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
            async with _closing(back):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(_pipe(reader, back), _pipe(there, writer))


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(2**16):
            sink.write(chunk)
            await sink.drain()
    with contextlib.suppress(OSError):
        sink.write_eof()
