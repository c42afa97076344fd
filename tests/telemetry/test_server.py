"""The endpoints: which pages are served where and to whom, and how misbehaving clients are disconnected."""

import asyncio
import contextlib
import dataclasses
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import structlog.testing
from aiohttp import web

from ecr_operator.settings import BindAddress, Settings, parse_settings
from ecr_operator.telemetry.metrics import CONTENT_TYPE, Metrics, Snapshot
from ecr_operator.telemetry.probes import Probes
from ecr_operator.telemetry.server import SERVICE, BindError, BoundedServer, Endpoints, Hosts, listen
from tests.fakes import FakeClock
from tests.telemetry.web import ask, connected, say

HERE = BindAddress(host="127.0.0.1", port=0)


def settings(metrics: BindAddress | None, probes: BindAddress | None = None) -> Settings:
    return Settings(
        kubeconfig=(), in_cluster=False, namespaces=("",), pod_name="pod", metrics=metrics, probes=probes
    )


@asynccontextmanager
async def opened(
    given: Settings, *, metrics: Metrics | None = None, probes: Probes | None = None
) -> AsyncIterator[list[int]]:
    """Have the endpoints open; the value is the ports, in the order of the settings."""
    with structlog.testing.capture_logs() as logs:
        async with Endpoints(given, metrics or Metrics(), probes or Probes()) as endpoints:
            await endpoints.open()
            yield [int(line["address"].rpartition(":")[2]) for line in logs if "address" in line]


async def test_metrics_are_served_in_the_text_format() -> None:
    async with opened(settings(HERE)) as (port,):
        heard = await ask(port, "/metrics")
        other = await ask(port, "/healthz")
    assert (heard.status, heard.headers["Content-Type"]) == (200, CONTENT_TYPE)
    assert "ecr_secret_operator_build_info{" in heard.body
    assert (heard.headers["Connection"], "aiohttp" in str(heard.headers)) == ("close", False)
    assert other.status == 404


async def test_a_probe_answers_ok_or_what_failed() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    heartbeat = probes.watch("/secrets")
    heartbeat.beat(0)
    async with opened(settings(None, HERE), probes=probes) as (port,):

        async def answers() -> list[tuple[int, str]]:
            heard = [await ask(port, path) for path in ("/healthz", "/readyz")]
            return [(each.status, each.body) for each in heard]

        assert await answers() == [(200, "ok"), (500, "/secrets: not listed yet\n")]
        heartbeat.synced = True
        await clock.advance(61)
        overdue = "/secrets: the next watch attempt is 61 s overdue\n"
        assert await answers() == [(500, overdue), (200, "ok")]
        assert (await ask(port, "/metrics")).status == 404


async def test_only_get_and_head_of_known_paths() -> None:
    async with opened(settings(None, HERE)) as (port,):
        for path in ("/healthz/", "/healthz?verbose=1"):
            assert (await ask(port, path)).status == 200
        head = await ask(port, "/healthz", "HEAD")
        assert (head.status, head.headers["Content-Length"], head.body) == (200, "2", "")
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            refused = await ask(port, "/healthz", method)
            assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")
        for path in ("/", "/health", "/healthz/x", "/healthz//", "/../healthz"):
            assert (await ask(port, path)).status == 404


async def test_a_page_that_fails_is_500_without_its_cause() -> None:
    def fail() -> Snapshot:
        raise ValueError("with a token in it")

    metrics = Metrics()
    metrics.add_snapshots(fail)
    async with opened(settings(HERE), metrics=metrics) as (port,):
        with structlog.testing.capture_logs() as logs:
            heard = await ask(port, "/metrics")
    assert (heard.status, heard.body) == (500, "Internal Server Error\n")
    assert [line["error"] for line in logs] == ["ValueError"]
    assert "token" not in str(logs)


