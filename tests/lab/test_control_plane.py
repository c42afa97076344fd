"""The control plane: audit log, roles and controllers."""

import asyncio
import socket
import subprocess
from pathlib import Path

import pytest
import urllib3

from lab import assets, audit, rights
from lab.api import NAMESPACES, SECRETS, Api, Resource
from lab.control_plane import ControlPlane
from lab.kubectl import kubectl
from lab.processes import LabError, Process
from lab.waiting import wait_for


async def test_each_request_is_counted_once_and_a_watch_when_it_begins(
    control_plane: ControlPlane, api: Api, tmp_path: Path
) -> None:
    since = audit.mark(control_plane.audit_log)
    query = {"watch": "1", "timeoutSeconds": "30"}
    watch = asyncio.create_task(api.request("GET", "/api/v1/secrets", query=query))
    await api.list(SECRETS)
    await api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "counted"}})
    await api.merge_patch(Resource("v1", "configmaps"), "counted", {"data": {"a": "b"}}, "default")
    expected = {
        audit.Request("list", "secrets", ""): 1,
        audit.Request("patch", "configmaps", ""): 2,
        audit.Request("watch", "secrets", ""): 1,
    }

    def counted() -> bool:
        return audit.count_requests(control_plane.audit_log, user="admin", since=since) == expected

    await wait_for(counted, 2, "the requests in the audit log")
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    # A line that is still being written is left for the next reader.
    (tmp_path / "log").write_text('{"verb": "get", "user": {}, "objectRef": {"resource": "pods"}}\n{"ver')
    assert audit.count_requests(tmp_path / "log") == {audit.Request("get", "pods", ""): 1}


async def test_a_refusal_counts_unless_the_role_allows_the_request(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    since = audit.mark(control_plane.audit_log)
    kubeconfig = control_plane.write_kubeconfig("curious-operator", groups=(rights.OPERATORS,))
    await kubectl("get", "--raw", "/api/v1/secrets?limit=1", kubeconfig=kubeconfig, home=tmp_path)
    assert rights.beyond(control_plane, "curious-operator", since) == []
    with pytest.raises(LabError, match="Forbidden"):
        await kubectl("get", "--raw", "/api/v1/configmaps", kubeconfig=kubeconfig, home=tmp_path)
    assert rights.beyond(control_plane, "curious-operator", since) == ["list /api/v1/configmaps"]


def _controller_manager() -> Path:
    return assets.ensure([assets.CONTROLLER_MANAGER]) / assets.CONTROLLER_MANAGER


async def test_controller_manager_takes_the_real_ones_flags_and_reports_health(
    control_plane: ControlPlane, api: Api, tmp_path: Path
) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
    flags = [
        f"--kubeconfig={control_plane.write_kubeconfig('controllers', groups=('system:masters',))}",
        "--controllers=*,-garbage-collector-controller",
        "--leader-elect=false",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={tmp_path}",
    ]
    name = await api.create_namespace()
    with Process("controllers", [_controller_manager(), *flags], log=tmp_path / "log", env={}) as process:
        await api.delete(NAMESPACES, name)

        async def deleted() -> bool:
            return await api.find(NAMESPACES, name) is None

        await wait_for(deleted, 30, "the namespace's end")
        with urllib3.PoolManager(
            ca_certs=str(tmp_path / "kube-controller-manager.crt"), retries=False
        ) as pool:
            health = await asyncio.to_thread(pool.request, "GET", f"https://127.0.0.1:{port}/healthz")
        assert health.data == b"ok"
        assert await asyncio.to_thread(process.stop) == 0


def test_controller_manager_refuses_a_controller_that_it_lacks() -> None:
    command = [str(_controller_manager()), "--controllers=garbagecollector,job-controller"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        'no "job-controller" here; there is garbage-collector-controller, namespace-controller' in done.stderr
    )
