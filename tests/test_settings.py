"""The command line and the environment."""

import os
from pathlib import Path

import pytest

from ecr_operator import __version__
from ecr_operator.settings import Settings, SettingsError, parse_settings

HOME = "~/.kube/config"


def settings(*arguments: str, **environment: str) -> Settings:
    return parse_settings(arguments, environment)


def mistake(*arguments: str, **environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings(*arguments, **environment)
    return str(caught.value)


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
    assert said.endswith(". See --help.")
    assert "\n" not in said


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
