"""Child processes and temporary folders: neither outlives the process that made them."""

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from lab.control_plane import ControlPlane
from lab.operator import OperatorProcess
from lab.processes import LabError, Process, tail
from lab.waiting import wait_for
from tests.lab import scripts

PARENT = """
import time
from lab.processes import Process, temporary_folder
with temporary_folder() as folder, Process("child", ["sleep", "600"], log=folder / "log") as child:
    print(folder, flush=True)
    print(child.pid, flush=True)
    time.sleep(600)
"""

DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


def _is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_stop_sends_sigterm_and_kills_what_ignores_it(tmp_path: Path) -> None:
    with Process("child", ["sleep", "600"], log=tmp_path / "log") as child:
        assert (child.running, child.rss > 0) == (True, True)
        assert child.stop() == -signal.SIGTERM
    with Process("child", [sys.executable, "-c", DEAF], log=tmp_path / "log") as child:
        await wait_for(lambda: child.tail(1) == "deaf")
        assert child.stop(0.1) == -signal.SIGKILL
        assert not child.running


def test_a_missing_program_is_a_lab_error(tmp_path: Path) -> None:
    child = Process("child", [tmp_path / "nothing"], log=tmp_path / "log")
    with pytest.raises(LabError, match=r"child: cannot run .*nothing: No such file"):
        child.start()
    assert child.kill() == 0
    with pytest.raises(LabError, match="child was not started"):
        child.stop()
    assert tail(tmp_path / "none") == "(the log is empty)"


@pytest.mark.parametrize("number", [0, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_however_the_parent_ends_nothing_is_left(number: int) -> None:
    source = PARENT if number else PARENT.replace("time.sleep(600)", "None")
    with scripts.start(source) as parent:
        folder, child = Path(scripts.line_of(parent)), int(scripts.line_of(parent))
        if number:
            assert (folder.exists(), _is_alive(child)) == (True, True)
            parent.send_signal(number)
        parent.communicate()
    await wait_for(lambda: not _is_alive(child), 5, "the child's end")
    await wait_for(lambda: not folder.exists(), 5, "the folder's end")


async def test_the_operator_starts_with_a_clean_environment(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "HTTPS_PROXY", "WATCH_NAMESPACE"):
        monkeypatch.setenv(name, "of the caller")
    env = {"WATCH_NAMESPACE": "mine", "AWS_ACCESS_KEY_ID": None}
    kubeconfig = control_plane.kubeconfig
    async with OperatorProcess(kubeconfig=kubeconfig, aws_endpoint="http://aws", env=env) as operator:
        # The kernel shows none for a moment after the start, and none of a process that has ended.
        environment = await wait_for(psutil.Process(operator.process.pid).environ)
    assert not operator.home.exists()
    # Python sets LC_CTYPE where no locale is set.
    assert environment.keys() - {"LC_CTYPE"} == {
        *("AWS_EC2_METADATA_DISABLED", "AWS_ENDPOINT_URL", "AWS_SECRET_ACCESS_KEY", "HOME", "PATH"),
        *("KUBECONFIG", "PYTHONUNBUFFERED", "TMPDIR", "WATCH_NAMESPACE"),
    }
    assert (environment["PATH"], environment["WATCH_NAMESPACE"]) == (os.environ["PATH"], "mine")
