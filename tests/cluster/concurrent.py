"""Tests that wait at the same time.

A test under `@concurrent(n)` is a coroutine. All selected ones run on an event loop in a thread of its own,
at most n of those with the same n at once, and each pytest test waits for its own coroutine. Those whose
first parameter is `rough` run one after another on the rough control plane; one with `alone` gets its own.
"""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import pytest

from lab import rights
from lab.api import ARGO_SECRETS, CRDS, ECR_SECRETS
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.cluster.scene import Scene

Coroutine = Callable[..., Awaitable[None]]
Test = Callable[..., None]

_LONGEST: Final = 240.0
WAITING: Final = 100  # for tests that mostly wait
BUSY: Final = 1  # for tests that keep the cores busy


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test's coroutine, with the values of its parameters."""

    name: str
    run: Coroutine
    at_once: int | str
    values: tuple[Any, ...]


def concurrent(at_once: int = 4) -> Callable[[Coroutine], Test]:
    """Make a test of a coroutine; its first argument is `scene`, `rough` or `alone`, the rest parameters."""

    def decorate(run: Coroutine) -> Test:
        stage, *parameters = inspect.signature(run).parameters

        def test(**given: Any) -> None:
            given["concurrent_tests"].wait(given["request"].node.nodeid)

        names = ("concurrent_tests", "request", *parameters)
        signature = inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
        )
        pace = stage if stage in {"rough", "alone"} else at_once
        about = {"run": run, "at_once": pace, "parameters": parameters}
        vars(test).update(__signature__=signature, about=about, __module__=run.__module__)
        test.__name__ = run.__name__
        test.__doc__ = run.__doc__
        timed: Test = pytest.mark.timeout(_LONGEST)(test)
        return timed

    return decorate


def case_of(item: pytest.Item) -> Case | None:
    """Return the case of a concurrent test; None for any other test."""
    about = getattr(getattr(item, "function", None), "about", None)
    if about is None:
        return None
    params = item.callspec.params if hasattr(item, "callspec") else {}
    values = tuple(params[name] for name in about["parameters"])
    return Case(name=item.nodeid, run=about["run"], at_once=about["at_once"], values=values)


class ConcurrentTests:
    """Runs cases on a loop of its own; use it as a context manager."""

    def __init__(self, cases: Sequence[Case], plane: ControlPlane, rough_plane: ControlPlane | None) -> None:
        """Prepare; entering the context starts all cases."""
        self._cases = cases
        self._plane = plane
        self._rough_plane = rough_plane
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
        """Cancel what still runs, and end the thread."""
        self._running.cancel()
        asyncio.run_coroutine_threadsafe(_others_end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait(self, name: str) -> None:
        """Wait for a case's end; raise what it raised."""
        self._results[name].result()

    async def _run_all(self) -> None:
        turns: dict[int | str, asyncio.Semaphore] = {}
        for case in self._cases:
            size = case.at_once if isinstance(case.at_once, int) else 1
            turns.setdefault(case.at_once, asyncio.Semaphore(size))
        async with asyncio.TaskGroup() as group:
            for case in self._cases:
                group.create_task(self._run(case, turns[case.at_once]), name=case.name)

    async def _run(self, case: Case, turn: asyncio.Semaphore) -> None:
        result = self._results[case.name]
        logs: list[str] = []
        try:
            async with turn, self._plane_for(case) as plane, _scene_on(plane) as scene:
                logs = scene.logs
                await case.run(scene, *case.values)
        except Exception as error:  # noqa: BLE001 - the test raises it
            error.add_note("\n".join(logs))
            result.set_exception(error)
        else:
            result.set_result(None)

    @asynccontextmanager
    async def _plane_for(self, case: Case) -> AsyncIterator[ControlPlane]:
        if case.at_once == "alone":
            with ExitStack() as stack:
                yield await asyncio.to_thread(stack.enter_context, ControlPlane())
        elif case.at_once == "rough" and self._rough_plane:
            yield self._rough_plane
        else:
            yield self._plane


@contextmanager
def concurrent_tests_of(request: pytest.FixtureRequest, plane: ControlPlane) -> Iterator[ConcurrentTests]:
    """Run the cases of all selected tests."""
    cases = [case for item in request.session.items if (case := case_of(item))]
    rough = any(case.at_once == "rough" for case in cases)
    rough_plane = request.getfixturevalue("rough_plane") if rough else None
    with ConcurrentTests(cases, plane, rough_plane) as running:
        yield running


async def _others_end() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


@asynccontextmanager
async def _scene_on(plane: ControlPlane) -> AsyncIterator[Scene]:
    async with plane.api() as api, LocalAws() as aws:
        if len(await api.list(CRDS)) < len((ECR_SECRETS, ARGO_SECRETS)):
            await api.install_crds()
        await rights.grant(api)
        scene = Scene(plane=plane, api=api, aws=aws, namespace=await api.create_namespace())
        yield scene
        await scene.clear()
        assert scene.refusals() == []
