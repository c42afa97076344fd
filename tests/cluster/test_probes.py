"""The probes of a real process."""

import asyncio
import signal

from lab.fault_proxy import FaultProxy
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.pages import page
from tests.cluster.scene import Scene


async def _says(operator: OperatorProcess) -> tuple[int, int]:
    """Return the status of /healthz and of /readyz."""
    return (await page(operator, "/healthz")).status, (await page(operator, "/readyz")).status


async def test_alive_and_ready_without_aws_and_api_server_once_everything_was_listed(rough: Scene) -> None:
    await rough.create(ecr_secret("pull"))
    rough.aws.fail("InternalFailure", status=500)
    async with rough.operator() as operator:
        await rough.told("pull", "False", "AWSUnavailable")
        assert await _says(operator) == (200, 200)
        await asyncio.to_thread(rough.plane.kill_api_server)
        try:
            await wait_for(lambda: "can't watch" in operator.log.read_text(), what="a line about it")
            assert await _says(operator) == (200, 200)
        finally:
            await asyncio.to_thread(rough.plane.start_api_server)


async def test_alive_but_not_ready_while_stopping(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with (
        FaultProxy(scene.kubeconfig) as proxy,
        scene.operator(env={"KUBECONFIG": str(proxy.kubeconfig)}) as operator,
    ):
        await scene.ready("pull")
        proxy.hang("patch")
        await scene.delete("pull-login")
        await wait_for(lambda: proxy.asked("patch", "pull-login")[1:], what="a write that hangs")
        operator.signal(signal.SIGTERM)
        await wait_for(lambda: "stopping" in operator.log.read_text(), what="the beginning of the stop")
        assert await _says(operator) == (200, 500)
        assert (await page(operator, "/readyz")).body == "stopping\n"
        assert await operator.wait() == 0
