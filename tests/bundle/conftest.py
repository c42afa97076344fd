"""The bundle's sources, and what is made of them."""

import pytest

from tools.bundle.files import render
from tools.bundle.sources import Sources, read


@pytest.fixture(scope="session")
def sources() -> Sources:
    """The repository's own."""
    return read()


@pytest.fixture(scope="session")
def files(sources: Sources) -> dict[str, str]:
    """What is made of them."""
    return render(sources)
