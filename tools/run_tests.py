"""Runs all tests in three processes, because many of them wait for other programs most of the time.

The report of the first is shown as it comes, and those of the others follow it. With arguments it is pytest
with these, in one process.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Final

_PYTEST: Final = (sys.executable, "-m", "pytest")
# Each takes about as long as all other folders together.
_PARTS: Final = (("tests/cluster",), ("tests/docs", "tests/lab"))


def main(arguments: Sequence[str]) -> int:
    """Run them; the exit code is that of the first process that failed, or 0."""
    if arguments:
        return subprocess.call([*_PYTEST, *arguments])
    first, *others = (*_PARTS, [f"--ignore={folder}" for part in _PARTS for folder in part])
    with ExitStack() as stack:
        running = [stack.enter_context(_started(part)) for part in others]
        codes = [subprocess.call([*_PYTEST, *first])]
        for process, report in running:
            print("Waiting for the other tests…", flush=True)
            codes.append(process.wait())
            report.seek(0)
            print(report.read().decode(errors="replace"), flush=True)
    return next(filter(None, codes), 0)


@contextmanager
def _started(part: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Start pytest; yield the process, and what it prints."""
    with tempfile.TemporaryFile() as report:
        command = [*_PYTEST, *part]
        with subprocess.Popen(command, stdout=report, stderr=subprocess.STDOUT) as process:
            yield process, report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
