"""The tests of this folder run side by side, because most of them wait most of the time.

A test is a coroutine whose first parameter names its stage (`tests.cluster.stages`); all others are
parameters of the test, or `tmp_path`. All selected ones run on an event loop in a thread of its own, and
each pytest test waits for its own coroutine. How many run at once depends on the stage and on `@waits`; a
test may take `_LONGEST` seconds from when its turn comes.
"""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

import pytest

from tests.cluster.stages import LANES, STAGES, Planes

Coroutine = Callable[..., Awaitable[None]]

_LONGEST: Final = 240.0
_WHOLE_RUN: Final = 1800.0
# At once of those that neither wait nor share a plane that bears only one.
_AT_ONCE: Final = 6
_WAITING: Final = 100
_WAITS: Final = "waits"


def waits(run: Coroutine) -> Coroutine:
    """Mark a test that mostly waits: all of them run at once."""
    setattr(run, _WAITS, True)
    return run


class ConcurrentModule(pytest.Module):
    """A module whose coroutines with a stage become concurrent tests."""

    def collect(self) -> Any:
        """Replace the coroutines, then collect."""
        for name, found in vars(self.obj).items():
            if name.startswith("test") and inspect.iscoroutinefunction(found) and _stage_of(found) in STAGES:
                setattr(self.obj, name, _test_of(found))
        return super().collect()


def _stage_of(run: Coroutine) -> str:
    return next(iter(inspect.signature(run).parameters), "")


def _test_of(run: Coroutine) -> Callable[..., None]:
    """Return a test that waits for a coroutine, with the same name, marks and parameters."""

    def test(**given: Any) -> None:
        given["concurrent_tests"].wait(given["request"].node.nodeid)

    _, *parameters = inspect.signature(run).parameters
    names = ("concurrent_tests", "request", *(name for name in parameters if name != "tmp_path"))
    keyword = inspect.Parameter.KEYWORD_ONLY
    signature = inspect.Signature([inspect.Parameter(name, keyword) for name in names])
    vars(test).update(vars(run), __signature__=signature, coroutine=run)
    test.__name__, test.__doc__, test.__module__ = run.__name__, run.__doc__, run.__module__
    timed: Callable[..., None] = pytest.mark.timeout(_WHOLE_RUN)(test)
    return timed


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test's coroutine, with the values of its parameters."""

    name: str
    run: Coroutine
    values: dict[str, Any]

    @property
    def stage(self) -> str:
        """The name of its stage."""
        return _stage_of(self.run)

    @property
    def pace(self) -> tuple[str, int]:
        """With which others it takes turns, and how many of them run at once."""
        if lane := STAGES[self.stage].lane:
            return lane, LANES[lane]
        waiting = getattr(self.run, _WAITS, False)
        return ("waits", _WAITING) if waiting else ("", _AT_ONCE)


def case_of(item: pytest.Item) -> Case | None:
    """Return the case of a concurrent test; None for any other test."""
    run = getattr(getattr(item, "function", None), "coroutine", None)
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return Case(name=item.nodeid, run=run, values=params) if run else None


class ConcurrentTests:
    """Runs cases on a loop of its own; use it as a context manager."""

    def __init__(self, cases: Sequence[Case], planes: Planes) -> None:
        """Prepare; entering the context starts all cases."""
        self._cases = cases
        self._planes = planes
        self._loop = asyncio.new_event_loop()
        self._results: dict[str, Future[None]] = {case.name: Future() for case in cases}

    def __enter__(self) -> Self:
        """Start the thread and all cases."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="concurrent", daemon=True)
        self._thread.start()
        # The loop's tasks are kept by this one.
        self._running = asyncio.run_coroutine_threadsafe(self._run_all(), self._loop)
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel what still runs, and end the thread. Raises AssertionError if a test left a task behind."""
        finished = self._running.done()
        self._running.cancel()
        left = asyncio.run_coroutine_threadsafe(_end_others(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        assert not (finished and left), f"left behind: {left}"

    def wait(self, name: str) -> None:
        """Wait for a case's end; raise what it raised."""
        self._results[name].result()

    async def _run_all(self) -> None:
        turns = {case.pace: asyncio.Semaphore(case.pace[1]) for case in self._cases}
        async with asyncio.TaskGroup() as group:
            for case in self._cases:
                group.create_task(self._run(case, turns[case.pace]), name=case.name)

    async def _run(self, case: Case, turn: asyncio.Semaphore) -> None:
        result, logs = self._results[case.name], list[str]()
        try:
            async with turn, asyncio.timeout(_LONGEST), STAGES[case.stage].open(self._planes, logs) as stage:
                with _filled(case) as values:
                    await case.run(stage, **values)
        except Exception as error:  # noqa: BLE001 - the test raises it
            error.add_note("\n".join(logs))
            result.set_exception(error)
        else:
            result.set_result(None)


@contextmanager
def _filled(case: Case) -> Iterator[dict[str, Any]]:
    """Yield the values of a case's parameters, with a folder where it asks for one."""
    if "tmp_path" not in inspect.signature(case.run).parameters:
        yield case.values
        return
    with TemporaryDirectory() as folder:
        yield {**case.values, "tmp_path": Path(folder)}


async def _end_others() -> list[str]:
    """End all other tasks of this loop, and return them."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return [str(task) for task in others]
