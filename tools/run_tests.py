"""Runs all tests in two processes: those in tests/cluster mostly wait, so all others run beside them.

The report of the others comes at the end. With arguments it is pytest with these, in one process.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Final

_PYTEST: Final = (sys.executable, "-m", "pytest")
_CLUSTER: Final = "tests/cluster"


def main(arguments: Sequence[str]) -> int:
    """Run them; the exit code is that of the first process that failed, or 0."""
    if arguments:
        return subprocess.call([*_PYTEST, *arguments])
    with tempfile.TemporaryFile() as report:
        command = [*_PYTEST, f"--ignore={_CLUSTER}"]
        with subprocess.Popen(command, stdout=report, stderr=subprocess.STDOUT) as others:
            code = subprocess.call([*_PYTEST, _CLUSTER])
            print("Waiting for the tests outside of tests/cluster…", flush=True)
        report.seek(0)
        print(report.read().decode(errors="replace"), flush=True)
    return code or others.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
