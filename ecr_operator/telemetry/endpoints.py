"""The two servers: /metrics for Prometheus, /healthz and /readyz for the kubelet.

Both are of the loop that does the work, so that a loop that hangs answers neither.
"""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Final, Self

import structlog

from ecr_operator.settings import BindAddress, Settings
from ecr_operator.telemetry.exposition import CONTENT_TYPE, Page
from ecr_operator.telemetry.hosts import SERVICE, is_ours, service_names
from ecr_operator.telemetry.http import Answer, Hosts, HttpServer, listen
from ecr_operator.telemetry.http import Page as Route
from ecr_operator.telemetry.metrics import Metrics
from ecr_operator.telemetry.probes import Probes

METRICS_FLAG: Final = "--metrics-bind-address"
PROBES_FLAG: Final = "--health-probe-bind-address"
_RESOLV_CONF: Final = Path("/etc/resolv.conf")

log = structlog.get_logger(__name__)


class BindError(Exception):
    """An address that was asked for can't be had; the message says what to do."""


class Endpoints:
    """Serves metrics and probes from `open` until the context is left.

    Args:
        settings: the addresses.
        metrics: what is shown to Prometheus.
        probes: what is told to the kubelet.
    """

    def __init__(self, settings: Settings, metrics: Metrics, probes: Probes) -> None:
        self.metrics = metrics
        self.probes = probes
        page = Page(metrics.registry, monotonic)

        async def shown() -> Answer:
            return Answer(body=await page.text(), content_type=CONTENT_TYPE)

        probe_pages = {
            "/healthz": _told(probes.liveness_failures),
            "/readyz": _told(probes.readiness_failures),
        }
        self._wanted: tuple[tuple[str, BindAddress | None, dict[str, Route], Hosts | None], ...] = (
            (METRICS_FLAG, settings.metrics, {"/metrics": shown}, _hosts(settings)),
            # A probe may be given any Host header, and what it reads is no secret.
            (PROBES_FLAG, settings.probes, probe_pages, None),
        )
        self._servers: list[HttpServer] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            await server.close()

    async def open(self) -> None:
        """Serve from now on.

        Raises:
            BindError: an address that somebody asked for can't be had; a default one is gone without.
        """
        # All of them before any is served: so a start that fails says one line and no more.
        with ExitStack() as bound:
            sockets = [
                (pages, hosts, bound.enter_context(listening))
                for flag, address, pages, hosts in self._wanted
                if address and (listening := _listen(flag, address, " and ".join(pages)))
            ]
            bound.pop_all()
        for pages, hosts, listening in sockets:
            server = HttpServer(pages, hosts=hosts)
            self._servers.append(server)
            address = _named(*listening.getsockname()[:2])
            await server.start(listening)
            log.info("serving", paths=" and ".join(pages), address=address)


def _hosts(settings: Settings) -> Hosts | None:
    """For which hosts metrics are answered; for any behind kube-rbac-proxy, which asks for a token."""
    if settings.in_cluster and settings.metrics and _is_loopback(settings.metrics.host):
        return None
    names = service_names(settings.namespace, _resolv_conf())
    known = "an IP address or localhost"
    if names:
        known = f"an IP address, localhost or {SERVICE}.{settings.namespace}.svc"
    return Hosts(accepts=lambda header: is_ours(header, names), advice=f"Use {known} as the host.")


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _resolv_conf() -> str:
    try:
        return _RESOLV_CONF.read_text(encoding="latin-1")
    except OSError:
        return ""


def _listen(flag: str, address: BindAddress, paths: str) -> socket.socket | None:
    try:
        return listen(address.host, address.port)
    except (OSError, UnicodeError) as error:
        said = f"{paths} can't be served on {_named(address.host or '', address.port)}: {_in_words(error)}."
        if address.explicit:
            raise BindError(f"{said} Set another {flag}, or 0 for none.") from error
        log.warning(said, next=f"set another {flag}, or 0 for none")
        return None


def _named(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _told(ask: Callable[[], list[str]]) -> Route:
    async def page() -> Answer:
        problems = ask()
        if problems:
            return Answer(body="\n".join([*problems, ""]).encode(), status=HTTPStatus.INTERNAL_SERVER_ERROR)
        return Answer(body=b"ok")

    return page


def _in_words(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) else None
    return (said or str(error)).partition(" (while")[0]
