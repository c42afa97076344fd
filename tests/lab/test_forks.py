"""Forked operators: processes of their own, as if started by a user."""

import os
import signal
import socket
from pathlib import Path

import pytest

from lab.kubectl import write
from lab.operator import OperatorProcess
from tests.lab.scripts import run

WITHOUT_CLUSTER = """
import asyncio
from lab.operator import OperatorProcess
async def main():
    async with OperatorProcess(kubeconfig=None, forked=True) as operator:
        print(await operator.wait(), operator.log.read_text())
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("arguments", "namespace", "code", "says"),
    [
        (["--version"], "a", 0, "ecr-secret-operator "),
        (["--nonsense"], "a", 2, 'unknown flag "--nonsense"'),
        ([], "Not_A_Name", 2, "Not_A_Name"),
    ],
    ids=["a version", "a mistake", "a mistake in a variable"],
)
async def test_fork_has_exit_code_log_and_environment_of_its_own(
    arguments: list[str], namespace: str, code: int, says: str
) -> None:
    env = {"WATCH_NAMESPACE": namespace}
    async with OperatorProcess(*arguments, kubeconfig=None, env=env, forked=True) as operator:
        assert await operator.wait() == code
        (line,) = operator.log.read_text().splitlines()
    assert says in line


async def test_fork_has_session_and_signals_of_its_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port, config = silent.getsockname()[1], tmp_path / "config"
        write(config, {"server": f"http://127.0.0.1:{port}"}, {"token": "t0ken"})
        async with OperatorProcess(kubeconfig=config, forked=True) as operator:
            assert os.getsid(operator.process.pid) == operator.process.pid
            assert (operator.running, operator.rss > 0) == (True, True)
            assert await operator.kill() == -signal.SIGKILL
            assert not operator.running


def test_fork_gets_no_variable_of_its_caller() -> None:
    caller = {"PATH": os.environ["PATH"], "WATCH_NAMESPACE": "Not_A_Name"}
    code, output, error = run("-c", WITHOUT_CLUSTER, **caller)
    assert (code, error) == (0, "")
    assert output.startswith("1 ")
    assert "Not_A_Name" not in output
