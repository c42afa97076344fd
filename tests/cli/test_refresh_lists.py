"""`refresh --all` spares an API server that fails."""

import asyncio
import io
import textwrap
from pathlib import Path
from typing import Any

from ecr_operator.cli.refresh import run
from ecr_operator.cli.terminal import Terminal
from ecr_operator.settings.commands import Refresh, parse_command
from tests.cli.builders import resource
from tests.fakes import FakeClock
from tests.kube.server import ScriptedServer, refuse, reply
from tests.kube.test_connection import KUBECONFIG


async def test_a_list_that_fails_holds_for_all_as_long_as_one_that_succeeds(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    items: list[Any] = [resource(name=name) for name in ("a", "b", "c")]
    clock, terminal = FakeClock(), Terminal(io.StringIO(), io.StringIO())
    async with ScriptedServer() as server:
        kubeconfig.write_text(textwrap.dedent(KUBECONFIG.format(url=server.url)), encoding="utf-8")
        server.others = [reply({"items": items}), *[reply({})] * 3, *[refuse(500, "InternalError")] * 99]
        words = ["refresh", "--all", "-A", "-k", "ecrsecret", "--timeout", "10s"]
        command = parse_command([*words, "--kubeconfig", str(kubeconfig)], {})
        assert isinstance(command, Refresh)
        running = asyncio.create_task(run(command, terminal, clock))
        await server.until(4)
        while not running.done():
            await clock.advance(0.1)
            await asyncio.sleep(0.01)
        assert await running == 1
        # One list at the start, and then one each two seconds.
        assert len([each for each in server.asked if each.method == "GET"]) in range(3, 8)
