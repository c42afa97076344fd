"""Who leads next: after a release, a crash, a pause, v0.6.0, an absent API server; never do two write."""

import asyncio
import signal
import time
from datetime import datetime

from lab.api import Json
from lab.fault_proxy import FaultProxy
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.concurrent import waits
from tests.cluster.leadership.replicas import (
    LEASE_DURATION,
    RETRY_PERIOD,
    SLACK,
    behind,
    hold_lease,
    leads,
    lease,
    replica,
    slow_replica,
    stands_by,
    writes_of,
)
from tests.cluster.scene import QUIET, Scene


@waits
async def test_a_rolling_restart_is_quick_and_costs_no_call_to_aws_and_no_write(scene: Scene) -> None:
    await scene.create(*(ecr_secret(f"r{number}") for number in range(3)))
    async with replica(scene, "old-a") as leading:
        await scene.ready("r0", "r1", "r2")
        scene.mark()
        calls = scene.aws.count()
        async with replica(scene, "old-b") as standing, replica(scene, "new-a") as third:
            await stands_by(standing)
            await stands_by(third)
            assert await standing.stop() == 0
            before = time.monotonic()
            assert await leading.stop() == 0
            await leads(scene, "new-a", RETRY_PERIOD + SLACK)
            assert time.monotonic() - before < RETRY_PERIOD + SLACK
            async with replica(scene, "new-b") as fourth:
                await stands_by(fourth)
                await asyncio.sleep(QUIET)
    names = ("old-a", "old-b", "new-a", "new-b")
    assert {name: writes_of(scene, name) for name in names} == {name: [] for name in names}
    assert scene.aws.count() == calls


@waits
async def test_of_three_replicas_one_writes_and_when_it_is_killed_another_follows(scene: Scene) -> None:
    async with replica(scene, "a") as first:
        await leads(scene, "a")
        async with replica(scene, "b") as second, replica(scene, "c") as third:
            await stands_by(second)
            await stands_by(third)
            names = [f"r{number}" for number in range(9)]
            await scene.create(*(ecr_secret(name) for name in names))
            await scene.ready(*names)
            assert [bool(writes_of(scene, name)) for name in "abc"] == [True, False, False]
            calls = scene.aws.count()
            scene.mark()
            await first.kill()
            renewed_at = _time(await lease(scene), "renewTime")
            await wait_for(lambda: _follows(scene), LEASE_DURATION + RETRY_PERIOD + SLACK, "another leader")
            assert _time(await lease(scene), "acquireTime") - renewed_at > LEASE_DURATION - 0.5
            await scene.create(ecr_secret("later", region="eu-west-1"))
            await scene.ready("later")
            follower = await _holder(scene)
            idle = "c" if follower == "b" else "b"
            assert writes_of(scene, idle) == []
            assert {each["objectRef"]["name"] for each in writes_of(scene, follower)} >= {
                "later",
                "later-login",
            }
            assert not {each["objectRef"]["name"] for each in writes_of(scene, follower)} & set(names)
            assert scene.aws.count() == calls + 1


def _time(found: Json, field: str) -> float:
    return datetime.fromisoformat(found[field]).timestamp()


async def _holder(scene: Scene) -> str:
    return str((await lease(scene)).get("holderIdentity", "")).partition("_")[0]


async def _follows(scene: Scene) -> bool:
    return await _holder(scene) in ("b", "c")


@waits
async def test_a_leader_that_was_paused_at_its_work_writes_nothing_on_waking(scene: Scene) -> None:
    names = [f"r{number}" for number in range(100)]
    async with slow_replica(scene, "a") as first:
        await leads(scene, "a")
        async with replica(scene, "b") as second:
            await stands_by(second)
            await scene.create(*(ecr_secret(name) for name in names))
            await wait_for(lambda: len(writes_of(scene, "a")) > 10, what="some of its writes")
            first.signal(signal.SIGSTOP)
            await leads(scene, "b", LEASE_DURATION + RETRY_PERIOD + SLACK)
            assert len(writes_of(scene, "a")) < 2 * len(names)
            scene.mark()
            first.signal(signal.SIGCONT)
            await wait_for(lambda: "lost the lease" in first.log.read_text(), what="it to notice")
            await scene.ready(*names)
            await asyncio.sleep(QUIET)
            assert writes_of(scene, "a") == []
            # It is a standby like any other, and what it knew of its own writes no longer counts.
            await scene.change("r0", {"frequency": "9h"})
            await scene.ready("r0")
            calls = scene.aws.count()
            scene.mark()
            assert await second.stop() == 0
            await leads(scene, "a", RETRY_PERIOD + SLACK)
            await asyncio.sleep(QUIET)
            assert writes_of(scene, "a") == []
            assert scene.aws.count() == calls


@waits
async def test_v0_6_0s_lease_is_respected_until_it_has_run_out(scene: Scene) -> None:
    await hold_lease(scene, "v0.6.0-pod_1")
    await scene.create(ecr_secret("pull"))
    async with scene.operator(
        "--leader-elect", env={"POD_NAMESPACE": scene.namespace, "POD_NAME": "ours"}
    ) as operator:
        await stands_by(operator)
        for _ in range(4):
            await asyncio.sleep(1.5)
            await hold_lease(scene, "v0.6.0-pod_1")
        renewed_at = time.monotonic()
        await leads(scene, "ours", LEASE_DURATION + RETRY_PERIOD + SLACK)
        assert time.monotonic() - renewed_at > LEASE_DURATION - 0.5
        assert '"leader": "v0.6.0-pod_1"' in operator.log.read_text()
        await scene.ready("pull")
    found = await lease(scene)
    assert found["leaseTransitions"] == 4
    assert found["leaseDurationSeconds"] == LEASE_DURATION


@waits
async def test_an_api_server_that_is_away_makes_a_standby_of_the_leader_and_no_restart(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with FaultProxy(scene.kubeconfig) as proxy, behind(proxy, scene) as operator:
        await scene.ready("pull")
        await proxy.refuse()
        await wait_for(lambda: "lost the lease" in operator.log.read_text(), 10 + SLACK, "it to stop")
        await scene.delete("pull-login")
        await proxy.accept()
        await wait_for(lambda: operator.log.read_text().count('"elected"') == 2, what="it to lead again")
        await wait_for(lambda: scene.find_secret("pull-login"), what="its work")
        await scene.ready("pull")
        assert operator.running
