"""A corporate proxy for HTTPS: it accepts CONNECT, and connects every host to one server of the lab.

    async with ConnectProxy(port) as proxy:
        ...  # with HTTPS_PROXY=proxy.url, asking https://sts.eu-west-1.amazonaws.com
        assert proxy.targets == ["sts.eu-west-1.amazonaws.com:443"]

Invariant: leaving the context ends every tunnel.
"""

import asyncio
import contextlib
from typing import Self

_END = b"\r\n\r\n"


class ConnectProxy:
    """The proxy.

    Attributes:
        refuse: answer this status in place of a tunnel.
        targets: host and port of each CONNECT, in order.
        logins: the Proxy-Authorization of each, or an empty string.
    """

    def __init__(self, port: int) -> None:
        """Prepare; `port` of 127.0.0.1 is where every tunnel ends."""
        self._port = port
        self._tunnels: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.refuse: int | None = None
        self.targets: list[str] = []
        self.logins: list[str] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        # Not cancelled: a server's task that is makes the event loop complain.
        for writer in self._tunnels.values():
            writer.transport.abort()
        await asyncio.gather(*self._tunnels, return_exceptions=True)

    def url(self, login: str = "") -> str:
        """The value of HTTPS_PROXY, with a login such as `user:password`."""
        return f"http://{login}{'@' if login else ''}127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tunnels[task] = writer
        try:
            await self._connect(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            del self._tunnels[task]
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(_END)).decode("latin-1").split("\r\n")
        self.targets.append(head[0].split(" ")[1])
        headers = dict(line.split(": ", 1) for line in head if ": " in line)
        self.logins.append(headers.get("Proxy-Authorization", ""))
        if self.refuse:
            writer.write(f"HTTP/1.1 {self.refuse} No\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, back))
                both.create_task(_pump(there, writer))
        finally:
            back.close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()
