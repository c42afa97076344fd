"""A minute of the soak, with a seed of its own."""

import asyncio

import pytest

from lab.control_plane import ControlPlane
from lab.soak import soak

SEED = 20240607


@pytest.mark.timeout(240)
def test_a_minute_of_random_trouble_breaks_no_promise() -> None:
    with ControlPlane() as plane:
        report = asyncio.run(soak(plane, 60, SEED))
    # It did rain, and somebody looked.
    assert report.troubles >= 4
    assert report.samples >= 60
    assert report.checks >= 8 * 60
