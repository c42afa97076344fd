"""What a user sees when the operator can't start, or starts before its CRDs."""

import socket
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from ecr_operator import __version__
from lab.api import ARGO_SECRETS, CRDS, ECR_SECRETS, Api, ApiError, Resource
from lab.kubectl import cluster, token_user, write
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.scene import Scene

IN_GOOD_TIME = 10.0


async def _ends_with(
    *arguments: str, kubeconfig: Path | None = None, env: dict[str, str | None] | None = None
) -> tuple[int, list[str]]:
    """Run the operator to its end and return exit code and lines of output."""
    async with OperatorProcess(*arguments, kubeconfig=kubeconfig, env=env) as operator:
        code = await operator.wait(IN_GOOD_TIME)
        return code, operator.log.read_text().splitlines()


async def test_without_a_kubeconfig_it_says_so_in_one_line_and_ends_with_1() -> None:
    code, lines = await _ends_with()
    assert (code, len(lines)) == (1, 1), lines
    assert "KUBECONFIG" in lines[0]


async def test_a_kubeconfig_that_is_not_there_is_named_in_one_line(tmp_path: Path) -> None:
    code, lines = await _ends_with(kubeconfig=tmp_path / "absent")
    assert (code, len(lines)) == (1, 1), lines
    assert str(tmp_path / "absent") in lines[0]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("hello", id="a word"),
        pytest.param("{[", id="no YAML"),
        pytest.param("\x00\xff", id="binary"),
        pytest.param("apiVersion: v1\nkind: Config\ncurrent-context: gone\n", id="no contexts"),
        pytest.param(
            "kind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: b}}]\n",
            id="no clusters",
        ),
    ],
)
async def test_a_kubeconfig_that_is_none_is_told_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content, encoding="latin-1")
    code, lines = await _ends_with(kubeconfig=path)
    assert (code, len(lines)) == (1, 1), lines
    assert "kubeconfig" in lines[0]


async def test_an_api_server_that_is_not_there_is_named_in_one_line(scene: Scene, tmp_path: Path) -> None:
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{holder.getsockname()[1]}"
        path = tmp_path / "config"
        write(path, cluster(url, scene.plane.authority.encode()), token_user("none"))
        code, lines = await _ends_with(kubeconfig=path)
    assert (code, len(lines)) == (1, 1), lines
    assert url in lines[0]


async def test_credentials_that_the_api_server_refuses_are_told_in_one_line(
    scene: Scene, tmp_path: Path
) -> None:
    path = tmp_path / "config"
    write(path, cluster(scene.plane.url, scene.plane.authority.encode()), token_user("a-stale-token"))
    code, lines = await _ends_with(kubeconfig=path)
    assert (code, len(lines)) == (1, 1), lines
    assert scene.plane.url in lines[0]
    assert "a-stale-token" not in lines[0]


async def test_the_flag_names_a_kubeconfig_in_place_of_the_variable(scene: Scene, tmp_path: Path) -> None:
    env = {"KUBECONFIG": str(tmp_path / "absent")}
    await scene.create(ecr_secret("pull"))
    async with scene.operator(f"-kubeconfig={scene.kubeconfig}", env=env):
        await scene.ready("pull")


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        pytest.param(["--frobnicate"], {}, id="an unknown flag"),
        pytest.param(["--kubeconfig"], {}, id="a flag without its value"),
        pytest.param(["serve"], {}, id="a word too many"),
        pytest.param([], {"WATCH_NAMESPACE": "Not A Name"}, id="a namespace that is none"),
        pytest.param([], {"WATCH_NAMESPACE": "../secrets"}, id="a namespace that is a path"),
    ],
)
async def test_a_mistake_in_a_flag_or_variable_is_one_line_and_exit_code_2(
    arguments: list[str], variables: dict[str, str | None]
) -> None:
    code, lines = await _ends_with(*arguments, env=variables)
    assert (code, len(lines)) == (2, 1), lines
    assert lines[0].startswith("ecr-secret-operator: ")


async def test_help_names_every_variable_and_ends_with_0() -> None:
    code, lines = await _ends_with("--help")
    assert code == 0
    assert lines[0].startswith("usage: ecr-secret-operator")
    assert all(word in "\n".join(lines) for word in ("WATCH_NAMESPACE", "KUBECONFIG", "--version", "AWS_"))


async def test_version_is_one_line() -> None:
    assert await _ends_with("--version") == (0, [f"ecr-secret-operator {__version__}"])


async def test_without_crds_it_says_how_to_install_them_and_goes_on_when_they_are_there(rough: Scene) -> None:
    await _remove_crds(rough.api)
    async with rough.operator() as operator:
        await wait_for(lambda: _advices(operator) == 2, 10, "advice for each kind")
        await rough.api.install_crds()
        await rough.create(ecr_secret("pull"))
        # Watching again is tried every few seconds.
        await rough.ready("pull", within=12)
        assert _advices(operator) == 2


def _advices(operator: OperatorProcess) -> int:
    return operator.log.read_text().count("kubectl apply -k config/crd")


async def _remove_crds(api: Api) -> None:
    for resource in (ECR_SECRETS, ARGO_SECRETS):
        await api.delete(CRDS, f"{resource.plural}.ecr.mobb.redhat.com")
        await wait_for(partial(_is_unknown, api, resource), 15, f"{resource.plural} gone")


async def _is_unknown(api: Api, resource: Resource) -> bool:
    try:
        await api.list(resource)
    except ApiError as error:
        return error.status == 404
    return False


async def test_crds_that_go_and_come_back_are_watched_again(rough: Scene) -> None:
    await rough.create(ecr_secret("pull"))
    async with rough.operator():
        await rough.ready("pull")
        await _remove_crds(rough.api)
        await rough.api.install_crds()
        await rough.create(ecr_secret("again", region="eu-west-1"))
        await rough.ready("again", within=15)
