"""The program as a user starts it: exit codes and messages."""

import asyncio
import signal
from pathlib import Path

import pytest

from lab import commands
from tests.cli.running import write_kubeconfig
from tests.kube.server import ScriptedServer, listing, reply


@pytest.mark.parametrize(
    ("argument", "words"),
    [("--no-such-flag", "unknown flag"), ("--leader-elect", "HTTPS_PROXY: a SOCKS"), ("check x", "PART")],
)
async def test_mistake_is_one_line_and_exit_2(argument: str, words: str) -> None:
    ended = await commands.run(*argument.split(), env={"HTTPS_PROXY": "socks5://127.0.0.1:1080"})
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith("ecr-secret-operator: ")
    assert words in ended.err


async def test_missing_kubeconfig_is_one_line_and_exit_1() -> None:
    ended = await commands.run()
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "Set KUBECONFIG" in ended.err


async def test_unreachable_server_is_one_line_and_exit_1(tmp_path: Path) -> None:
    ended = await commands.run("--kubeconfig", str(write_kubeconfig(tmp_path, "http://127.0.0.1:1")))
    said = [line for line in ended.err.splitlines() if line.startswith("ecr-secret-operator: ")]
    assert (ended.code, len(said)) == (1, 1)
    assert "http://127.0.0.1:1" in said[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_signal_while_watching_is_exit_0(tmp_path: Path, number: signal.Signals) -> None:
    async with ScriptedServer() as server:
        server.others = [reply({"major": "1"})]
        # Three kinds, our Secrets, and the first looks: for links, and twice for what ClusterSecrets need.
        server.lists = [listing()] * 7
        async with commands.started("--kubeconfig", str(write_kubeconfig(tmp_path, server.url))) as process:
            async with asyncio.timeout(20):
                await server.until(4, watch=True, limit=20)
                process.send_signal(number)
                out, err = await process.communicate()
    assert (process.returncode, out) == (0, b"")
    assert b"Traceback" not in err


async def test_signal_while_the_server_is_silent_is_exit_0(tmp_path: Path) -> None:
    async with (
        ScriptedServer() as server,
        commands.started("--kubeconfig", str(write_kubeconfig(tmp_path, server.url))) as process,
    ):
        await server.until(1, limit=20)
        process.terminate()
        async with asyncio.timeout(8):
            await process.communicate()
    assert process.returncode == 0
