"""What all tests share: a control plane of the session, and checks that no test leaves anything behind."""

import asyncio
import gc
import inspect
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from lab import rights
from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Api
from lab.control_plane import ControlPlane

_OPEN = {psutil.CONN_LISTEN, psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT, psutil.CONN_SYN_SENT}


@contextmanager
def started_with(install: Callable[[ControlPlane], Coroutine[Any, Any, None]]) -> Iterator[ControlPlane]:
    """Run a control plane, installed by a coroutine."""
    with ControlPlane() as plane:
        run_in_thread(install(plane))
        yield plane


def run_in_thread(what: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine; in a thread, because asyncio.run removes the event loop that pytest-asyncio set."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, what).result()


async def install(plane: ControlPlane) -> None:
    """Install the CRDs and the operator's rights."""
    async with plane.api() as api:
        await api.install_crds()
        await rights.grant(api)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """The session's API server, with the CRDs and the operator's rights installed."""
    with started_with(install) as plane:
        yield plane


@pytest.fixture
async def api(control_plane: ControlPlane) -> AsyncIterator[Api]:
    """A client with all rights."""
    async with control_plane.api() as client:
        yield client


@pytest.fixture
async def namespace(api: Api) -> AsyncIterator[str]:
    """A namespace for one test; what the operator would see in it later goes with the test."""
    name = await api.create_namespace()
    yield name
    for resource in (ECR_SECRETS, ARGO_SECRETS, SECRETS):
        await api.delete_all(resource, name)
    await api.end_namespace(name)


@pytest.fixture(autouse=True)
def guard(request: pytest.FixtureRequest) -> None:
    """Guard every test that runs on an event loop."""
    if inspect.iscoroutinefunction(request.function):
        request.getfixturevalue("leaves_nothing_behind")


@pytest.fixture
async def leaves_nothing_behind() -> AsyncIterator[None]:
    """Fail a test that leaves a task or a socket open; what is being closed gets a moment for it."""
    before = asyncio.all_tasks()
    sockets = _sockets()
    yield
    for _ in range(50):
        tasks = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not tasks and not _sockets() - sockets:
            return
        gc.collect()
        await asyncio.sleep(0.01)
    pytest.fail(f"left behind: {[*tasks, *(_sockets() - sockets)]}")


def _sockets() -> set[tuple[object, ...]]:
    connections = psutil.Process().net_connections("tcp")
    return {(each.fd, each.laddr, each.status) for each in connections if each.status in _OPEN}


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Count a skipped test as a failure where CI is set: there every part must be there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line("\nA skipped test is a failure where CI is set.")
    yield
