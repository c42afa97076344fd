"""The command line and the environment."""

import logging
import os
from pathlib import Path

import pytest

from ecr_operator import __version__
from ecr_operator.settings import BindAddress, Settings, SettingsError, parse_settings
from ecr_operator.settings.proxies import check_proxies

HOME = "~/.kube/config"


def settings(*arguments: str, **environment: str) -> Settings:
    return parse_settings(arguments, environment)


def mistake(*arguments: str, **environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings(*arguments, **environment)
    return str(caught.value)


SOCKS = "socks5://user:hunter2@127.0.0.1:1080"
GOOD = "http://proxy.example:3128"
PLAIN_ENDPOINT = {"AWS_ENDPOINT_URL": "http://aws.example:4566"}
UNUSABLE = {
    "socks5": ({"HTTPS_PROXY": SOCKS}, "HTTPS_PROXY: a SOCKS proxy"),
    "socks5h": ({"HTTPS_PROXY": "socks5h://127.0.0.1:1080"}, '"socks5h://"'),
    "socks4": ({"HTTPS_PROXY": "socks4://127.0.0.1:1080"}, '"socks4://"'),
    "another scheme": ({"HTTPS_PROXY": "ftp://127.0.0.1:1080"}, "unknown scheme"),
    "a scheme in capitals": ({"HTTPS_PROXY": "HTTP://127.0.0.1:1080"}, '"HTTP://"'),
    "in small letters": ({"https_proxy": SOCKS}, "https_proxy: a SOCKS proxy"),
    "one of the two": ({"HTTPS_PROXY": GOOD, "https_proxy": SOCKS}, "https_proxy: "),
    "the other of the two": ({"HTTPS_PROXY": SOCKS, "https_proxy": GOOD}, "HTTPS_PROXY: "),
    "NO_PROXY for others": ({"HTTPS_PROXY": SOCKS, "NO_PROXY": ".svc,10.0.0.0/8"}, "HTTPS_PROXY: "),
    "for a plain endpoint": ({"HTTP_PROXY": SOCKS, **PLAIN_ENDPOINT}, "HTTP_PROXY: "),
    "for the endpoint of one service": (
        {"HTTP_PROXY": SOCKS, "AWS_ENDPOINT_URL_STS": "http://sts.example"},
        "HTTP_PROXY: ",
    ),
    "no host": ({"HTTPS_PROXY": "http://"}, "not a valid proxy URL"),
    "a port that is none": ({"HTTPS_PROXY": "http://proxy:port"}, "not a valid proxy URL"),
    "a port too high": ({"HTTPS_PROXY": "proxy:99999"}, "not a valid proxy URL"),
    "a space": ({"HTTPS_PROXY": "http://my proxy:3128"}, "not a valid proxy URL"),
    "a password that is not encoded": ({"HTTPS_PROXY": "http://user:hunter2#x@proxy:1"}, "not a valid proxy"),
}


@pytest.mark.parametrize(("environment", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_proxy_that_aws_would_be_reached_through_must_be_usable(
    environment: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        check_proxies(environment)
    said = str(caught.value)
    assert words in said
    assert "expected http://HOST:PORT or https://HOST:PORT" in said
    assert "\n" not in said
    assert "hunter2" not in said


USABLE: dict[str, dict[str, str]] = {
    "none": {},
    "http": {"HTTPS_PROXY": GOOD},
    "https": {"HTTPS_PROXY": "https://proxy.example"},
    "no scheme": {"HTTPS_PROXY": "proxy.example:3128"},
    "no scheme, but slashes": {"HTTPS_PROXY": "//proxy.example:3128"},
    "a login": {"HTTPS_PROXY": "http://user:p%40ss%2Fw@proxy.example:3128/"},
    "an address": {"HTTPS_PROXY": "http://[fd00::1]:3128"},
    "SOCKS that is not for AWS": {"HTTP_PROXY": SOCKS},
    "SOCKS in a variable that Go and the SDK ignore": {"ALL_PROXY": SOCKS, "all_proxy": SOCKS},
    "SOCKS, but not for anything": {"HTTPS_PROXY": SOCKS, "NO_PROXY": "*"},
    "SOCKS, but not for AWS": {"HTTPS_PROXY": SOCKS, "no_proxy": ".svc,.amazonaws.com"},
    "SOCKS, but not for some of AWS": {"HTTPS_PROXY": SOCKS, "NO_PROXY": "api.ecr.eu-west-1.amazonaws.com"},
    "SOCKS, but AWS is elsewhere": {"HTTPS_PROXY": SOCKS, **PLAIN_ENDPOINT},
    "SOCKS, but the endpoint is excepted": {"HTTP_PROXY": SOCKS, "NO_PROXY": "example", **PLAIN_ENDPOINT},
    "an endpoint that is no URL": {"HTTPS_PROXY": SOCKS, "AWS_ENDPOINT_URL": "https://["},
}


@pytest.mark.parametrize("environment", USABLE.values(), ids=USABLE)
def test_a_proxy_that_is_usable_or_not_used_is_accepted(environment: dict[str, str]) -> None:
    check_proxies(environment)


@pytest.mark.parametrize(
    ("environment", "warned"),
    [
        ({"ALL_PROXY": GOOD}, True),
        ({"all_proxy": SOCKS}, True),
        ({"ALL_PROXY": GOOD, "HTTPS_PROXY": GOOD}, False),
        ({"HTTPS_PROXY": GOOD}, False),
        ({}, False),
    ],
)
def test_all_proxy_alone_is_warned_of(environment: dict[str, str], *, warned: bool) -> None:
    said = settings(**environment).warnings
    assert [("ALL_PROXY is not used" in line) for line in said] == ([True] if warned else [])


def test_with_nothing_set_it_serves_all_of_the_kubeconfigs_cluster() -> None:
    assert settings() == Settings(
        kubeconfig=(HOME,), in_cluster=False, namespaces=("",), pod_name="ecr-secret-operator"
    )


@pytest.mark.parametrize(
    ("value", "namespaces"),
    [
        pytest.param("", ("",), id="empty it is all"),
        pytest.param(" ", ("",), id="a space is empty"),
        pytest.param(",", ("",), id="a comma is empty"),
        pytest.param("a", ("a",), id="one"),
        pytest.param("a,b", ("a", "b"), id="a list"),
        pytest.param(" a , b ,", ("a", "b"), id="spaces around"),
        pytest.param("b,a,b", ("b", "a"), id="each once, in order"),
        pytest.param("a" * 63, ("a" * 63,), id="the longest"),
    ],
)
def test_watch_namespace(value: str, namespaces: tuple[str, ...]) -> None:
    assert settings(WATCH_NAMESPACE=value).namespaces == namespaces


@pytest.mark.parametrize("value", ["A", "a/b", "..", "a b", "-a", "a.b", "a" * 64, "ok,NOT", "a\nb"])
def test_a_namespace_that_is_none_is_one_line(value: str) -> None:
    said = mistake(WATCH_NAMESPACE=value)
    assert said.startswith("WATCH_NAMESPACE: ")
    assert said.isprintable()
    assert len(said) < 140


@pytest.mark.parametrize(
    ("arguments", "kubeconfig", "expected"),
    [
        pytest.param([], "", (HOME,), id="nothing"),
        pytest.param([], "/a", ("/a",), id="the variable"),
        pytest.param([], f"/a{os.pathsep}{os.pathsep}/b", ("/a", "/b"), id="a list in the variable"),
        pytest.param(["--kubeconfig", "/c"], "/a", ("/c",), id="the flag wins"),
        pytest.param(["--kubeconfig=/c"], "", ("/c",), id="with an equals sign"),
        pytest.param(["-kubeconfig", "/c"], "", ("/c",), id="as Go has it"),
        pytest.param(["-kubeconfig=/c"], "", ("/c",), id="as Go has it, with an equals sign"),
        pytest.param(["--kubeconfig="], "/a", ("/a",), id="empty is not set"),
    ],
)
def test_the_kubeconfig(arguments: list[str], kubeconfig: str, expected: tuple[str, ...]) -> None:
    assert settings(*arguments, KUBECONFIG=kubeconfig).kubeconfig == expected


def test_without_the_service_accounts_file_it_is_not_in_a_cluster() -> None:
    assert not Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
    assert not settings(KUBERNETES_SERVICE_HOST="10.0.0.1").in_cluster


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"POD_NAME": "p", "HOSTNAME": "h"}, "p"),
        ({"HOSTNAME": "h"}, "h"),
        ({"POD_NAME": ""}, "ecr-secret-operator"),
    ],
    ids=["the pod", "the host", "nothing"],
)
def test_the_pods_name(environment: dict[str, str], name: str) -> None:
    assert settings(**environment).pod_name == name


