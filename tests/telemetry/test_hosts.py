"""Which Host headers no stranger can point here."""

import pytest

from ecr_operator.telemetry.hosts import SERVICE, is_ours, service_names

RESOLV_CONF = "nameserver 10.96.0.10\n\nsearch ops.svc.k8s.corp. SVC.k8s.corp k8s.corp\noptions ndots:5\n"
NAMES = service_names("ops", RESOLV_CONF)


def test_the_service_has_the_names_by_which_pods_find_it() -> None:
    assert {
        SERVICE,
        f"{SERVICE}.ops",
        f"{SERVICE}.ops.svc",
        f"{SERVICE}.ops.svc.k8s.corp",
    } == NAMES


def test_without_a_namespace_there_is_no_service() -> None:
    assert service_names("", RESOLV_CONF) == frozenset()


def test_without_a_search_list_the_cluster_has_no_domain() -> None:
    assert service_names("ops", "") == {SERVICE, f"{SERVICE}.ops", f"{SERVICE}.ops.svc"}


@pytest.mark.parametrize(
    "header",
    [
        "10.0.0.7",
        "10.0.0.7:8080",
        "[fd00::7]",
        "[fd00::7]:8080",
        "localhost",
        "LocalHost:8080",
        "localhost.",
        SERVICE,
        f"{SERVICE}.ops:8443",
        f"{SERVICE}.ops.svc",
        f"{SERVICE}.OPS.svc.k8s.corp.:8443",
    ],
)
def test_an_address_localhost_and_the_service_are_answered(header: str) -> None:
    assert is_ours(header, NAMES)


@pytest.mark.parametrize(
    "header",
    [
        "",
        ":8080",
        "evil.example",
        "localhost.evil.example",
        "10.0.0.7.evil.example",
        "10.0.0.7@evil.example",
        "evil.example:10.0.0.7",
        "[evil.example]",
        "[fd00::7].evil.example",
        "[fd00::7",
        "fd00::7",
        "10.0.0.7:x",
        "10.0.0.7 evil.example",
        "0x0a000007",
        f"{SERVICE}.evil.example",
        f"{SERVICE}.ops.svc.evil.example",
        f"{SERVICE}.other.svc",
        f"x.{SERVICE}.ops.svc",
        "ops.svc",
    ],
)
def test_any_other_host_is_not(header: str) -> None:
    assert not is_ours(header, NAMES)
