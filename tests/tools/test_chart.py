"""The chart that is committed is what its tool makes; tests/programs has Helm's opinion of it."""

import re

from tools import ROOT, stale
from tools.chart.__main__ import FOLDERS, render
from tools.chart.sources import read


def test_what_is_committed_is_what_the_tool_makes() -> None:
    assert stale(render(read()), ROOT, FOLDERS) == [], "run make chart"


def test_a_release_finds_where_its_digest_goes() -> None:
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    values = (ROOT / "charts" / "ecr-secret-operator" / "values.yaml").read_text(encoding="utf-8")
    (line,) = re.findall(r'sed -i "s\|([^|]+)\|[^|]+\|" charts/ecr-secret-operator/values\.yaml', workflow)
    assert len(re.findall(line, values, re.MULTILINE)) == 1
