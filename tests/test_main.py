"""The program as a user starts it: exit codes and messages."""

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.kube.server import ScriptedServer, listing, reply
from tests.kube.test_connection import KUBECONFIG


def write(folder: Path, url: str) -> str:
    path = folder / "config"
    path.write_text(textwrap.dedent(KUBECONFIG.format(url=url)), encoding="utf-8")
    return str(path)


@asynccontextmanager
async def started(*arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the program with nothing of this machine's settings."""
    kept = {key: value for key, value in os.environ.items() if key in {"PATH", "LANG", "PYTHONPATH"}}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ecr_operator",
        *arguments,
        env={**kept, "HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - else it waits for the collector


async def ended(*arguments: str, **environment: str) -> tuple[int | None, str, str]:
    """Run it to its end; return the exit code, and what it wrote to both streams."""
    async with started(*arguments, **environment) as process, asyncio.timeout(30):
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        pytest.param(["--no-such-flag"], {}, "--no-such-flag", id="an unknown flag"),
        pytest.param([], {"WATCH_NAMESPACE": "No"}, "WATCH_NAMESPACE", id="a bad variable"),
        pytest.param([], {"HTTPS_PROXY": "socks5://127.0.0.1:1080"}, "HTTPS_PROXY: a SOCKS", id="SOCKS"),
    ],
)
async def test_mistake_is_one_line_and_exit_2(
    arguments: list[str], environment: dict[str, str], words: str
) -> None:
    code, out, err = await ended(*arguments, **environment)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("ecr-secret-operator: ")
    assert words in err


async def test_version_is_exit_0() -> None:
    code, out, err = await ended("--version")
    assert (code, err) == (0, "")
    assert out.startswith("ecr-secret-operator ")


async def test_missing_kubeconfig_is_one_line_and_exit_1() -> None:
    code, out, err = await ended()
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "Set KUBECONFIG" in err


async def test_unreachable_server_is_one_line_and_exit_1(tmp_path: Path) -> None:
    code, _, err = await ended("--kubeconfig", write(tmp_path, "http://127.0.0.1:1"))
    assert code == 1
    said = [line for line in err.splitlines() if line.startswith("ecr-secret-operator: ")]
    assert len(said) == 1
    assert "http://127.0.0.1:1" in said[0]
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_signal_while_watching_is_exit_0(tmp_path: Path, number: signal.Signals) -> None:
    async with ScriptedServer() as server:
        server.others = [reply({"major": "1"})]
        # Two kinds, our Secrets, and the first look for links.
        server.lists = [listing()] * 4
        async with started("--kubeconfig", write(tmp_path, server.url)) as process:
            async with asyncio.timeout(20):
                await server.until(3, watch=True, limit=20)
                process.send_signal(number)
                out, err = await process.communicate()
    assert (process.returncode, out) == (0, b"")
    assert b"Traceback" not in err


async def test_signal_while_the_server_is_silent_is_exit_0(tmp_path: Path) -> None:
    async with (
        ScriptedServer() as server,
        started("--kubeconfig", write(tmp_path, server.url)) as process,
    ):
        await server.until(1, limit=20)
        process.terminate()
        async with asyncio.timeout(8):
            await process.communicate()
    assert process.returncode == 0
