"""Runs all tests in two processes, which take about as long: each waits for what it starts much of its time.

The report of the second comes at the end. With arguments it is pytest with these, in one process.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Final

_PYTEST: Final = (sys.executable, "-m", "pytest")
# About half of the time; measure it anew when one process ends minutes before the other. All that install the
# operator are here, since they share a control plane.
_FIRST: Final = ("tests/cluster", "tests/docs", "tests/e2e", "tests/manifests")


def main(arguments: Sequence[str]) -> int:
    """Run them; the exit code is that of the first process that failed, or 0."""
    if arguments:
        return subprocess.call([*_PYTEST, *arguments])
    with tempfile.TemporaryFile() as report:
        command = [*_PYTEST, *(f"--ignore={folder}" for folder in _FIRST)]
        with subprocess.Popen(command, stdout=report, stderr=subprocess.STDOUT) as others:
            code = subprocess.call([*_PYTEST, *_FIRST])
            print("Waiting for the other tests…", flush=True)
        report.seek(0)
        print(report.read().decode(errors="replace"), flush=True)
    return code or others.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
