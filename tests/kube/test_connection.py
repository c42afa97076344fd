"""Where the API server is, what is reported when it can't be found, and logins of an exec plug-in."""

import json
import sys
import textwrap
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ecr_operator.api.text import format_time
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
REMOTE = KUBECONFIG.format(url="https://api.example")


def settings(*files: Path, in_cluster: bool = False, namespaces: tuple[str, ...] = ("",)) -> Settings:
    kubeconfig = tuple(str(file) for file in files)
    return Settings(kubeconfig=kubeconfig, in_cluster=in_cluster, namespaces=namespaces, pod_name="pod")


def write(folder: Path, content: str) -> Path:
    path = folder / "config"
    path.write_text(textwrap.dedent(content), encoding="utf-8")
    return path


async def refusal(of: Settings, context: str = "") -> str:
    with pytest.raises(ConnectionSetupError) as caught:
        await connect(of, context=context)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_kubeconfig_leads_to_the_server(server: ScriptedServer, tmp_path: Path) -> None:
    server.others = [reply({"major": "1"})]
    path = write(tmp_path, KUBECONFIG.format(url=server.url))
    async with await connect(settings(tmp_path / "missing", path)) as client:
        assert client.host == server.url
        await check(client)
    assert server.asked[0].path == "/version"
    assert server.asked[0].headers["Authorization"] == "Bearer t0ken"


async def test_watches_of_many_namespaces_take_no_connection_from_requests(
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
    ("context", "namespace"),
    [
        ("namespace: ops", "ops"),
        ("cluster: c", ""),
        ("namespace: ../kube-system", ""),
        ("namespace: [ops]", ""),
    ],
)
async def test_namespace_of_the_context_is_known_if_valid(
    tmp_path: Path, context: str, namespace: str
) -> None:
    content = REMOTE.replace("user: u}}]", f"user: u, {context}}}}}]")
    client = await connect(settings(write(tmp_path, content)))
    assert client.namespace == namespace
    assert client.sibling().namespace == namespace


async def test_login_of_a_proxy_is_sent_and_is_in_no_error(server: ScriptedServer, tmp_path: Path) -> None:
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
async def test_unsupported_proxy_is_refused_without_its_login(tmp_path: Path, scheme: str, by: str) -> None:
    proxy, content, proxies = f"{scheme}://user:hunter2@127.0.0.1:1080", REMOTE, Proxies()
    if by == "HTTPS_PROXY":
        proxies = Proxies(https=proxy)
    else:
        content = content.replace("api.example", f'api.example", proxy-url: "{proxy}')
    said = await refusal(replace(settings(write(tmp_path, content)), proxies=proxies))
    for words in (f'"{scheme}://"', "is not supported", "proxy-url", "HTTPS_PROXY"):
        assert words in said
    assert "hunter2" not in said


@pytest.mark.parametrize("status", [403, 407, 502, 503])
async def test_refusal_of_a_proxy_is_reported_with_its_status(tmp_path: Path, status: int) -> None:
    async with ConnectProxy(1) as proxy:
        proxy.refuse = status
        proxies = Proxies(https=proxy.url("user:hunter2"))
        async with await connect(replace(settings(write(tmp_path, REMOTE)), proxies=proxies)) as client:
            with pytest.raises(ConnectionSetupError) as caught:
                await check(client)
    said = str(caught.value)
    assert f"the proxy answered HTTP {status}." in said
    assert "NO_PROXY" in said
    assert "Is it running?" not in said
    assert "hunter2" not in said


async def test_missing_kubeconfig_is_reported_with_what_to_set(tmp_path: Path) -> None:
    said = await refusal(settings(tmp_path / "missing"))
    assert f"no such file: {tmp_path}/missing" in said
    assert "Set KUBECONFIG, or pass --kubeconfig FILE" in said
    assert f"a folder, not a file: {tmp_path}" in await refusal(settings(tmp_path))


