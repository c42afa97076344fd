"""Child processes and temporary folders: neither outlives the process that made them."""

import signal
import sys
import threading
from pathlib import Path

import pytest

from lab.processes import LabError, Process, tail
from lab.waiting import wait_for
from tests.lab import scripts

PARENT = """
import time
from lab.janitor import temporary_folder
from lab.processes import Process
with temporary_folder() as folder, Process("child", ["sleep", "600"], log=folder / "log") as child:
    print(folder, flush=True)
    print(child.pid, flush=True)
    time.sleep(600)
"""

DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


def _python(source: str, log: Path) -> Process:
    return Process("child", [sys.executable, "-c", source], log=log)


def test_the_exit_code_and_the_output_can_be_had(tmp_path: Path) -> None:
    with _python("print('one'); print('two'); raise SystemExit(3)", tmp_path / "log") as child:
        assert child.wait(10) == 3
        assert not child.running
        assert child.tail(1) == "two"


def test_stop_asks_first(tmp_path: Path) -> None:
    with Process("child", ["sleep", "600"], log=tmp_path / "log") as child:
        assert child.running
        assert child.rss > 0
        assert child.stop() == -signal.SIGTERM


async def test_stop_kills_what_does_not_listen(tmp_path: Path) -> None:
    with _python(DEAF, tmp_path / "log") as child:
        await wait_for(lambda: "deaf" in child.tail())
        assert child.stop(0.1) == -signal.SIGKILL


def test_a_frozen_process_goes_on_when_resumed(tmp_path: Path) -> None:
    with Process("child", ["sleep", "0.01"], log=tmp_path / "log") as child:
        child.pause()
        with pytest.raises(LabError, match=r"child still runs after 0\.2 s"):
            child.wait(0.2)
        child.resume()
        assert child.wait(10) == 0


def test_a_command_that_is_not_there_says_so_in_the_log(tmp_path: Path) -> None:
    with Process("child", [tmp_path / "nothing"], log=tmp_path / "log") as child:
        assert child.wait(10) == 127
    assert "nothing: No such file or directory" in child.tail()


def test_a_process_that_never_started_can_be_killed_but_not_asked(tmp_path: Path) -> None:
    child = Process("child", ["true"], log=tmp_path / "log")
    assert child.kill() == 0
    assert not child.running
    with pytest.raises(LabError, match="child was not started"):
        child.stop()


def test_a_child_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    with Process("child", ["sleep", "600"], log=tmp_path / "log") as child:
        child.kill()
        thread = threading.Thread(target=child.start)
        thread.start()
        thread.join()
        with pytest.raises(LabError):
            child.wait(0.2)


def test_the_tail_of_no_log_is_a_remark(tmp_path: Path) -> None:
    assert tail(tmp_path / "log") == "(the log is empty)"


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name
)
async def test_however_the_parent_ends_nothing_is_left(number: signal.Signals) -> None:
    with scripts.start(PARENT) as parent:
        folder = Path(scripts.line_of(parent))
        child = int(scripts.line_of(parent))
        assert folder.exists()
        assert scripts.is_alive(child)
        parent.send_signal(number)
        parent.communicate()
    await wait_for(lambda: not scripts.is_alive(child), 5, "the child's end")
    await wait_for(lambda: not folder.exists(), 5, "the folder's end")


def test_at_a_normal_end_all_is_gone_before_the_parent() -> None:
    with scripts.start(PARENT.replace("time.sleep(600)", "None")) as parent:
        folder = Path(scripts.line_of(parent))
        child = int(scripts.line_of(parent))
        parent.communicate()
    assert parent.returncode == 0
    assert not folder.exists()
    assert not scripts.is_alive(child)
