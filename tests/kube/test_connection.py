"""Where the API server is, and what is said when it can't be found."""

import textwrap
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from ecr_operator.kube.client import JSON, KubeClient
from ecr_operator.kube.connection import ConnectionSetupError, check, connect
from ecr_operator.settings import Settings
from ecr_operator.settings.proxies import Proxies
from lab.connect_proxy import ConnectProxy
from tests.kube.server import Answer, ScriptedServer, event, refuse, reply, stream, text

KUBECONFIG = """
    apiVersion: v1
    kind: Config
    current-context: here
    contexts: [{{name: here, context: {{cluster: c, user: u}}}}]
    clusters: [{{name: c, cluster: {{server: "{url}"}}}}]
    users: [{{name: u, user: {{token: t0ken}}}}]
"""


def settings(*files: Path, in_cluster: bool = False, namespaces: tuple[str, ...] = ("",)) -> Settings:
    return Settings(
        kubeconfig=tuple(str(file) for file in files),
        in_cluster=in_cluster,
        namespaces=namespaces,
        pod_name="pod",
    )


def write(folder: Path, content: str) -> Path:
    path = folder / "config"
    path.write_text(textwrap.dedent(content), encoding="utf-8")
    return path


async def refusal(of: Settings) -> str:
    with pytest.raises(ConnectionSetupError) as caught:
        await connect(of)
    return str(caught.value)


async def test_a_kubeconfig_leads_to_the_server(server: ScriptedServer, tmp_path: Path) -> None:
    server.others = [reply({"major": "1"})]
    path = write(tmp_path, KUBECONFIG.format(url=server.url))
    async with await connect(settings(tmp_path / "missing", path)) as client:
        assert client.host == server.url
        await check(client)
    assert server.asked[0].path == "/version"
    assert server.asked[0].headers["Authorization"] == "Bearer t0ken"


async def test_the_watches_of_many_namespaces_take_no_connection_from_requests(
    server: ScriptedServer, tmp_path: Path
) -> None:
    watches = 4 * 30
    server.watches = [stream(event("ADDED"), then="hold")] * watches
    server.others = [reply({})]
    path = write(tmp_path, KUBECONFIG.format(url=server.url))
    namespaces = tuple(f"team-{number}" for number in range(30))
    async with await connect(settings(path, namespaces=namespaces)) as client, AsyncExitStack() as stack:
        for _ in range(watches):
            watch = client.stream("/api", query=(("watch", "true"),), accept=JSON, silence=20)
            stack.push_async_callback((await stack.enter_async_context(watch)).aclose)
        await client.request("PATCH", "/api/v1/namespaces/team-1/secrets/web", body={}, seconds=5)


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        pytest.param("namespace: ops", "ops", id="named"),
        pytest.param("cluster: c", "", id="not named"),
        pytest.param("namespace: ../kube-system", "", id="no name"),
        pytest.param("namespace: [ops]", "", id="no text"),
    ],
)
async def test_the_contexts_namespace_is_known(tmp_path: Path, context: str, expected: str) -> None:
    content = KUBECONFIG.format(url="http://api.example").replace("user: u}}]", f"user: u, {context}}}}}]")
    client = await connect(settings(write(tmp_path, content)))
    assert client.namespace == expected
    assert client.sibling().namespace == expected


async def test_a_proxys_login_travels_in_a_header_and_stands_in_no_error(
    server: ScriptedServer, tmp_path: Path
) -> None:
    proxy = server.url.replace("//", "//user:hunter2@")
    content = KUBECONFIG.format(url=f'http://api.example", proxy-url: "{proxy}')
    server.others = [reply({"major": "1"}), refuse(502, "Bad")]
    async with await connect(settings(write(tmp_path, content))) as client:
        await check(client)
        with pytest.raises(ConnectionSetupError) as found:
            await check(client)
    assert "hunter2" not in str(found.value)
    assert server.asked[0].headers["Proxy-Authorization"].startswith("Basic ")


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "quic"])
@pytest.mark.parametrize("by", ["the kubeconfig", "HTTPS_PROXY"])
async def test_a_proxy_of_another_kind_is_refused_in_a_line_without_its_login(
    tmp_path: Path, scheme: str, by: str
) -> None:
    proxy, content = f"{scheme}://user:hunter2@127.0.0.1:1080", KUBECONFIG.format(url="https://api.example")
    if by == "the kubeconfig":
        content = content.replace("api.example", f'api.example", proxy-url: "{proxy}')
    proxies = Proxies(https=proxy if by == "HTTPS_PROXY" else "")
    said = await refusal(replace(settings(write(tmp_path, content)), proxies=proxies))
    assert f'"{scheme}://"' in said
    assert "is not supported" in said
    assert "proxy-url" in said
    assert "HTTPS_PROXY" in said
    assert "hunter2" not in said
    assert "\n" not in said