NO_CLUSTER = (
    "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nclusters: []\nusers: []\n"
)
BROKEN = {
    "nothing": ("", "kubeconfig"),
    "text": ("just text", "it is not a kubeconfig"),
    "a list": ("[1, 2]", "kubeconfig"),
    "an open list": ("users:\n- name: u\n  token: [t0ken\n", "it is not valid YAML (line 4)"),
    "a NUL": ("\x00", "it is not valid YAML"),
    "no context": ("apiVersion: v1\nkind: Config\n", "kubeconfig"),
    "a missing context": ("current-context: b\ncontexts: []\nclusters: []\nusers: []\n", "kubeconfig"),
    "numbers": ("current-context: 7\ncontexts: 7\n", "kubeconfig"),
    "a missing cluster": (NO_CLUSTER, "kubeconfig"),
    "an authority that is not base64": (
        KUBECONFIG.format(url='https://api.example", certificate-authority-data: "abcde'),
        "a value in it can't be decoded",
    ),
    "an authority that is not a certificate": (
        KUBECONFIG.format(url='https://api.example", certificate-authority-data: "bm9uZQ=='),
        "a certificate or key that it names is invalid",
    ),
    "a client certificate that is none": (
        REMOTE.replace("token: t0ken", "client-certificate-data: bm9uZQ==, client-key-data: bm9uZQ=="),
        "a certificate or key that it names is invalid",
    ),
    "a missing file": (
        REMOTE.replace("token: t0ken", "client-certificate: /gone, client-key: /gone"),
        "kubeconfig",
    ),
}


@pytest.mark.parametrize(("content", "words"), BROKEN.values(), ids=BROKEN)
async def test_broken_kubeconfig_is_one_line_with_its_flaw(tmp_path: Path, content: str, words: str) -> None:
    said = await refusal(settings(write(tmp_path, content)))
    assert words in said
    assert "t0ken" not in said


async def test_unknown_context_is_reported(tmp_path: Path) -> None:
    assert 'no usable context "gone"' in await refusal(settings(write(tmp_path, REMOTE)), context="gone")


async def test_outside_a_cluster_there_is_no_service_account() -> None:
    assert "The pod's service account can't be used" in await refusal(settings(in_cluster=True))


UNUSABLE = {
    "unknown credentials": (refuse(401, "Unauthorized", "Unauthorized"), "Unauthorized. Log in again."),
    "a proxy without a server": (text("<html>", 502), "Is it running?"),
    "something else": (text("<html>"), "not JSON"),
}


@pytest.mark.parametrize(("answer", "words"), UNUSABLE.values(), ids=UNUSABLE)
async def test_unusable_server_is_reported(
    server: ScriptedServer, client: KubeClient, answer: Answer, words: str
) -> None:
    server.others = [answer]
    with pytest.raises(ConnectionSetupError) as caught:
        await check(client)
    for expected in (server.url, words, "Check the kubeconfig"):
        assert expected in str(caught.value)


async def test_server_that_hides_its_version_is_usable(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [refuse(403, "Forbidden")]
    await check(client)


# Each run gives another token; after so many runs it fails.
PLUGIN = """
import json, pathlib, sys
runs = pathlib.Path({runs!r})
runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
number = len(runs.read_text())
if number > {good}:
    sys.exit("no more")
status = {{"token": f"login-{{number}}", **{status}}}
version = "client.authentication.k8s.io/v1"
print(json.dumps({{"apiVersion": version, "kind": "ExecCredential", "status": status}}))
"""


async def logins(
    server: ScriptedServer, folder: Path, valid_for: timedelta | None, *, good: int = 9
) -> list[str]:
    """Make three requests with a plug-in, and return the token of each."""
    plugin = folder / "plugin.py"
    status = {"expirationTimestamp": format_time(datetime.now(UTC) + valid_for)} if valid_for else {}
    plugin.write_text(PLUGIN.format(runs=str(folder / "runs"), good=good, status=status), encoding="utf-8")
    run = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(plugin)],
        "interactiveMode": "Never",
    }
    content = KUBECONFIG.format(url=server.url).replace("token: t0ken", f"exec: {json.dumps(run)}")
    server.others = [reply({})] * 3
    async with await connect(settings(write(folder, content))) as client:
        for _ in range(3):
            await client.request("GET", "/version")
    return [asked.headers["Authorization"].removeprefix("Bearer ") for asked in server.asked]


@pytest.mark.parametrize(
    ("valid_for", "login"),
    [
        pytest.param(timedelta(hours=1), "login-1", id="is run once for a login of an hour"),
        pytest.param(None, "login-1", id="is run once for a login without an end"),
        pytest.param(
            timedelta(seconds=5), "login-2", id="is run again before the end, not with each request"
        ),
    ],
)
async def test_exec_plugin(
    server: ScriptedServer, tmp_path: Path, valid_for: timedelta | None, login: str
) -> None:
    assert await logins(server, tmp_path, valid_for) == [login] * 3


async def test_last_login_is_used_while_the_exec_plugin_fails(server: ScriptedServer, tmp_path: Path) -> None:
    assert await logins(server, tmp_path, timedelta(seconds=5), good=1) == ["login-1"] * 3
    assert (tmp_path / "runs").read_text(encoding="utf-8") == "xx"
