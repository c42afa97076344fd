"""The chart that is committed is what its tool makes; tests/programs has Helm's opinion of it."""

from tools import ROOT, stale
from tools.chart.__main__ import FOLDERS, render
from tools.chart.sources import read


def test_what_is_committed_is_what_the_tool_makes() -> None:
    assert stale(render(read()), ROOT, FOLDERS) == [], "run make chart"
