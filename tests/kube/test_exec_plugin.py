"""A kubeconfig whose login comes from a plug-in."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ecr_operator.api.text import format_time
from ecr_operator.kube.connection import connect
from ecr_operator.settings import Settings
from tests.kube.server import ScriptedServer, reply

HOUR = timedelta(hours=1)

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


def kubeconfig(folder: Path, server: ScriptedServer, *, lives: timedelta | None, good: int = 9) -> Settings:
    """Write a kubeconfig with a plug-in, whose login lives so long."""
    plugin, path = folder / "plugin.py", folder / "config"
    status = {"expirationTimestamp": format_time(datetime.now(UTC) + lives)} if lives is not None else {}
    plugin.write_text(PLUGIN.format(runs=str(folder / "runs"), good=good, status=status), encoding="utf-8")
    run = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(plugin)],
        "interactiveMode": "Never",
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": {"exec": run}}],
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return Settings(kubeconfig=(str(path),), in_cluster=False, namespaces=("",), pod_name="pod")


async def logins(server: ScriptedServer, settings: Settings) -> list[str]:
    """Make three requests, and return what each was sent with."""
    server.others = [reply({})] * 3
    async with await connect(settings) as client:
        for _ in range(3):
            await client.request("GET", "/version")
    return [asked.headers["Authorization"].removeprefix("Bearer ") for asked in server.asked]


@pytest.mark.parametrize("lives", [pytest.param(HOUR, id="for an hour"), pytest.param(None, id="for ever")])
async def test_a_login_that_lives_is_asked_for_once(
    server: ScriptedServer, tmp_path: Path, lives: timedelta | None
) -> None:
    found = await logins(server, kubeconfig(tmp_path, server, lives=lives))
    assert found == ["login-1", "login-1", "login-1"]


async def test_a_login_that_expires_is_renewed_and_not_with_each_request(
    server: ScriptedServer, tmp_path: Path
) -> None:
    found = await logins(server, kubeconfig(tmp_path, server, lives=timedelta(seconds=5)))
    assert found == ["login-2", "login-2", "login-2"]


async def test_while_the_plugin_fails_the_last_login_is_used(server: ScriptedServer, tmp_path: Path) -> None:
    found = await logins(server, kubeconfig(tmp_path, server, lives=timedelta(seconds=5), good=1))
    assert found == ["login-1", "login-1", "login-1"]
    assert (tmp_path / "runs").read_text(encoding="utf-8") == "xx"
