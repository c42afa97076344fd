"""This process's line to its janitor (see `_janitor.py`), started at the first use.

One janitor serves the whole process. What is cleaned up in the usual way is reported as done; the rest
the janitor finds when this process is gone, whatever way it went.
"""

import atexit
import contextlib
import functools
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

_SCRIPT = Path(__file__).with_name("_janitor.py")
_lock = threading.Lock()


@functools.cache
def _janitor() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
        cwd="/",
        start_new_session=True,
    )
    atexit.register(_dismiss, process)
    return process


def _dismiss(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(BrokenPipeError):
        process.communicate()


def tell(order: str) -> None:
    """Send one order: `+process PID`, `-process PID`, `+folder PATH` or `-folder PATH`."""
    with _lock:
        pipe = _janitor().stdin
        if pipe is None:
            message = "the janitor has no pipe"
            raise RuntimeError(message)
        pipe.write(order + "\n")
        pipe.flush()


@contextlib.contextmanager
def temporary_folder(prefix: str = "ecr-lab-") -> Iterator[Path]:
    """Yield a new folder that goes when the block is left or this process ends in any way."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    tell(f"+folder {folder}")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            tell(f"-folder {folder}")
