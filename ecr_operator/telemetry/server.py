"""Serves /metrics to Prometheus, /healthz and /readyz to the kubelet.

Both servers run on the event loop that does the work, so that a blocked loop answers no probe.
Invariants: only GET and HEAD of known paths. The head of a request is bounded, a connection ends after ten
seconds, and beyond 32 connections the oldest ends, so that nobody can keep the kubelet out by holding
connections open. /metrics is answered only for `Host` headers that no stranger can point at this process (DNS
rebinding: a web page whose own name resolves to the pod's address makes a browser in the cluster read it).
Leaves out: TLS and authentication, which kube-rbac-proxy or a service mesh add.
"""

import asyncio
import errno
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Self

import structlog
from aiohttp import web

from ecr_operator.settings import BindAddress, Settings
from ecr_operator.telemetry.metrics import CONTENT_TYPE, Metrics
from ecr_operator.telemetry.probes import Probes

# Of config/rbac/auth_proxy_service.yaml, as in v0.6.0.
SERVICE: Final = "ecr-secret-operator-controller-manager-metrics-service"

_METRICS_FLAG: Final = "--metrics-bind-address"
_PROBES_FLAG: Final = "--health-probe-bind-address"
_NO_IPV6: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
_LONGEST_LINE: Final = 8190  # bytes, of a request line or header
_MOST_HEADERS: Final = 32
_LONGEST: Final = 10.0  # seconds, from connecting to the last byte
_MOST_CONNECTIONS: Final = 32
_CLOSE_LIMIT: Final = 0.2  # seconds
_RESOLV_CONF: Final = Path("/etc/resolv.conf")
# Also in place of aiohttp's `Server`, which names its version and Python's.
_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Server": "ecr-secret-operator"}
_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]*)?")

Page = Callable[[], Awaitable[web.Response]]

log = structlog.get_logger(__name__)
# aiohttp logs a traceback for each malformed request, which anybody can send at any rate.
_silent = logging.getLogger(f"{__name__}.requests")
_silent.disabled = True


class BindError(Exception):
    """A requested address can't be bound; the message says what to do."""


class Endpoints:
    """Serves metrics and probes from `open` until the context is left."""

    def __init__(self, settings: Settings, metrics: Metrics, probes: Probes) -> None:
        probe_pages = {
            "/healthz": partial(_probe, probes.liveness_failures),
            "/readyz": partial(_probe, probes.readiness_failures),
        }
        self._pages = (
            (_METRICS_FLAG, settings.metrics, {"/metrics": partial(_metrics, metrics)}, _hosts(settings)),
            # Probes may come with any Host header, and their answers are not confidential.
            (_PROBES_FLAG, settings.probes, probe_pages, None),
        )
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def open(self) -> None:
        """Start to serve.

        Raises:
            BindError: an address set explicitly can't be bound; without a default one the operator runs on.
        """
        # All are bound before any is served, so that a failed start logs a single line.
        with ExitStack() as bound:
            sockets = [
                (pages, hosts, bound.enter_context(listening))
                for flag, address, pages, hosts in self._pages
                if address and (listening := _bind(flag, address, " and ".join(pages)))
            ]
            bound.pop_all()
        for pages, hosts, listening in sockets:
            server = BoundedServer(partial(_answer, pages, hosts))
            listener = await asyncio.get_running_loop().create_server(server, sock=listening)
            self._open.push_async_callback(server.shutdown, _CLOSE_LIMIT)
            self._open.callback(listener.close)
            log.info("serving", paths=" and ".join(pages), address=_format(*listening.getsockname()[:2]))


