"""kubectl, the real one, run as a user runs it; and the kubeconfig files that the lab writes."""

import asyncio
import base64
import os
import shutil
import sys
from pathlib import Path

import yaml

from lab.processes import ROOT, LabError, Process

_LIMIT = 60.0


def find_kubectl() -> Path:
    """Return the kubectl beside this Python, else the one on PATH. Raises LabError."""
    beside = Path(sys.executable).with_name("kubectl")
    found = beside if beside.is_file() else shutil.which("kubectl")
    if found is None:
        raise LabError(f"there is no kubectl at {beside} and none on PATH; `make venv` installs it")
    return Path(found)


async def kubectl(*arguments: str, kubeconfig: Path, home: Path, cwd: Path = ROOT) -> str:
    """Run kubectl, with its caches in `home`, and return its output.

    Raises LabError, with the end of the output, for an exit code other than 0 and after a minute.
    """
    log = home / "kubectl.log"
    log.unlink(missing_ok=True)
    process = Process(
        f"kubectl {arguments[0]}",
        [find_kubectl(), *arguments],
        log=log,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(kubeconfig)},
        cwd=cwd,
    )
    with process:
        if code := await asyncio.to_thread(process.wait, _LIMIT):
            raise process.error(f"failed with exit code {code}")
    return log.read_text()


def cluster(url: str, authority: bytes) -> dict[str, str]:
    """Return a server's address and the certificate (PEM) that its own is signed with, for `write`."""
    return {"server": url, "certificate-authority-data": base64.b64encode(authority).decode()}


def write(path: Path, server: dict[str, str], user: dict[str, str], namespace: str = "default") -> None:
    """Write a kubeconfig with one context, readable by its owner alone; `user` is as in the file."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": server}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab", "namespace": namespace}}],
        "users": [{"name": "lab", "user": user}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content))