@pytest.mark.parametrize(
    "arguments",
    [["--no-such-flag"], ["-no-such-flag"], ["word"], ["--kubeconfig"], ["--kube", "x"], ["--version=7"]],
    ids=" ".join,
)
def test_a_mistake_is_one_line_that_points_to_help(arguments: list[str]) -> None:
    said = mistake(*arguments)
    assert said.endswith((". See --help.", "? See --help."))
    assert "\n" not in said


@pytest.mark.parametrize(
    ("argument", "near"),
    [
        ("--metrics-bind-adress=:1", "--metrics-bind-address"),
        ("-leader-elected", "--leader-elect"),
        ("--zap-loglevel=debug", "--zap-log-level"),
        ("--permitted-role=x", "--permitted-roles"),
    ],
)
def test_a_mistyped_flag_is_told_with_the_nearest_that_there_is(argument: str, near: str) -> None:
    assert f"did you mean {near}?" in mistake(argument)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(":8443", BindAddress(host=None, port=8443), id="all addresses"),
        pytest.param("127.0.0.1:8080", BindAddress(host="127.0.0.1", port=8080), id="the loopback"),
        pytest.param("[::1]:8080", BindAddress(host="::1", port=8080), id="IPv6"),
        pytest.param("[fe80::1%eth0]:1", BindAddress(host="fe80::1%eth0", port=1), id="IPv6 with a zone"),
        pytest.param("localhost:0", BindAddress(host="localhost", port=0), id="any free port"),
        pytest.param("0", None, id="off"),
    ],
)
def test_a_bind_address_is_gos(value: str, expected: BindAddress | None) -> None:
    assert settings(f"--metrics-bind-address={value}").metrics == expected
    assert settings("-health-probe-bind-address", value).probes == expected


