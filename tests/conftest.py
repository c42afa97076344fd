"""What all tests share: a control plane of the session, and checks that no test leaves anything behind."""

import asyncio
import gc
import inspect
import os
import signal
import stat
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, settings

from lab import rights
from lab.api import ARGO_SECRETS, CRDS, ECR_SECRETS, NAMESPACES, SECRETS, Api, ApiError, Resource
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.waiting import wait_for

CLUSTER_ROLES = Resource("rbac.authorization.k8s.io/v1", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDINGS = Resource("rbac.authorization.k8s.io/v1", "clusterrolebindings", namespaced=False)
_OPEN = {psutil.CONN_LISTEN, psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT, psutil.CONN_SYN_SENT}

# A busy machine is not a failure.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_configure() -> None:
    """Handle SIGINT: what a shell starts in the background ignores it, with all that it starts itself."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="session")
def plane_of_installations() -> Iterator[ControlPlane]:
    """A control plane with its controllers at work; tests that install the operator share it."""
    with ControlPlane(controller_manager=True) as plane:
        yield plane


@pytest.fixture
async def bare_plane(plane_of_installations: ControlPlane) -> AsyncIterator[ControlPlane]:
    """That plane with nothing installed; what a test installs is deleted after it."""
    yield plane_of_installations
    async with plane_of_installations.api() as api:
        await _empty(api, NAMESPACES, lambda name: not name.startswith(("default", "kube-")))
        # Only now: the namespace controller can't delete objects of a kind that is on its way out.
        await _empty(api, CRDS)
        for kind in (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS):
            await _empty(api, kind, lambda name: name.startswith("ecr-secret-operator"))


async def _empty(api: Api, kind: Resource, chosen: Callable[[str], bool] = bool) -> None:
    """Delete cluster-wide objects and wait until they are gone."""

    async def left() -> list[str]:
        return [name for each in await api.list(kind) if chosen(name := each["metadata"]["name"])]

    async def gone() -> bool:
        return not await left()

    for name in await left():
        # It may be on its way out already.
        with suppress(ApiError):
            await api.delete(kind, name)
    await wait_for(gone, 60, f"no {kind.plural} of the test")


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    """A local AWS of the test's own."""
    async with LocalAws() as local:
        yield local


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The URL of moto's server, an AWS that is independent of the lab's."""
    # Imported here: it takes half a second, and few tests need it.
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


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
    before, sockets = asyncio.all_tasks(), _sockets()
    yield
    for _ in range(50):
        left = [*(asyncio.all_tasks() - before - {asyncio.current_task()}), *_connections_since(sockets)]
        if not left:
            return
        gc.collect()
        await asyncio.sleep(0.01)
    pytest.fail(f"left behind: {left}")


def _sockets() -> dict[int, int]:
    """The file descriptors of all sockets, by inode."""
    found = {}
    for path in Path("/dev/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            status = os.fstat(int(path.name))
            if stat.S_ISSOCK(status.st_mode):
                found[status.st_ino] = int(path.name)
    return found


def _connections_since(known: Mapping[int, int]) -> list[object]:
    """The open TCP sockets that are not known; where there is none, the slow list of all is not read."""
    if not (new := {fd for inode, fd in _sockets().items() if inode not in known}):
        return []
    connections = psutil.Process().net_connections("tcp")
    return [each for each in connections if each.fd in new and each.status in _OPEN]


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Count a skipped test as a failure where CI is set: there every part must be there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line("\nA skipped test is a failure where CI is set.")
    yield
