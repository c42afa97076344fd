"""A leader ends in order and in time, whatever hangs, and at once when it is asked twice."""

import json
import signal
import time

from lab.fault_proxy import FaultProxy
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.faults.backstage import acting, together
from tests.cluster.leadership.replicas import leads, lease, replica, writes_of
from tests.cluster.scene import Scene

# v0.6.0's Deployment gives 10 s, of which 2 are for the kubelet.
GRACE = 8.0
AT_ONCE = 1.5


@together
async def test_what_is_in_hand_is_finished_before_the_lease_is_released(scene: Scene) -> None:
    names = [f"r{number}" for number in range(60)]
    await scene.create(*(ecr_secret(name) for name in names))
    async with replica(scene, "ours") as operator:
        await wait_for(lambda: scene.find_secret("r20-login"), 20, "some of the Secrets")
        assert await operator.stop() == 0
        said = [json.loads(line)["message"] for line in operator.log.read_text().splitlines()]
    assert not (await lease(scene)).get("holderIdentity")
    assert said.index("stopping") < said.index("lease released")
    written = writes_of(scene, "ours")
    assert {each["responseStatus"]["code"] for each in written} <= {200, 201}
    secrets = {each["objectRef"]["name"] for each in written if each["objectRef"]["name"].endswith("-login")}
    statuses = {each["objectRef"]["name"] for each in written if each["objectRef"].get("subresource")}
    assert secrets == {f"{name}-login" for name in statuses}


@together
async def test_it_ends_in_time_while_the_api_server_hangs(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with (
        FaultProxy(scene.kubeconfig) as proxy,
        acting(
            scene,
            "--leader-elect",
            KUBECONFIG=str(proxy.kubeconfig),
            POD_NAMESPACE=scene.namespace,
            POD_NAME="ours",
        ) as operator,
    ):
        await scene.ready("pull", within=30)
        proxy.hang(verb="patch")
        await scene.delete("pull-login")
        await wait_for(lambda: proxy.asked(verb="patch", path="pull-login")[1:], 10, "a write that hangs")
        proxy.go_half_open()
        asked_at = time.monotonic()
        assert await operator.stop(GRACE) == 0
        assert time.monotonic() - asked_at < GRACE
        assert "Traceback" not in operator.log.read_text()


@together
async def test_a_second_signal_ends_it_at_once(scene: Scene) -> None:
    async with (
        FaultProxy(scene.kubeconfig) as proxy,
        acting(
            scene,
            "--leader-elect",
            KUBECONFIG=str(proxy.kubeconfig),
            POD_NAMESPACE=scene.namespace,
            POD_NAME="ours",
        ) as operator,
    ):
        await leads(scene, "ours", 20)
        proxy.go_half_open()
        operator.signal(signal.SIGTERM)
        await wait_for(lambda: "stopping" in operator.log.read_text(), 5, "it to stop")
        assert operator.running
        asked_at = time.monotonic()
        operator.signal(signal.SIGTERM)
        assert await operator.wait(AT_ONCE) == 0
        assert time.monotonic() - asked_at < AT_ONCE
