"""Speaking HTTP to a server, byte by byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heard:
    """A server's answer."""

    status: int
    headers: dict[str, str]
    body: str


async def say(port: int, request: bytes) -> bytes:
    """Send bytes, and return everything until the server closes the connection."""
    async with connected(port) as (reader, writer):
        writer.write(request)
        return await reader.read()


async def ask(port: int, path: str, method: str = "GET", header: str = "Host: localhost\r\n") -> Heard:
    """Make one request."""
    answer = await say(port, f"{method} {path} HTTP/1.1\r\n{header}\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Heard(int(first.split(" ")[1]), headers, body.decode())


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Have a connection open for a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
