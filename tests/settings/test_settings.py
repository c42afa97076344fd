"""The operator's flags and variables."""

import logging
import os
from pathlib import Path

import pytest

from ecr_operator import __version__
from ecr_operator.api.identity import IdentityPolicy
from ecr_operator.settings import BindAddress, Settings, SettingsError, parse_settings

HOME = "~/.kube/config"
PROXY = "http://proxy.example:3128"
ONE, TWO = "arn:aws:iam::123456789012:role/one", "arn:aws:iam::*:role/two-*"


def settings(*arguments: str, **environment: str) -> Settings:
    return parse_settings(arguments, environment)


def mistake(*arguments: str, **environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings(*arguments, **environment)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_with_nothing_set_it_serves_the_whole_cluster_of_the_kubeconfig() -> None:
    expected = Settings(
        kubeconfig=(HOME,), in_cluster=False, namespaces=("",), pod_name="ecr-secret-operator"
    )
    assert settings() == expected
    assert expected.metrics == BindAddress(host=None, port=8080, explicit=False)
    assert expected.probes == BindAddress(host=None, port=8081, explicit=False)
    assert expected.identities == IdentityPolicy()


NAMESPACES = {"": ("",), " ": ("",), ",": ("",), "a": ("a",), " a , b ,": ("a", "b"), "b,a,b": ("b", "a")}


@pytest.mark.parametrize(("value", "namespaces"), [*NAMESPACES.items(), ("a" * 63, ("a" * 63,))])
def test_watch_namespace_is_a_list_and_all_where_it_is_empty(value: str, namespaces: tuple[str, ...]) -> None:
    assert settings(WATCH_NAMESPACE=value).namespaces == namespaces


@pytest.mark.parametrize("value", ["A", "a/b", "..", "a b", "-a", "a.b", "a" * 64, "ok,NOT", "a\nb"])
def test_invalid_namespace_is_one_short_line(value: str) -> None:
    for name in ("WATCH_NAMESPACE", "POD_NAMESPACE"):
        said = mistake(**{name: value})
        assert said.startswith(f"{name}: ")
        assert said.isprintable()
        assert len(said) < 140


def test_own_namespace_and_name() -> None:
    values = {"team-a": "team-a", " team-a ": "team-a", "": ""}
    assert {value: settings(POD_NAMESPACE=value).namespace for value in values} == values
    assert settings(POD_NAME="p", HOSTNAME="h").pod_name == "p"
    assert settings(POD_NAME="", HOSTNAME="h").pod_name == "h"


# The command line, the variable, and the files; the flag wins, in Go's spelling too, unless it is empty.
KUBECONFIGS = [
    ("", "/a", ("/a",)),
    ("", f"/a{os.pathsep}{os.pathsep}/b", ("/a", "/b")),
    ("--kubeconfig /c", "/a", ("/c",)),
    ("--kubeconfig=/c", "", ("/c",)),
    ("-kubeconfig /c", "", ("/c",)),
    ("-kubeconfig=/c", "", ("/c",)),
    ("--kubeconfig=", "/a", ("/a",)),
]


@pytest.mark.parametrize(("line", "variable", "expected"), KUBECONFIGS)
def test_kubeconfig(line: str, variable: str, expected: tuple[str, ...]) -> None:
    assert settings(*line.split(), KUBECONFIG=variable).kubeconfig == expected


def test_without_the_service_accounts_token_it_is_not_in_a_cluster() -> None:
    assert not Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
    assert not settings(KUBERNETES_SERVICE_HOST="10.0.0.1").in_cluster


MISTAKES = {
    "--no-such-flag": 'unknown flag "--no-such-flag".',
    "-no-such-flag": 'unknown flag "--no-such-flag".',
    "word": 'unknown argument "word".',
    "--kubeconfig": "argument --kubeconfig: expected one argument.",
    "--kube x": 'unknown flag "--kube"',
    "--version=7": "argument --version: ignored explicit argument '7'.",
    "--metrics-bind-address=0 status": "the command status goes before all flags.",
    "--metrics-bind-adress=:1": 'unknown flag "--metrics-bind-adress", did you mean --metrics-bind-address?',
    "-leader-elected": "did you mean --leader-elect?",
    "statsu": "did you mean status?",
}


@pytest.mark.parametrize(("line", "words"), MISTAKES.items())
def test_mistake_names_the_nearest_flag_or_command_and_points_to_help(line: str, words: str) -> None:
    said = mistake(*line.split())
    assert words in said
    assert said.endswith((". See --help.", "? See --help."))


ADDRESSES = {
    ":8443": BindAddress(host=None, port=8443),
    "127.0.0.1:8080": BindAddress(host="127.0.0.1", port=8080),
    "[::1]:8080": BindAddress(host="::1", port=8080),
    "[fe80::1%eth0]:1": BindAddress(host="fe80::1%eth0", port=1),
    "localhost:0": BindAddress(host="localhost", port=0),
    "0": None,
}


@pytest.mark.parametrize(("value", "expected"), ADDRESSES.items())
def test_bind_address_is_gos(value: str, expected: BindAddress | None) -> None:
    assert settings(f"--metrics-bind-address={value}").metrics == expected
    assert settings("-health-probe-bind-address", value).probes == expected


@pytest.mark.parametrize(
    "value", [" ", "8080", "::1:8080", "[::1]", "a b:1", ":65536", ":-1", "http://a:1", ":x"]
)
def test_invalid_bind_address_names_the_flag_and_the_form(value: str) -> None:
    said = mistake(f"--metrics-bind-address={value}")
    assert "--metrics-bind-address" in said
    assert "[::1]:8080" in said


def test_empty_bind_address_is_what_it_was_in_v0_6_0() -> None:
    assert settings("--metrics-bind-address=").metrics == settings().metrics
    assert settings("--health-probe-bind-address=").probes is None


BOOLEANS = {
    "": False,
    "--leader-elect --session-tags": True,
    "-leader-elect -session-tags": True,
    "--leader-elect=true --session-tags=T": True,
    "--leader-elect=F -session-tags=false": False,
    "-leader-elect=1 -session-tags=1": True,
    "--leader-elect --leader-elect=false": False,
}


@pytest.mark.parametrize(("line", "value"), BOOLEANS.items())
def test_boolean_is_gos(line: str, *, value: bool) -> None:
    taken = settings(*line.split())
    assert (taken.leader_elect, taken.identities.session_tags) == (value, value)


# By the flags: the level and the encoder.
ZAP = {
    "": (logging.INFO, None),
    "--zap-log-level=debug": (logging.DEBUG, None),
    "--zap-log-level=ERROR": (logging.ERROR, None),
    "--zap-log-level=5": (logging.DEBUG, None),
    "-zap-encoder json": (logging.INFO, "json"),
    "--zap-encoder=Console": (logging.INFO, "console"),
    "--zap-devel": (logging.DEBUG, "console"),
    "--zap-devel=false": (logging.INFO, "json"),
    "--zap-devel --zap-log-level=info --zap-encoder=json": (logging.INFO, "json"),
    "--zap-stacktrace-level=error --zap-time-encoding=rfc3339": (logging.INFO, None),
}


@pytest.mark.parametrize(("line", "expected"), ZAP.items())
def test_zap_flags(line: str, expected: tuple[int, str | None]) -> None:
    logs = settings(*line.split()).logs
    assert (logs.level, logs.encoder) == expected


INVALID = ["--zap-log-level=loud", "--zap-log-level=0", "--zap-log-level=-1", "--zap-encoder=xml"]
INVALID += ["--zap-devel=perhaps", "--zap-stacktrace-level=never", "--zap-time-encoding=stardate"]
INVALID += ["--resource-metrics=some", "--session-tags=maybe", "--external-id=x", "--external-id=a b"]
INVALID += [f"--external-id={'x' * 1225}", "--ambient-credentials=Upper", "--ambient-credentials=team==a=b"]
ROLES = ("", "puller", "arn:aws:iam::1:role/\u0430", f"{ONE},", f"{ONE} {TWO}")
INVALID += [f"--permitted-roles={roles}" for roles in ROLES]


@pytest.mark.parametrize("argument", INVALID)
def test_invalid_value_is_reported_with_its_flag(argument: str) -> None:
    assert argument.partition("=")[0] in mistake(argument)


def test_permitted_roles_are_a_list_or_given_again() -> None:
    for arguments in (
        (f"--permitted-roles={ONE},{TWO}",),
        ("--permitted-roles", f"{ONE}, {TWO}"),
        (f"-permitted-roles={ONE}", f"--permitted-roles={TWO}"),
    ):
        assert settings(*arguments).identities.permitted_roles == (ONE, TWO)
    assert settings("-external-id=a:b/c@d").identities.external_id == "a:b/c@d"


def test_ambient_credentials_are_names_or_a_selector() -> None:
    names = settings("--ambient-credentials=a, b", "--allowed-registry-hosts=x, *.y").tenancy
    assert (names.ambient_namespaces, names.registry_hosts) == (("a", "b"), ("x", "*.y"))
    selector = settings("--ambient-credentials=team=platform").tenancy
    assert (selector.ambient_namespaces, bool(selector.ambient_selector)) == ((), True)
    assert settings().tenancy.ambient_namespaces is None


def test_all_proxy_alone_is_warned_of() -> None:
    both = {"ALL_PROXY": PROXY, "HTTPS_PROXY": PROXY}
    for environment in ({"ALL_PROXY": PROXY}, {"all_proxy": "socks5://127.0.0.1:1080"}):
        (said,) = settings(**environment).warnings
        assert "ALL_PROXY is not used" in said
    assert settings(**both).warnings == settings(HTTPS_PROXY=PROXY).warnings == ()


@pytest.mark.parametrize("flag", ["--version", "-version"])
def test_version(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        settings(flag)
    assert (caught.value.code, capsys.readouterr().out) == (0, f"ecr-secret-operator {__version__}\n")


@pytest.mark.parametrize("flag", ["--help", "-help", "-h"])
def test_help_names_flags_and_variables(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        settings(flag)
    shown = set(capsys.readouterr().out.split())
    assert caught.value.code == 0
    assert shown >= {"--kubeconfig", "--version", "WATCH_NAMESPACE", "KUBECONFIG", "AWS_*"}


def test_each_flag_has_a_variable_that_it_wins_over() -> None:
    given = settings(
        "-leader-elect=false",
        ECR_LEADER_ELECT="true",
        ECR_METRICS_BIND_ADDRESS=":9000",
        ECR_PERMITTED_ROLES="arn:aws:iam::123456789012:role/ecr-*",
        ECR_AMBIENT_CREDENTIALS="",
        ECR_PORT="tcp://10.0.0.1:80",
    )
    assert not given.leader_elect
    assert given.metrics == BindAddress(host=None, port=9000)
    assert given.identities.permitted_roles == ("arn:aws:iam::123456789012:role/ecr-*",)
    assert given.tenancy == settings().tenancy
    both = settings("--permitted-roles", "arn:aws:iam::1:role/a", ECR_PERMITTED_ROLES="arn:aws:iam::1:role/b")
    assert both.identities.permitted_roles == ("arn:aws:iam::1:role/a",)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ECR_ZAP_LOG_LEVEL", "loud"), ("ECR_EXTERNAL_ID", "x"), ("ECR_LEADER_ELECT", "maybe")],
)
def test_a_mistake_in_a_variable_names_the_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        settings(**{variable: value})
