"""How clients reach AWS: name lookups, TLS, proxies, timeouts.

- Names are looked up in threads of their own: the loop's default threads are few and shared with everything
  else, so that one slow name server would delay all. The number of lookups is bounded, a name is looked up
  once for all who wait for it, and whoever gives up waiting leaves nothing in a queue.
- All clients share one TLS context: reading the certificate authorities takes 14 ms and 0.7 MiB each time. A
  bundle that changed is read again for the next client.
- Once the authorities are read, a call waits for no thread, but for a name or with a proxy: while the loop is
  busy, a thread gets its turn after 0.1 s (measured with 1,000 resources at the start).
- The SDK's own retries are off: when to call again is decided elsewhere (core.tokens).
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from botocore.exceptions import InvalidProxiesConfigError

from ecr_operator.aws.credential_files import digest
from ecr_operator.settings.proxies import proxy_flaw

_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 10.0
# To one service in one region, at once; more calls than this are never under way.
_CONNECTIONS: Final = 100
# At once, for the endpoints that the SDK lists, and for all others together.
_LISTED_LOOKUPS: Final = 16
OTHER_LOOKUPS: Final = 24

_Key = tuple[str, int, socket.AddressFamily]
_LookUp = Callable[[str, int, socket.AddressFamily], list[ResolveResult]]


def client_config() -> AioConfig:
    """The configuration of every client, of STS too."""
    return AioConfig(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 1},
        connector_args=connector_args(_LISTED_LOOKUPS),
        http_session_cls=SharedTlsSession,
    )


def connector_args(lookups: int) -> dict[str, Any]:
    """How clients connect: with a resolver for this many lookups at once, and keeping no connection."""
    # Calls are hours apart: a connection kept until then has been cut by somebody on the way.
    return {"force_close": True, "keepalive_timeout": None, "resolver": NameResolver(lookups)}


class NameResolver(AbstractResolver):
    """Looks names up as the machine does. Belongs to one event loop; needs no closing."""

    def __init__(self, lookups: int, look_up: _LookUp | None = None) -> None:
        """Look nothing up yet.

        Args:
            lookups: how many names are looked up at once; further ones wait.
            look_up: called in a thread with host, port and family; the machine's by default.
        """
        self._look_up = look_up or _look_up
        self._free = asyncio.Semaphore(lookups)
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
        found: Future[list[ResolveResult]] = Future()
        lookup = self._lookups[key] = asyncio.wrap_future(found)
        lookup.add_done_callback(lambda _: self._on_found(key))

        def look() -> None:
            try:
                found.set_result(self._look_up(*key))
            except Exception as error:  # noqa: BLE001 -- passed on to whoever waits
                found.set_exception(error)

        try:
            # Not of a pool, whose threads the interpreter waits for when it exits.
            threading.Thread(target=look, name="aws-name", daemon=True).start()
        except RuntimeError as error:
            found.set_exception(OSError(str(error)))
        return lookup

    def _on_found(self, key: _Key) -> None:
        self._free.release()
        self._lookups.pop(key).exception()  # Where nobody waits any more, asyncio would print it.


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


# With a digest of the bundle that each was read from.
_contexts: Final[dict[object, tuple[bytes, ssl.SSLContext]]] = {}
# The SDK builds contexts in threads.
_building: Final = threading.Lock()


class SharedTlsSession(AIOHTTPSession):  # type: ignore[misc] # the SDK has no types
    """The SDK's HTTP session with the shared context, and no unusable proxy. Not for client certificates.

    It uses attributes of the SDK's session: were the SDK to rename one, calls would fail, as the tests show.
    """

    async def _create_connector(self, proxy_url: str | None) -> Any:  # noqa: ANN401 -- the SDK has no types
        # The SDK puts http:// before any other scheme, and would look up a host of that scheme's name.
        if proxy_url and (flaw := proxy_flaw(proxy_url.removeprefix("http://"))):
            raise InvalidProxiesConfigError(error=flaw)
        if proxy_url or self._cert_file or self._verify not in _contexts:
            return await super()._create_connector(proxy_url)
        context = self._build_verify_context()
        return TCPConnector(limit=self._max_pool_connections, ssl=context, **self._connector_args)

    def preload(self) -> None:
        """Read the authorities, which other clients then share; may run in a thread."""
        self._build_verify_context()

    def _build_verify_context(self) -> ssl.SSLContext:
        with _building:
            now = digest(Path(self._verify)) if isinstance(self._verify, str) else b""
            known = _contexts.get(self._verify)
            if known is None or known[0] != now:
                known = _contexts[self._verify] = (now, super()._build_verify_context())
            return known[1]
