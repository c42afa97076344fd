"""The probes of a real process."""

import asyncio
import signal
from pathlib import Path

from lab.fault_proxy import FaultProxy
from lab.kubectl import write
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.pages import page
from tests.cluster.scene import Scene
from tests.kube.server import ScriptedServer, reply


async def _says(operator: OperatorProcess) -> tuple[int, int]:
    """Return the status of /healthz and of /readyz."""
    return (await page(operator, "/healthz")).status, (await page(operator, "/readyz")).status


async def test_alive_but_not_ready_until_everything_was_listed(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        server.others = [reply({"gitVersion": "v1"})]
        config = tmp_path / "config"
        write(config, {"server": server.url}, {"token": "t0ken"})
        async with OperatorProcess(kubeconfig=config) as operator:
            await server.until(2, limit=60)
            assert await _says(operator) == (200, 500)
            assert "not listed yet" in (await page(operator, "/readyz")).body


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


async def test_a_blocked_loop_answers_no_probe(scene: Scene) -> None:
    async with scene.operator() as operator:
        await wait_for(lambda: _is_ready(operator), what="ready")
        operator.signal(signal.SIGSTOP)
        try:
            silent = asyncio.create_task(page(operator, "/healthz"))
            done, _ = await asyncio.wait((silent,), timeout=1)
            assert not done
        finally:
            operator.signal(signal.SIGCONT)
        assert (await silent).status == 200
        assert await _says(operator) == (200, 200)


async def test_alive_but_not_ready_while_stopping(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with (
        FaultProxy(scene.kubeconfig) as proxy,
        scene.operator(env={"KUBECONFIG": str(proxy.kubeconfig)}) as operator,
    ):
        await scene.ready("pull")
        proxy.hang(verb="patch")
        await scene.delete("pull-login")
        await wait_for(lambda: proxy.asked(verb="patch", path="pull-login")[1:], what="a write that hangs")
        operator.signal(signal.SIGTERM)
        await wait_for(lambda: "stopping" in operator.log.read_text(), what="the beginning of the stop")
        assert await _says(operator) == (200, 500)
        assert (await page(operator, "/readyz")).body == "stopping\n"
        assert await operator.wait() == 0


async def _is_ready(operator: OperatorProcess) -> bool:
    return (await page(operator, "/readyz")).status == 200
