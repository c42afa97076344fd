"""How it ends: by SIGTERM in order and in time, whatever hangs, by a second one, by a refused login."""

import asyncio
import json
import os
from pathlib import Path

import psutil
import pytest

from lab.fault_proxy import FaultProxy
from lab.kubectl import cluster, write
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.leadership.replicas import behind, lease, replica, writes_of
from tests.cluster.scene import QUIET, Scene

# v0.6.0's Deployment gives 10 s, of which 2 are for the kubelet.
GRACE = 8.0


async def _ends(operator: OperatorProcess) -> None:
    """Stop an operator; check that it ends with 0 in time, with no child and no traceback left."""
    children = psutil.Process(operator.process.pid).children(recursive=True)
    assert await operator.stop(GRACE) == 0
    assert [child for child in children if child.is_running()] == []
    with pytest.raises(ProcessLookupError):
        os.killpg(operator.process.pid, 0)
    log = operator.log.read_text()
    assert not [words for words in ("Traceback", "never retrieved", "Unclosed") if words in log]


async def test_a_leader_finishes_its_writes_before_it_releases_the_lease(scene: Scene) -> None:
    names = [f"r{number}" for number in range(60)]
    await scene.create(*(ecr_secret(name) for name in names))
    async with replica(scene, "ours") as operator:
        await wait_for(lambda: scene.find_secret("r20-login"), what="some of the Secrets")
        await _ends(operator)
        said = [json.loads(line)["message"] for line in operator.log.read_text().splitlines()]
    assert not (await lease(scene)).get("holderIdentity")
    assert said.index("stopping") < said.index("lease released")
    # A request is logged after its answer.
    await asyncio.sleep(QUIET)
    written = writes_of(scene, "ours")
    assert {each["responseStatus"]["code"] for each in written} <= {200, 201}
    secrets = {each["objectRef"]["name"] for each in written if each["objectRef"]["name"].endswith("-login")}
    statuses = {each["objectRef"]["name"] for each in written if each["objectRef"].get("subresource")}
    assert secrets == {f"{name}-login" for name in statuses}


async def test_the_operator_ends_in_time_while_calls_to_aws_hang(scene: Scene) -> None:
    scene.aws.hang()
    await scene.create(ecr_secret("pull"), ecr_secret("other", region="eu-west-1"))
    async with scene.operator() as operator:
        await wait_for(lambda: scene.aws.count() == 2, what="the calls that hang")
        await _ends(operator)
    # The local AWS sees the closed connections a moment later.
    await wait_for(
        lambda: {call.outcome for call in scene.aws.calls} == {"gone"}, what="the end of both calls"
    )


async def test_a_leader_ends_in_time_while_the_api_server_hangs(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with FaultProxy(scene.kubeconfig) as proxy, behind(proxy, scene) as operator:
        await scene.ready("pull")
        proxy.hang("patch")
        await scene.delete("pull-login")
        await wait_for(lambda: proxy.asked("patch", "pull-login")[1:], what="a write that hangs")
        proxy.go_half_open()
        await _ends(operator)


async def test_a_login_that_the_api_server_refuses_is_one_line_and_exit_1(
    scene: Scene, tmp_path: Path
) -> None:
    path = tmp_path / "config"
    write(path, cluster(scene.plane.url, scene.plane.authority.encode()), {"token": "a-stale-token"})
    async with OperatorProcess(kubeconfig=path) as operator:
        code = await operator.wait()
        lines = operator.log.read_text().splitlines()
    assert (code, len(lines)) == (1, 1), lines
    assert scene.plane.url in lines[0]
    assert "a-stale-token" not in lines[0]