@pytest.mark.parametrize(
    "value", [" ", "8080", "::1:8080", "[::1]", "a b:1", ":65536", ":-1", "http://a:1", ":x"]
)
def test_a_bind_address_that_is_none_is_one_line(value: str) -> None:
    said = mistake(f"--metrics-bind-address={value}")
    assert "--metrics-bind-address" in said
    assert "[::1]:8080" in said


def test_an_empty_address_is_what_it_was_in_v0_6_0() -> None:
    assert settings("--metrics-bind-address=").metrics == settings().metrics
    assert settings("--health-probe-bind-address=").probes is None


def test_without_a_flag_the_addresses_are_those_of_v0_6_0_and_nobodys_wish() -> None:
    assert settings().metrics == BindAddress(host=None, port=8080, explicit=False)
    assert settings().probes == BindAddress(host=None, port=8081, explicit=False)


@pytest.mark.parametrize(
    ("arguments", "elects"),
    [
        ([], False),
        (["--leader-elect"], True),
        (["-leader-elect"], True),
        (["--leader-elect=true", "--metrics-bind-address=0"], True),
        (["--leader-elect=F"], False),
        (["-leader-elect=1"], True),
        (["--leader-elect", "--leader-elect=false"], False),
    ],
)
def test_leader_elect_is_a_boolean_of_gos(arguments: list[str], *, elects: bool) -> None:
    assert settings(*arguments).leader_elect is elects


@pytest.mark.parametrize(
    ("arguments", "level", "encoder"),
    [
        pytest.param([], logging.INFO, None, id="nothing"),
        pytest.param(["--zap-log-level=debug"], logging.DEBUG, None, id="debug"),
        pytest.param(["--zap-log-level=ERROR"], logging.ERROR, None, id="in any case"),
        pytest.param(["--zap-log-level=5"], logging.DEBUG, None, id="a number is ever more debug"),
        pytest.param(["-zap-encoder", "json"], logging.INFO, "json", id="an encoder"),
        pytest.param(["--zap-devel"], logging.DEBUG, "console", id="development"),
        pytest.param(["--zap-devel=false"], logging.INFO, "json", id="production"),
        pytest.param(
            ["--zap-devel", "--zap-log-level=info", "--zap-encoder=json"],
            logging.INFO,
            "json",
            id="development with both said otherwise",
        ),
        pytest.param(
            ["--zap-stacktrace-level=error", "--zap-time-encoding=rfc3339"],
            logging.INFO,
            None,
            id="what has no effect is taken",
        ),
    ],
)
def test_zaps_flags(arguments: list[str], level: int, encoder: str | None) -> None:
    assert (settings(*arguments).logs.level, settings(*arguments).logs.encoder) == (level, encoder)


@pytest.mark.parametrize(
    "argument",
    [
        "--zap-log-level=loud",
        "--zap-log-level=0",
        "--zap-log-level=-1",
        "--zap-encoder=xml",
        "--zap-devel=perhaps",
        "--zap-stacktrace-level=never",
        "--zap-time-encoding=stardate",
        "--resource-metrics=some",
    ],
)
def test_a_value_that_is_none_is_one_line_that_names_the_flag(argument: str) -> None:
    assert argument.partition("=")[0] in mistake(argument)


@pytest.mark.parametrize(("value", "expected"), [("team-a", "team-a"), (" team-a ", "team-a"), ("", "")])
def test_the_operators_own_namespace(value: str, expected: str) -> None:
    assert settings(POD_NAMESPACE=value).namespace == expected


def test_an_own_namespace_that_is_none_is_one_line() -> None:
    assert mistake(POD_NAMESPACE="../x").startswith("POD_NAMESPACE: ")


def test_the_arguments_of_v0_6_0s_deployment_are_taken() -> None:
    taken = settings(
        "--health-probe-bind-address=:8081", "--metrics-bind-address=127.0.0.1:8080", "--leader-elect"
    )
    assert (taken.probes, taken.metrics, taken.leader_elect) == (
        BindAddress(host=None, port=8081),
        BindAddress(host="127.0.0.1", port=8080),
        True,
    )


@pytest.mark.parametrize("flag", ["--version", "-version"])
def test_the_version(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        settings(flag)
    assert (caught.value.code, capsys.readouterr().out) == (0, f"ecr-secret-operator {__version__}\n")


@pytest.mark.parametrize("flag", ["--help", "-help", "-h"])
def test_help_names_every_flag_and_variable(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        settings(flag)
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert all(
        word in shown for word in ("--kubeconfig", "--version", "WATCH_NAMESPACE", "KUBECONFIG", "AWS_")
    )