async def test_metrics_are_answered_for_known_hosts_and_probes_for_any() -> None:
    async with opened(settings(HERE, HERE)) as (metrics, probes):
        refused = await ask(metrics, "/metrics", header="Host: evil.example\r\n")
        assert (await say(metrics, b"GET /metrics HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.0 200 ")
        assert (await ask(metrics, "/metrics", header=f"hOsT:127.0.0.1:{metrics} \r\n")).status == 200
        both = "Host: 127.0.0.1\r\nHost: evil.example\r\n"
        assert (await ask(metrics, "/metrics", header=both)).status in (400, 421)
        assert (await ask(probes, "/healthz", header="Host: any.example\r\n")).status == 200
    assert (refused.status, refused.body) == (421, "Use an IP address or localhost as the host.\n")


@pytest.mark.parametrize(("address", "status"), [(HERE, 200), (BindAddress(host=None, port=0), 421)])
async def test_behind_kube_rbac_proxy_metrics_are_answered_for_any_host(
    address: BindAddress, status: int
) -> None:
    in_cluster = dataclasses.replace(settings(address), in_cluster=True, namespace="here")
    async with opened(in_cluster) as (port,):
        asked = await ask(port, "/metrics", header="Host: metrics.apps.example\r\n")
        by_service = await ask(port, "/metrics", header=f"Host: {SERVICE}.here.svc:8443\r\n")
    assert (asked.status, by_service.status) == (status, 200)
    assert asked.status == 200 or f"{SERVICE}.here.svc" in asked.body


async def test_an_address_of_0_disables_the_server() -> None:
    off = parse_settings(["--metrics-bind-address=0", "--health-probe-bind-address=0"], {})
    async with opened(off) as ports:
        assert ports == []


async def test_a_requested_address_in_use_is_an_error_of_one_line_and_nothing_is_served() -> None:
    with listen("127.0.0.1", 0) as other:
        taken = BindAddress(host="127.0.0.1", port=other.getsockname()[1])
        with structlog.testing.capture_logs() as logs, pytest.raises(BindError) as caught:
            async with Endpoints(settings(HERE, taken), Metrics(), Probes()) as endpoints:
                await endpoints.open()
    assert logs == []
    assert str(caught.value) == (
        f"can't serve /healthz and /readyz on 127.0.0.1:{taken.port}: Address already in use. "
        "Set another --health-probe-bind-address, or 0 to disable it."
    )


async def test_a_default_address_in_use_is_a_warning_and_the_other_is_served() -> None:
    with listen("127.0.0.1", 0) as other, structlog.testing.capture_logs() as logs:
        taken = BindAddress(host="127.0.0.1", port=other.getsockname()[1], explicit=False)
        async with Endpoints(settings(taken, HERE), Metrics(), Probes()) as endpoints:
            await endpoints.open()
    assert [line["log_level"] for line in logs] == ["warning", "info"]
    assert "--metrics-bind-address" in logs[0]["next"]
    assert "/healthz" in logs[1]["paths"]


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "-"])
async def test_an_address_of_another_machine_is_an_error(host: str) -> None:
    with pytest.raises(BindError, match="can't serve"):
        async with opened(settings(BindAddress(host=host, port=8080))):
            pass


def test_listen_without_a_host_uses_every_address_of_both_families() -> None:
    with listen(None, 0) as listening:
        number = listening.getsockname()[1]
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as client:
                client.connect((address, number))
        with pytest.raises(OSError, match="in use"):
            listen(None, number)