class BoundedServer(web.Server):
    """aiohttp's server, which by itself bounds neither the time nor the number of connections.

    Args:
        handler: answers requests.
        longest: seconds that a connection may last.
        most: connections at once.
    """

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.Response]],
        *,
        longest: float = _LONGEST,
        most: int = _MOST_CONNECTIONS,
    ) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._longest = longest
        self._most = most
        self._open: dict[web.RequestHandler, tuple[asyncio.Transport, asyncio.TimerHandle]] = {}

    def __call__(self) -> web.RequestHandler:
        """Make the protocol of one connection."""
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=_silent,
            logger=_silent,
            lingering_time=0,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
            max_headers=_MOST_HEADERS,
        )

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Limit the connection's time, and end the oldest if this is one too many."""
        super().connection_made(handler, transport)
        if len(self._open) >= self._most:
            self._end(next(iter(self._open)))
        timer = asyncio.get_running_loop().call_later(self._longest, self._end, handler)
        self._open[handler] = transport, timer

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Release what `connection_made` keeps."""
        if found := self._open.pop(handler, None):
            found[1].cancel()
        super().connection_lost(handler, exc)

    def _end(self, handler: web.RequestHandler) -> None:
        transport, timer = self._open.pop(handler)
        timer.cancel()
        transport.abort()


class _Connection(web.RequestHandler):
    def handle_error(self, *args: Any, **kwargs: Any) -> web.StreamResponse:  # noqa: ANN401 - aiohttp's
        """Answer what is not HTTP, with the headers of every other answer."""
        response = super().handle_error(*args, **kwargs)
        response.headers.update(_HEADERS)
        return response


async def _answer(pages: Mapping[str, Page], hosts: "Hosts | None", request: web.BaseRequest) -> web.Response:
    if hosts and not all(map(hosts.accept, request.headers.getall("Host", ()))):
        response = web.Response(status=421, text=f"{hosts.advice}\n")
    elif request.method not in ("GET", "HEAD"):
        response = web.Response(status=405, text="Method Not Allowed\n", headers={"Allow": "GET, HEAD"})
    elif page := pages.get(request.path.removesuffix("/")):
        response = await _called(page, request.path)
    else:
        response = web.Response(status=404, text="Not Found\n")
    response.headers.update(_HEADERS)
    response.force_close()
    return response


async def _called(page: Page, path: str) -> web.Response:
    try:
        return await page()
    except Exception as error:  # noqa: BLE001 - the operator goes on without this page
        log.warning("a page can't be served", path=path, error=type(error).__name__)
        return web.Response(status=500, text="Internal Server Error\n")


async def _metrics(metrics: Metrics) -> web.Response:
    return web.Response(body=await metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})


async def _probe(failures: Callable[[], list[str]]) -> web.Response:
    if found := failures():
        return web.Response(status=500, text="\n".join([*found, ""]))
    return web.Response(text="ok")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """The `Host` headers that are answered: IP addresses, localhost and these names.

    Attributes:
        names: in lower case.
        advice: for a client that used another one.
    """

    names: frozenset[str] = frozenset()
    advice: str = "Use an IP address or localhost as the host."

    @classmethod
    def of_service(cls, namespace: str, resolv_conf: str) -> Self:
        """The names by which pods find the Service of the metrics.

        Args:
            namespace: the operator's own; empty outside a cluster, where there is no Service.
            resolv_conf: the text of /etc/resolv.conf, whose search list has the cluster's domain.
        """
        if not namespace:
            return cls()
        lines = [line.split() for line in resolv_conf.splitlines()]
        search = [
            domain.rstrip(".").lower() for line in lines if line[:1] == ["search"] for domain in line[1:]
        ]
        suffixes = ["", f".{namespace}", f".{namespace}.svc"]
        suffixes += [f".{namespace}.{domain}" for domain in search if domain.startswith("svc.")]
        return cls(
            names=frozenset(f"{SERVICE}{suffix}" for suffix in suffixes),
            advice=f"Use an IP address, localhost or {SERVICE}.{namespace}.svc as the host.",
        )

    def accept(self, header: str) -> bool:
        """Whether a request with this header is meant for this server; a port may follow the host."""
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        name = found["name"] or ""
        return _is_address(found["v6"] or name) or name.removesuffix(".").lower() in {
            *self.names,
            "localhost",
        }


def _hosts(settings: Settings) -> Hosts | None:
    """Any host behind kube-rbac-proxy, which authenticates; else those of the Service."""
    address = settings.metrics
    if settings.in_cluster and address and _is_loopback(address.host or ""):
        return None
    try:
        resolv_conf = _RESOLV_CONF.read_text(encoding="latin-1")
    except OSError:
        resolv_conf = ""
    return Hosts.of_service(settings.namespace, resolv_conf)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _bind(flag: str, address: BindAddress, paths: str) -> socket.socket | None:
    try:
        return listen(address.host, address.port)
    except (OSError, UnicodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else None
        # Python appends the address to some messages.
        cause = (cause or str(error)).partition(" (while")[0]
        message = f"can't serve {paths} on {_format(address.host or '', address.port)}: {cause}"
        if address.explicit:
            raise BindError(f"{message}. Set another {flag}, or 0 to disable it.") from error
        log.warning(message, next=f"set another {flag}, or 0 to disable it")
        return None


def listen(host: str | None, port: int) -> socket.socket:
    """Open a listening socket.

    Args:
        host: a name or an IP address; None for all addresses, of IPv6 and IPv4 where the machine has both.
        port: 0 for any.

    Raises:
        OSError: the port is in use, or the address is not one of this machine.
    """
    if host is None:
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_IPV6:
                raise
            return socket.create_server(("", port))
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # As in Go: IPv4 first, where a name has both.
    family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return socket.create_server((str(address[0]), port), family=family)


def _format(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
