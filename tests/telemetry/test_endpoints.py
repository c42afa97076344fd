"""Which pages are served where, and what becomes of an address that can't be had."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog.testing

from ecr_operator.settings import BindAddress, Settings, parse_settings
from ecr_operator.telemetry.endpoints import BindError, Endpoints
from ecr_operator.telemetry.exposition import CONTENT_TYPE
from ecr_operator.telemetry.hosts import SERVICE
from ecr_operator.telemetry.http import listen
from ecr_operator.telemetry.metrics import Metrics
from ecr_operator.telemetry.probes import Probes
from tests.fakes import FakeClock
from tests.telemetry.web import ask

HERE = BindAddress(host="127.0.0.1", port=0)


def settings(metrics: BindAddress | None, probes: BindAddress | None) -> Settings:
    return Settings(
        kubeconfig=(), in_cluster=False, namespaces=("",), pod_name="pod", metrics=metrics, probes=probes
    )


@asynccontextmanager
async def opened(
    metrics: BindAddress | None = None, probes: BindAddress | None = None, about: Probes | None = None
) -> AsyncIterator[list[dict[str, Any]]]:
    """Have the endpoints open, and return what was logged of it."""
    with structlog.testing.capture_logs() as logs:
        async with Endpoints(settings(metrics, probes), Metrics(), about or Probes()) as endpoints:
            await endpoints.open()
            yield [dict(line) for line in logs]


def port(line: dict[str, Any]) -> int:
    return int(line["address"].rpartition(":")[2])


async def test_metrics_are_in_the_text_format() -> None:
    async with opened(metrics=HERE) as logs:
        heard = await ask(port(logs[0]), "/metrics")
        assert (await ask(port(logs[0]), "/healthz")).status == 404
    assert (heard.status, heard.headers["Content-Type"]) == (200, CONTENT_TYPE)
    assert "ecr_secret_operator_build_info{" in heard.body


async def test_a_probe_says_ok_or_what_is_wrong() -> None:
    clock = FakeClock()
    probes = Probes(clock.monotonic)
    heartbeat = probes.watch("/secrets")
    heartbeat.beat(0)
    async with opened(probes=HERE, about=probes) as logs:
        live, ready = [(await ask(port(logs[0]), path)) for path in ("/healthz", "/readyz")]
        assert ((live.status, live.body), ready.status) == ((200, "ok"), 500)
        assert ready.body == "/secrets: not listed yet\n"
        heartbeat.synced = True
        await clock.advance(61)
        live, ready = [(await ask(port(logs[0]), path)) for path in ("/healthz", "/readyz")]
        assert ((ready.status, ready.body), live.status) == ((200, "ok"), 500)
        assert "/secrets: no watch was attempted" in live.body
        assert (await ask(port(logs[0]), "/metrics")).status == 404


async def test_metrics_are_for_known_hosts_and_the_refusal_names_them() -> None:
    async with opened(metrics=HERE, probes=HERE) as logs:
        metrics, probes = map(port, logs)
        refused = await ask(metrics, "/metrics", header="Host: evil.example\r\n")
        assert (await ask(metrics, "/metrics", header="")).status == 200
        assert (await ask(metrics, "/metrics", header=f"hOsT:127.0.0.1:{metrics} \r\n")).status == 200
        both = "Host: 127.0.0.1\r\nHost: evil.example\r\n"
        assert (await ask(metrics, "/metrics", header=both)).status == 421
        assert (await ask(probes, "/healthz", header="Host: any.example\r\n")).status == 200
    assert (refused.status, refused.body) == (421, "Use an IP address or localhost as the host.\n")


@pytest.mark.parametrize(("address", "status"), [(HERE, 200), (BindAddress(host=None, port=0), 421)])
async def test_in_a_pod_those_behind_kube_rbac_proxy_are_for_any_host(
    address: BindAddress, status: int
) -> None:
    desired = dataclasses.replace(settings(address, None), in_cluster=True, namespace="here")
    with structlog.testing.capture_logs() as logs:
        async with Endpoints(desired, Metrics(), Probes()) as endpoints:
            await endpoints.open()
            number = port(dict(logs[0]))
            asked = await ask(number, "/metrics", header="Host: metrics.apps.example\r\n")
            by_service = await ask(number, "/metrics", header=f"Host: {SERVICE}.here.svc:8443\r\n")
    assert (asked.status, by_service.status) == (status, 200)
    assert asked.status == 200 or f"{SERVICE}.here.svc" in asked.body


async def test_nothing_is_served_where_nothing_should() -> None:
    off = parse_settings(["--metrics-bind-address=0", "--health-probe-bind-address=0"], {})
    async with opened(off.metrics, off.probes) as logs:
        assert logs == []


async def test_an_address_that_was_asked_for_and_is_in_use_is_an_error_of_one_line() -> None:
    with listen("127.0.0.1", 0) as other:
        taken = BindAddress(host="127.0.0.1", port=other.getsockname()[1])
        with structlog.testing.capture_logs() as logs, pytest.raises(BindError) as caught:
            async with Endpoints(settings(HERE, taken), Metrics(), Probes()) as endpoints:
                await endpoints.open()
    assert logs == []
    said = str(caught.value)
    assert "Address already in use" in said
    assert f"127.0.0.1:{taken.port}" in said
    assert "--health-probe-bind-address" in said
    assert "\n" not in said


async def test_a_default_address_that_is_in_use_is_a_warning_and_the_other_is_served() -> None:
    with listen("127.0.0.1", 0) as other:
        taken = BindAddress(host="127.0.0.1", port=other.getsockname()[1], explicit=False)
        async with opened(metrics=taken, probes=HERE) as logs:
            assert [line["log_level"] for line in logs] == ["warning", "info"]
            assert (await ask(port(logs[1]), "/healthz")).status == 200
    assert "--metrics-bind-address" in logs[0]["next"]


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "-"])
async def test_an_address_of_another_machine_or_none_is_an_error(host: str) -> None:
    with pytest.raises(BindError, match="can't be served"):
        async with opened(metrics=BindAddress(host=host, port=8080)):
            pass


async def test_after_the_end_nobody_answers() -> None:
    async with opened(metrics=HERE) as logs:
        number = port(logs[0])
    with pytest.raises(ConnectionRefusedError):
        await ask(number, "/metrics")