def test_listen_with_a_host_uses_its_address() -> None:
    for host, address in (("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("localhost", "127.0.0.1")):
        with listen(host, 0) as listening:
            assert listening.getsockname()[0] == address


RESOLV_CONF = "nameserver 10.96.0.10\n\nsearch ops.svc.k8s.corp. SVC.k8s.corp k8s.corp\noptions ndots:5\n"
HOSTS = Hosts.of_service("ops", RESOLV_CONF)


def test_the_service_has_the_names_by_which_pods_find_it() -> None:
    short = {SERVICE, f"{SERVICE}.ops", f"{SERVICE}.ops.svc"}
    assert HOSTS.names == {*short, f"{SERVICE}.ops.svc.k8s.corp"}
    assert Hosts.of_service("ops", "").names == short
    assert Hosts.of_service("", RESOLV_CONF).names == frozenset()


ACCEPTED = (
    *("10.0.0.7", "10.0.0.7:8080", "[fd00::7]", "[fd00::7]:8080"),
    *("localhost", "LocalHost:8080", "localhost."),
    *(SERVICE, f"{SERVICE}.ops:8443", f"{SERVICE}.OPS.svc.k8s.corp.:8443"),
)
REFUSED = (
    *("", ":8080", "evil.example", "localhost.evil.example", "10.0.0.7.evil.example"),
    *("10.0.0.7@evil.example", "evil.example:10.0.0.7", "[evil.example]", "[fd00::7].evil.example"),
    *("[fd00::7", "fd00::7", "10.0.0.7:x", "10.0.0.7 evil.example", "0x0a000007", "ops.svc"),
    *(f"{SERVICE}.evil.example", f"{SERVICE}.ops.svc.evil.example"),
    *(f"{SERVICE}.other.svc", f"x.{SERVICE}.ops.svc"),
)


def test_hosts_accept_addresses_localhost_and_the_service_only() -> None:
    assert [header for header in (*ACCEPTED, *REFUSED) if HOSTS.accept(header)] == list(ACCEPTED)


Answer = Callable[[web.BaseRequest], Awaitable[web.Response]]


async def hello(_request: web.BaseRequest) -> web.Response:
    response = web.Response(text="hello")
    response.force_close()
    return response


async def endless(_request: web.BaseRequest) -> web.Response:
    await asyncio.Event().wait()
    return web.Response()


async def vast(_request: web.BaseRequest) -> web.Response:
    return web.Response(body=b"x" * 20_000_000)


@asynccontextmanager
async def serving(answer: Answer = hello, *, longest: float = 5, most: int = 8) -> AsyncIterator[int]:
    """Have a bounded server run for a while, on the port that is the value."""
    server = BoundedServer(answer, longest=longest, most=most)
    listening = listen("127.0.0.1", 0)
    number: int = listening.getsockname()[1]
    listener = await asyncio.get_running_loop().create_server(server, sock=listening)
    try:
        yield number
    finally:
        listener.close()
        await server.shutdown(0.1)


REQUESTS = {
    "no slash": b"GET hello HTTP/1.1",
    "a space": b"GET /hel lo HTTP/1.1",
    "a control character": b"GET /hello\x00 HTTP/1.1",
    "TLS": b"\x16\x03\x01",
    "a path that is too long": b"GET /" + b"x" * 20_000,
    "a header that is too long": b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000,
    "too many headers": b"GET / HTTP/1.1" + b"\r\nX: x" * 100,
    "a head without end": b"GET / HTTP/1.1" + b"\r\nX: x" * 10_000,
}


@pytest.mark.parametrize("request_line", REQUESTS.values(), ids=REQUESTS)
async def test_a_malformed_or_large_request_is_refused_and_not_logged(
    request_line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as number:
        answer = await say(number, request_line + b"\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ", b"HTTP/1.1 431 "))
    head = answer.partition(b"\r\n\r\n")[0]
    assert b"X-Content-Type-Options: nosniff" in head
    assert b"aiohttp" not in head
    assert caplog.records == []


@pytest.mark.parametrize("said", [b"", b"GET /hel", b"GET /hello HTTP/1.1\r\n", b"GET / HTTP/1.0\r\n\r\n"])
async def test_a_connection_ends_when_its_time_is_up(said: bytes) -> None:
    async with serving(endless, longest=0.2) as number, connected(number) as (reader, writer):
        writer.write(said)
        assert await _rest(reader) == b""


async def test_a_slow_reader_is_disconnected() -> None:
    async with serving(vast, longest=0.1) as number, connected(number) as (reader, writer):
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert (await reader.readexactly(15)) == b"HTTP/1.0 200 OK"
        await asyncio.sleep(0.2)  # longer than the server waits, on the same event loop
        assert len(await _rest(reader)) < 20_000_000


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Read what still comes."""
    with contextlib.suppress(ConnectionResetError):
        return await asyncio.wait_for(reader.read(), 5)
    return b""


async def test_a_connection_beyond_the_limit_ends_the_oldest() -> None:
    async with serving(most=2) as number, connected(number) as (first, _), connected(number) as (second, _):
        await asyncio.sleep(0)
        assert (await ask(number, "/")).body == "hello"
        assert await _rest(first) == b""
        assert not second.at_eof()


async def test_connections_that_arrive_at_once_are_limited_too() -> None:
    with contextlib.ExitStack() as stack:
        async with serving(most=4, longest=60) as number:
            # The system takes them all before the loop, which is blocked here, sees the first.
            crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", number))) for _ in range(40)]
            assert [await _is_closed(each) for each in crowd[:36]] == [True] * 36
        assert [await _is_closed(each) for each in crowd[36:]] == [True] * 4


async def _is_closed(client: socket.socket) -> bool:
    client.settimeout(0)
    try:
        async with asyncio.timeout(1):
            return await asyncio.get_running_loop().sock_recv(client, 1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


async def test_shutdown_ends_requests_in_flight_and_frees_the_port() -> None:
    async with contextlib.AsyncExitStack() as after:
        async with serving(endless) as number:
            reader, writer = await after.enter_async_context(connected(number))
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            await asyncio.sleep(0.1)
        assert await _rest(reader) == b""
    with pytest.raises(ConnectionRefusedError):
        await ask(number, "/")
