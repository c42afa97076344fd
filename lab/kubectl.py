"""kubectl, the real one, run as a user runs it; its caches land in a home of its own."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

from lab.processes import LabError, Process

_ROOT = Path(__file__).parents[1]
_LIMIT = 60.0


def find_kubectl() -> Path:
    """Return the kubectl beside this Python, else the one on PATH. Raises LabError."""
    beside = Path(sys.executable).with_name("kubectl")
    found = beside if beside.is_file() else shutil.which("kubectl")
    if found is None:
        message = f"there is no kubectl at {beside} and none on PATH; `make venv` installs it"
        raise LabError(message)
    return Path(found)


async def kubectl(*arguments: str, kubeconfig: Path, home: Path) -> str:
    """Run kubectl in the project's root and return what it printed.

    Raises LabError, with the end of that, for an exit code other than 0 and after a minute.
    """
    log = home / "kubectl.log"
    log.unlink(missing_ok=True)
    process = Process(
        f"kubectl {arguments[0]}",
        [find_kubectl(), *arguments],
        log=log,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(kubeconfig)},
        cwd=_ROOT,
    )
    with process:
        if code := await asyncio.to_thread(process.wait, _LIMIT):
            raise process.error(f"failed with exit code {code}")
    return log.read_text()
