"""After a signal the process ends, whatever it does."""

import asyncio
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ecr_operator import shutdown

_PROGRAM = """
    import asyncio, logging, os, time
    from ecr_operator import shutdown

    shutdown.LIMIT = {limit}

    async def main():
        stop = shutdown.Stop()
        stop.listen()
        print("listening", flush=True)
        {body}

    asyncio.run(main())
    print("ended by itself", flush=True)
"""


def run(body: str, *, lines: int = 1, limit: float = 0.5) -> tuple[int, str, float]:
    """Run a program and send it SIGTERM after each of its first lines.

    Returns:
        its exit code, what else it said, and the seconds from the last signal to its end.
    """
    program = textwrap.dedent(_PROGRAM).format(limit=limit, body=body)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    ) as process:
        assert process.stdout
        for _ in range(lines):
            assert process.stdout.readline()
            asked_at = time.monotonic()
            process.send_signal(signal.SIGTERM)
        said = process.stdout.read()
        return process.wait(20), said, time.monotonic() - asked_at


def test_stop_is_requested_by_the_first_signal() -> None:
    code, said, _ = run("await stop.requested.wait()", limit=60)
    assert (code, said) == (0, "ended by itself\n")


STUCK = {
    "the loop is blocked": "time.sleep(30)",
    "the request is ignored": "await asyncio.Event().wait()",
    "nobody reads the log": (
        'logging.basicConfig(stream=open(os.pipe()[1], "w"))\n    while True: logging.error("x" * 999)'
    ),
    "a thread hangs": "asyncio.get_running_loop().run_in_executor(None, time.sleep, 30)",
}


def test_process_ends_with_0_at_the_limit(subtests: pytest.Subtests) -> None:
    with ThreadPoolExecutor() as threads:
        ended = list(threads.map(run, STUCK.values()))
    for name, (code, _, seconds) in zip(STUCK, ended, strict=True):
        with subtests.test(name):
            assert code == 0
            assert 0.4 < seconds < 10


def test_second_signal_ends_the_process_at_once() -> None:
    body = "await stop.requested.wait(); print('asked', flush=True); await asyncio.Event().wait()"
    code, said, seconds = run(body, lines=2, limit=60)
    assert (code, said) == (0, "")
    assert seconds < 10


def test_limits_of_a_stop_add_up_to_less_than_8_seconds() -> None:
    parts = shutdown.DRAIN_LIMIT + shutdown.CANCEL_LIMIT + shutdown.RELEASE_LIMIT
    assert parts + 1 < shutdown.LIMIT < 8


async def test_end_waits_no_longer_than_its_limit() -> None:
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await shutdown.end(task, 0.05)
    assert not task.done()
    released.set()
    await task


async def test_end_raises_the_error_of_the_task() -> None:
    async def fail() -> None:
        raise LookupError

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    with pytest.raises(LookupError):
        await shutdown.end(task, 1)
