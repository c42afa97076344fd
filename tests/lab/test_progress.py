"""Progress: what a long step is doing, also while it prints nothing, and why it failed."""

import re
import sys

import pytest

from lab.processes import LabError
from lab.progress import Step, run

STEP = Step(title="Building", usually="a minute", unit=re.compile("unit"), units="packages", about=3)
SILENT = "import time; print('unit one', flush=True); time.sleep(1)"
FAILS = "for number in range(30): print('unit', number); print('complaint', number)\nraise SystemExit(3)"


def test_a_silent_step_is_reported_on_with_what_it_did_last(capsys: pytest.CaptureFixture[str]) -> None:
    run(STEP, [sys.executable, "-c", SILENT], every=0.05)
    first, *reports = capsys.readouterr().err.splitlines()
    assert first == "Building; usually a minute…"
    assert re.fullmatch(r"  0:0\d 1 of about 3 packages; unit one", reports[-1])


def test_a_step_that_fails_shows_its_last_twenty_lines_but_the_units() -> None:
    with pytest.raises(LabError) as caught:
        run(STEP, [sys.executable, "-c", FAILS])
    assert str(caught.value).splitlines() == [
        "Building failed:",
        *(f"complaint {number}" for number in range(10, 30)),
    ]
