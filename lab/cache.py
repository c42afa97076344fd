"""Where the lab keeps what takes long to get: a folder in the user's cache directory."""

import os
import platform
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def folder(kind: str, name: str) -> Path:
    """Return the folder of one thing of a kind, for this platform; it need not exist."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    machine = platform.machine().lower()
    system = f"{platform.system().lower()}-{_ARCHITECTURES.get(machine, machine)}"
    return home / "ecr-secret-operator" / kind / f"{name}-{system}"
