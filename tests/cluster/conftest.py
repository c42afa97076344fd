"""The tests of this folder run side by side; see `tests.cluster.concurrent`."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.control_plane import ControlPlane
from tests.cluster.attacks import figures
from tests.cluster.concurrent import ConcurrentModule, ConcurrentTests, case_of
from tests.cluster.stages import Planes

_FOLDER = Path(__file__).parent


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    """Collect a module's coroutines as concurrent tests."""
    module: pytest.Module = ConcurrentModule.from_parent(parent, path=module_path)
    return module


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put this folder's concurrent tests first, so that no other test looks for leaks beside them."""
    places = [place for place, item in enumerate(items) if item.path.is_relative_to(_FOLDER)]
    ordered = sorted((items[place] for place in places), key=lambda item: case_of(item) is None)
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


@pytest.fixture(scope="session")
def concurrent_tests(
    request: pytest.FixtureRequest, control_plane: ControlPlane
) -> Iterator[ConcurrentTests]:
    """All selected concurrent tests, started with the first of them."""
    cases = [case for item in request.session.items if (case := case_of(item))]
    with ExitStack() as stack, ConcurrentTests(cases, Planes(control_plane, stack)) as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures of all attacks at full size."""
    figures.show(terminalreporter)