@pytest.mark.parametrize("status", [403, 407, 502, 503])
async def test_a_proxy_that_refuses_is_named_with_its_number(tmp_path: Path, status: int) -> None:
    async with ConnectProxy(1) as proxy:
        proxy.refuse = status
        of = settings(write(tmp_path, KUBECONFIG.format(url="https://api.example")))
        of = replace(of, proxies=Proxies(https=proxy.url("user:hunter2")))
        async with await connect(of) as client:
            with pytest.raises(ConnectionSetupError) as caught:
                await check(client)
    assert f"the proxy answered HTTP {status}." in str(caught.value)
    assert "NO_PROXY" in str(caught.value)
    assert "Is it running?" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_without_a_kubeconfig_it_says_what_to_set(tmp_path: Path) -> None:
    said = await refusal(settings(tmp_path / "missing"))
    assert f"no such file: {tmp_path}/missing" in said
    assert "Set KUBECONFIG, or pass --kubeconfig FILE" in said


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="nothing"),
        pytest.param("just text", id="text"),
        pytest.param("[1, 2]", id="a list"),
        pytest.param("a: [", id="no YAML"),
        pytest.param("\x00", id="a NUL"),
        pytest.param("apiVersion: v1\nkind: Config\n", id="no context"),
        pytest.param(
            "current-context: gone\ncontexts: []\nclusters: []\nusers: []\n", id="a context that is gone"
        ),
        pytest.param("current-context: 7\ncontexts: 7\n", id="numbers"),
        pytest.param(
            "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
            "clusters: []\nusers: []\n",
            id="a cluster that is gone",
        ),
        pytest.param(
            KUBECONFIG.format(url='https://api.example", certificate-authority-data: "bm9uZQ=='),
            id="an authority that is no certificate",
        ),
        pytest.param(
            KUBECONFIG.format(url="https://api.example").replace(
                "token: t0ken", "client-certificate-data: bm9uZQ==, client-key-data: bm9uZQ=="
            ),
            id="a client certificate that is none",
        ),
    ],
)
async def test_a_kubeconfig_that_is_none_is_one_line(tmp_path: Path, content: str) -> None:
    said = await refusal(settings(write(tmp_path, content)))
    assert "kubeconfig" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("users:\n- name: u\n  token: [t0ken\n", "it is not valid YAML (line 4)", id="no YAML"),
        pytest.param("\x00", "it is not valid YAML", id="no text"),
        pytest.param("just text", "it is not a kubeconfig", id="another YAML"),
        pytest.param(
            KUBECONFIG.format(url='https://api.example", certificate-authority-data: "abcde'),
            "a value in it can't be decoded",
            id="no base64",
        ),
        pytest.param(
            KUBECONFIG.format(url='https://api.example", certificate-authority-data: "bm9uZQ=='),
            "a certificate or key that it names is invalid",
            id="no certificate",
        ),
    ],
)
async def test_it_says_what_is_wrong_with_a_kubeconfig(tmp_path: Path, content: str, words: str) -> None:
    said = await refusal(settings(write(tmp_path, content)))
    assert words in said
    assert "t0ken" not in said


async def test_a_folder_is_no_kubeconfig(tmp_path: Path) -> None:
    assert f"a folder, not a file: {tmp_path}" in await refusal(settings(tmp_path))


async def test_outside_a_cluster_there_is_no_service_account() -> None:
    assert "The pod's service account can't be used" in await refusal(settings(in_cluster=True))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(
            refuse(401, "Unauthorized", "Unauthorized"),
            "Unauthorized. Log in again.",
            id="credentials that are not known",
        ),
        pytest.param(text("<html>", 502), "Is it running?", id="a proxy without a server"),
        pytest.param(text("<html>"), "not JSON", id="something else"),
    ],
)
async def test_a_server_that_can_not_be_used_is_told(
    server: ScriptedServer, client: KubeClient, answer: Answer, words: str
) -> None:
    server.others = [answer]
    with pytest.raises(ConnectionSetupError) as caught:
        await check(client)
    assert server.url in str(caught.value)
    assert words in str(caught.value)
    assert "Check the kubeconfig" in str(caught.value)


async def test_a_server_that_hides_its_version_is_good(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [refuse(403, "Forbidden")]
    await check(client)
