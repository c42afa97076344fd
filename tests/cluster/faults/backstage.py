"""Tests whose waits pass at the same time.

A test here is a coroutine under one of three decorators. All that were selected play on an event loop in a
thread of its own, and each test waits for its own part:

- `@together`: a few at a time;
- `@patiently`: at once, because it mostly waits;
- `@heavily`: one after another, because it keeps the cores busy.

Those whose first parameter is `rough` come one after another on a control plane that may be treated so, and
one with `alone` gets a control plane of its own.
"""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Self

import pytest

from lab import rights
from lab.api import ARGO_SECRETS, CRDS, ECR_SECRETS, SECRETS
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.operator import OperatorProcess
from tests.cluster.scene import Scene

Story = Callable[..., Awaitable[None]]
Test = Callable[..., None]

_LONGEST = 240.0
_AT_A_TIME = 4
KINDS = (ECR_SECRETS, ARGO_SECRETS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A story of one test, with the values of its parameters."""

    name: str
    story: Story
    pace: str
    values: tuple[Any, ...]


def together(story: Story) -> Test:
    """Make a test of a coroutine; its first argument is a `scene` or a `rough` one, the rest parameters."""
    return _test(story, "together")


def patiently(story: Story) -> Test:
    """The same for a story that mostly waits."""
    return _test(story, "patiently")


def heavily(story: Story) -> Test:
    """The same for a story that keeps the cores busy."""
    return _test(story, "heavily")


def _test(story: Story, pace: str) -> Test:
    stage, *parameters = inspect.signature(story).parameters

    def test(**given: Any) -> None:
        backstage: Backstage = given["backstage"]
        request: pytest.FixtureRequest = given["request"]
        backstage.wait(request.node.nodeid)

    names = ("backstage", "request", *parameters)
    signature = inspect.Signature([inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names])
    pace = stage if stage in {"rough", "alone"} else pace
    about = {"story": story, "pace": pace, "parameters": parameters}
    vars(test).update(__signature__=signature, about=about, __module__=story.__module__)
    test.__name__ = story.__name__
    test.__doc__ = story.__doc__
    timed: Test = pytest.mark.timeout(_LONGEST)(test)
    return timed


def part_of(item: pytest.Item) -> Part | None:
    """The story of a collected test; None for any other test."""
    about = getattr(getattr(item, "function", None), "about", None)
    if about is None:
        return None
    params = item.callspec.params if hasattr(item, "callspec") else {}
    values = tuple(params[name] for name in about["parameters"])
    return Part(name=item.nodeid, story=about["story"], pace=about["pace"], values=values)


class Backstage:
    """Plays parts on a loop of its own; use it as a context manager."""

    def __init__(self, parts: Sequence[Part], plane: ControlPlane, rough_plane: ControlPlane | None) -> None:
        """Prepare; entering the context starts all parts."""
        self._parts = parts
        self._plane = plane
        self._rough_plane = rough_plane
        self._loop = asyncio.new_event_loop()
        self._results: dict[str, Future[None]] = {part.name: Future() for part in parts}

    def __enter__(self) -> Self:
        """Start the thread and all parts."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="backstage", daemon=True)
        self._thread.start()
        # The loop's tasks are kept by this one.
        self._playing = asyncio.run_coroutine_threadsafe(self._play_all(), self._loop)
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel what still plays, and end the thread."""
        self._playing.cancel()
        asyncio.run_coroutine_threadsafe(_others_end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait(self, name: str) -> None:
        """Wait for a part's end; raise what it raised."""
        self._results[name].result()

    async def _play_all(self) -> None:
        paces = {
            "together": asyncio.Semaphore(_AT_A_TIME),
            "patiently": asyncio.Semaphore(len(self._parts)),
            "heavily": asyncio.Semaphore(1),
            "rough": asyncio.Semaphore(1),
            "alone": asyncio.Semaphore(1),
        }
        async with asyncio.TaskGroup() as group:
            for part in self._parts:
                group.create_task(self._play(part, paces[part.pace]), name=part.name)

    async def _play(self, part: Part, pace: asyncio.Semaphore) -> None:
        result = self._results[part.name]
        try:
            async with pace, self._plane_for(part) as plane, scene_on(plane) as scene:
                await part.story(scene, *part.values)
        except Exception as error:  # noqa: BLE001 - it is the test's, who raises it
            result.set_exception(error)
        else:
            result.set_result(None)

    @asynccontextmanager
    async def _plane_for(self, part: Part) -> AsyncIterator[ControlPlane]:
        if part.pace == "alone":
            with ExitStack() as stack:
                yield await asyncio.to_thread(stack.enter_context, ControlPlane())
        elif part.pace == "rough" and self._rough_plane:
            yield self._rough_plane
        else:
            yield self._plane


_shared: list[Backstage] = []


@contextmanager
def shared_backstage(request: pytest.FixtureRequest, plane: ControlPlane) -> Iterator[Backstage]:
    """The session's one backstage, with the parts of all selected tests; whoever comes first opens it."""
    if _shared:
        yield _shared[0]
        return
    parts = [part for item in request.session.items if (part := part_of(item))]
    rough = request.getfixturevalue("rough_plane") if any(part.pace == "rough" for part in parts) else None
    with Backstage(parts, plane, rough) as playing:
        _shared.append(playing)
        yield playing
        _shared.clear()


async def _others_end() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


@asynccontextmanager
async def scene_on(plane: ControlPlane) -> AsyncIterator[Scene]:
    """Set a stage on a plane, with the CRDs there; what was on it goes when the block is left."""
    async with plane.api() as api, LocalAws() as aws:
        if len(await api.list(CRDS)) < len(KINDS):
            await api.install_crds()
        await rights.grant(api)
        namespace = await api.create_namespace()
        scene = Scene(plane=plane, api=api, aws=aws, namespace=namespace)
        yield scene
        for resource in (*KINDS, SECRETS):
            await api.delete_all(resource, namespace)
        assert scene.refusals() == []


@asynccontextmanager
async def acting(scene: Scene, *arguments: str, **env: str | None) -> AsyncIterator[OperatorProcess]:
    """Run an operator on a scene; what goes wrong meanwhile is told with the end of its log."""
    async with scene.operator(*arguments, env=env) as process:
        try:
            yield process
        except BaseException as error:
            error.add_note(f"The end of the operator's log:\n{process.tail(40)}")
            raise
