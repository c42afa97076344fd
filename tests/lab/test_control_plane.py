"""The control plane: what works on it, what survives a restart, what is left of it (nothing)."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from lab import audit
from lab.api import CONFIG_MAPS, NAMESPACES, SECRETS, Api, ApiError
from lab.control_plane import ControlPlane
from lab.waiting import wait_for
from tests.lab import scripts

PLANE = """
import time
from lab.control_plane import ControlPlane
with ControlPlane() as plane:
    print(plane.folder, flush=True)
    time.sleep(600)
"""

KUBECTL = Path(sys.executable).with_name("kubectl")


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A plane of this module's own, as its API server is stopped and killed."""
    with ControlPlane() as started:
        yield started


@pytest.fixture
async def client(plane: ControlPlane) -> AsyncIterator[Api]:
    """A client of that plane."""
    async with plane.api() as api:
        yield api


def _kubectl(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [KUBECTL, "--kubeconfig", kubeconfig, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": "/nonexistent"})


def _processes_in(folder: Path) -> list[psutil.Process]:
    return [each for each in psutil.process_iter() if str(folder) in " ".join(_command_line(each))]


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


async def test_the_admins_kubeconfig_works_with_kubectl(plane: ControlPlane) -> None:
    done = _kubectl(plane.kubeconfig, "auth", "can-i", "*", "*")
    assert (done.returncode, done.stdout.strip()) == (0, "yes")


async def test_another_user_has_no_rights_until_given_some(plane: ControlPlane) -> None:
    done = _kubectl(plane.write_kubeconfig("alice", namespace="kube-system"), "get", "secrets")
    assert 'User "alice" cannot list resource "secrets"' in done.stderr
    assert 'in the namespace "kube-system"' in done.stderr


async def test_a_user_with_a_token_is_known_by_it(plane: ControlPlane) -> None:
    done = _kubectl(plane.write_kubeconfig("robot", token=plane.token), "auth", "whoami", "-o", "name")
    assert done.returncode == 0


async def test_data_outlive_the_api_server(plane: ControlPlane, client: Api) -> None:
    name = await client.create_namespace()
    address = plane.url
    await asyncio.to_thread(plane.stop_api_server)
    await asyncio.to_thread(plane.start_api_server)
    assert await client.find(NAMESPACES, name)
    await asyncio.to_thread(plane.kill_api_server)
    await asyncio.to_thread(plane.start_api_server)
    assert await client.find(NAMESPACES, name)
    assert plane.url == address


async def test_a_frozen_api_server_answers_when_it_goes_on(plane: ControlPlane, client: Api) -> None:
    plane.pause_api_server()
    question = asyncio.create_task(client.list(NAMESPACES))
    assert not (await asyncio.wait([question], timeout=0.3))[0]
    plane.resume_api_server()
    assert len(await question) >= 4


async def test_what_the_controllers_own_they_clean_up(plane: ControlPlane, client: Api) -> None:
    plane.start_controller_manager()
    name = await client.create_namespace()
    owner = await client.create(_config_map("owner"), name)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    await client.create(_config_map("owned", ownerReferences=[reference]), name)
    await client.delete(CONFIG_MAPS, "owner", name)

    async def collected() -> bool:
        return await client.find(CONFIG_MAPS, "owned", name) is None

    async def gone() -> bool:
        return await client.find(NAMESPACES, name) is None

    await wait_for(collected, 30, "the owned object collected")
    await client.delete(NAMESPACES, name)
    await wait_for(gone, 30, "the namespace gone")


def _config_map(name: str, **metadata: object) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


async def test_an_object_is_applied_patched_and_deleted(client: Api) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"key": "one"}}
    await client.apply(secret)
    changed = await client.merge_patch(SECRETS, "a", {"metadata": {"labels": {"of": "b"}}}, "default")
    assert changed["metadata"]["labels"] == {"of": "b"}
    assert [each["metadata"]["name"] for each in await client.list(SECRETS, labelSelector="of=b")] == ["a"]
    await client.delete(SECRETS, "a", "default")
    with pytest.raises(ApiError, match="404 NotFound"):
        await client.get(SECRETS, "a", "default")


async def test_an_unknown_kind_is_an_error(client: Api) -> None:
    with pytest.raises(ApiError, match="v1 has no kind Nothing"):
        await client.apply({"apiVersion": "v1", "kind": "Nothing", "metadata": {"name": "a"}})


async def test_ones_own_requests_are_counted_once_each(plane: ControlPlane, client: Api) -> None:
    since = audit.position(plane.audit_log)
    await client.list(SECRETS)
    await client.apply(_config_map("counted"))
    await client.merge_patch(CONFIG_MAPS, "counted", {"data": {"a": "b"}}, "default")
    await client.request("GET", "/api/v1/secrets", query={"watch": "1", "timeoutSeconds": "1"})

    def counted() -> dict[audit.Request, int]:
        return dict(audit.count_requests(plane.audit_log, user="admin", since=since))

    expected = {
        audit.Request("list", "secrets", ""): 1,
        audit.Request("patch", "configmaps", ""): 2,
        audit.Request("watch", "secrets", ""): 1,
    }
    await wait_for(lambda: counted() == expected, 2, "the requests in the audit log")


async def test_a_watch_is_counted_while_it_lasts(plane: ControlPlane, client: Api) -> None:
    since = audit.position(plane.audit_log)
    query = {"watch": "1", "timeoutSeconds": "30"}
    watch = asyncio.create_task(client.request("GET", "/api/v1/secrets", query=query))
    desired = audit.Request("watch", "secrets", "")
    await wait_for(lambda: audit.count_requests(plane.audit_log, agent="aiohttp", since=since)[desired] == 1)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


def test_a_line_still_being_written_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text('{"verb": "get", "user": {}, "objectRef": {"resource": "pods", "apiGroup": "a"}}\n{"ver')
    assert audit.count_requests(log) == {audit.Request("get", "pods.a", ""): 1}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda number: number.name)
async def test_a_plane_leaves_nothing_behind_however_its_owner_ends(number: signal.Signals) -> None:
    with scripts.start(PLANE) as owner:
        folder = Path(scripts.line_of(owner))
        assert len(_processes_in(folder)) >= 2
        owner.send_signal(number)
        owner.communicate()
    await wait_for(lambda: not _processes_in(folder), 5, "the processes' end")
    await wait_for(lambda: not folder.exists(), 5, "the folder's end")


async def test_two_planes_know_nothing_of_each_other(plane: ControlPlane, client: Api) -> None:
    name = await client.create_namespace()
    with ControlPlane() as other:
        async with AsyncExitStack() as stack:
            stranger = await stack.enter_async_context(other.api())
            assert await stranger.find(NAMESPACES, name) is None
        assert other.url != plane.url
    assert not other.folder.exists()
    assert not _processes_in(other.folder)


def test_a_server_that_does_not_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    for name, script in (("etcd", "sleep 600"), ("kube-apiserver", "echo it is broken; exit 3")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    with scripts.start(PLANE, env={"KUBEBUILDER_ASSETS": str(tmp_path)}) as owner:
        output = owner.communicate()[0]
    assert owner.returncode == 1
    assert "kube-apiserver ended with exit code 3; the end of its log:\nit is broken" in output
