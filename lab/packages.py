"""`python -m lab.packages LOCK`: install the packages of a lock file into this Python's environment.

By pip, with hashes and without dependencies: the lock file is complete, and pip would refuse a newer version
without a hash. Standard library only.
"""

import re
import subprocess
import sys
from pathlib import Path

from lab.progress import Step, follow, say

_PIP = ("pip", "install", "--progress-bar", "off", "--no-deps", "--require-hashes", "-r")


def main() -> int:
    """Install them; pip's exit code, with the end of its output if it failed."""
    lock = Path(sys.argv[1])
    step = Step(
        title="Installing the locked packages",
        usually="a minute",
        unit=re.compile("Collecting "),
        units="packages fetched",
        about=len(re.findall(r"^[a-z0-9][\w.\-]*==", lock.read_text(encoding="utf-8"), re.MULTILINE)),
    )
    with subprocess.Popen(
        [sys.executable, "-m", *_PIP, str(lock)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        rest = follow(step, process.stdout or ())
    if process.returncode:
        say("\n".join(rest))
    return process.returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
