"""The suite's own guard: a test that leaves a task or a socket behind fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.scripts import ROOT

TASK = """
import asyncio
async def test_it():
    asyncio.create_task(asyncio.sleep(60), name="forgotten")
"""

SOCKET = """
import asyncio
async def test_it():
    globals()["server"] = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1")
"""

SKIP = """
import pytest
def test_it():
    pytest.skip("no such part")
"""

TIDY = """
import asyncio
async def test_it():
    async with asyncio.TaskGroup() as group, await asyncio.start_server(print, "127.0.0.1"):
        group.create_task(asyncio.sleep(0))
"""


def _pytest(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    test = folder / "test_it.py"
    test.write_text(source)
    options: list[str | Path] = ["-q", "-p", "tests.conftest", "-o", "asyncio_mode=auto", "--rootdir", folder]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CI": "true"}
    command: list[str | Path] = [sys.executable, "-m", "pytest", *options, test]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


@pytest.mark.parametrize(
    ("source", "left"), [(TASK, "forgotten"), (SOCKET, "LISTEN")], ids=["task", "socket"]
)
def test_what_is_left_open_fails_the_test(tmp_path: Path, source: str, left: str) -> None:
    done = _pytest(tmp_path, source)
    assert done.returncode == 1
    assert "left behind" in done.stdout
    assert left in done.stdout


def test_a_skipped_test_fails_the_run_where_ci_is_set(tmp_path: Path) -> None:
    done = _pytest(tmp_path, SKIP)
    assert (done.returncode, "1 skipped" in done.stdout) == (1, True)


def test_a_tidy_test_passes(tmp_path: Path) -> None:
    assert _pytest(tmp_path, TIDY).returncode == 0
