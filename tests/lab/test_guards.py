"""The suite's own guards: what is left open, a skip in CI, and a token in a text are noticed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.processes import ROOT
from lab.secrecy import WINDOW, forms, leaks, shows

LEFT_OPEN = """
import asyncio
async def test_a_task():
    asyncio.create_task(asyncio.sleep(60), name="forgotten")
async def test_a_socket():
    globals()["server"] = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1")
async def test_tidy():
    async with asyncio.TaskGroup() as group, await asyncio.start_server(print, "127.0.0.1"):
        group.create_task(asyncio.sleep(0))
"""
# Not skipped here: the source of a test that pytest runs in a folder of its own, and that must fail.
SKIP = """
import pytest
def test_it():
    pytest.skip("no such part")
"""
PASSWORD = "".join(chr(ord("A") + each * 7 % 26) + str(each % 10) for each in range(100))


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (LEFT_OPEN, ["ERROR test_it.py::test_a_task", "forgotten", "::test_a_socket", "LISTEN", "2 errors"]),
        (SKIP, ["1 skipped", "A skipped test is a failure"]),
    ],
    ids=["left open", "skipped"],
)
def test_a_test_that_leaves_something_open_or_is_skipped_fails(
    tmp_path: Path, source: str, shown: list[str]
) -> None:
    (tmp_path / "test_it.py").write_text(source)
    options = ["-q", "-p", "tests.conftest", "-o", "asyncio_mode=auto", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_it.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CI": "true"},
    )
    assert done.returncode == 1
    assert [words for words in shown if words not in done.stdout] == []


@pytest.mark.parametrize("form", forms(PASSWORD), ids=["the password", "the auth field"])
def test_a_token_in_a_text_is_found_whole_and_in_part(form: str) -> None:
    assert shows(f"before {form} after", [PASSWORD])
    assert shows(f"before {form[7 : 7 + 2 * WINDOW]} after", [PASSWORD])
    assert leaks({"log": f"x{form[3 : 3 + WINDOW]}y"}, [form]) == {"log": [form[3 : 3 + WINDOW]]}
    assert shows("nothing here", [PASSWORD]) == []
    assert leaks({"log": "nothing here"}, [PASSWORD]) == {}
