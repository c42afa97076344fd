"""Builds the Dockerfile without a container engine, and runs what came of it.

buildah builds in chroot isolation on a base of Debian's that has a Python, made once by debootstrap and kept
in the user's cache directory: the base that the Dockerfile names can't be had without its registry.
Needs root, for both programs and for the root that is changed.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import cache, system_package
from lab.processes import LabError, guarded
from lab.progress import Progress

_ROOT = Path(__file__).parents[1]
_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_BASE = "localhost/base:lab"
_IMAGE = "localhost/ecr-secret-operator:lab"
# A package registry may be reached by way of an authority that only this machine knows.
_SHARED = ("/etc/ssl/certs", "/etc/pip.conf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that was built.

    Attributes:
        root: its files, mounted.
        config: as the image's metadata has it.
    """

    root: Path
    config: Mapping[str, Any]

    def command(self, *arguments: str, uid: int, mounts: Mapping[Path, str]) -> list[str]:
        """Return the command line that runs the image's entrypoint with a root that nobody can write to.

        Args:
            arguments: for the entrypoint.
            uid: whom to run as, with root's group as OpenShift has it.
            mounts: folders of this machine, and where the image has them.
        """
        binds = [
            f'mount --bind "{source}" "{self.root}{target}" && mount -o remount,ro,bind "{self.root}{target}"'
            for source, target in mounts.items()
        ]
        unwritable = [
            f'mount --bind "{self.root}" "{self.root}"',
            f'mount -o remount,ro,bind "{self.root}"',
        ]
        entrypoint = " ".join(self.config["Entrypoint"])
        inside = f'exec chroot --userspec={uid}:0 "{self.root}" {entrypoint} "$@"'
        script = " && ".join([*unwritable, *binds, inside])
        return ["unshare", "--mount", "sh", "-ec", script, "image", *arguments]


def build(storage: Path) -> Image:
    """Build the Dockerfile into a storage folder of the caller's. Raises LabError."""
    if os.geteuid():
        raise LabError("Building the image without a container engine needs root.")
    try:
        buildah = _Buildah(system_package.ensure("buildah"), storage)
        base = _base(system_package.ensure("debootstrap"))
    except system_package.PackageError as error:
        raise LabError(str(error)) from error
    with Progress("The image: building the Dockerfile") as progress:
        buildah.commit(base, _BASE, progress)
        volumes = [f"--volume={path}:{path}:ro" for path in _SHARED if Path(path).exists()]
        arguments = ("--isolation=chroot", "--pull-never", f"--build-arg=BASE={_BASE}", *volumes)
        buildah.run("bud", *arguments, "-t", _IMAGE, str(_ROOT), progress=progress)
        container = buildah.run("from", "--pull-never", _IMAGE)
        config = json.loads(buildah.run("inspect", "--type", "image", _IMAGE))["OCIv1"]["config"]
        return Image(root=Path(buildah.run("mount", container)), config=config)


class _Buildah:
    """buildah with a storage of its own."""

    def __init__(self, program: Path, storage: Path) -> None:
        self._storage = storage
        self._command = [str(program), "--root", f"{storage}/root", "--runroot", f"{storage}/run"]
        self._command += ["--storage-driver", "vfs"]

    def commit(self, root: Path, name: str, progress: Progress) -> None:
        """Make an image of a folder."""
        container = self.run("from", "scratch")
        self.run("add", "--quiet", container, str(root), "/", progress=progress)
        self.run("commit", "--quiet", container, name, progress=progress)

    def run(self, *arguments: str, progress: Progress | None = None) -> str:
        """Run it and return the last line that it printed."""
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(self._storage)}
        return _run([*self._command, *arguments], environment, progress)


def _base(debootstrap: Path) -> Path:
    """Return the base's folder, made whole or not at all."""
    target = cache.folder("base", _SUITE)
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".unfinished-", dir=target.parent) as folder,
        Progress("The image's base: Debian's Python, by debootstrap") as progress,
    ):
        command = [str(debootstrap), "--variant=minbase", f"--include={_PACKAGES}", _SUITE, f"{folder}/root"]
        _run(command, os.environ, progress)
        shutil.move(f"{folder}/root", target)
    return target


def _run(command: Sequence[str], environment: Mapping[str, str], progress: Progress | None) -> str:
    process = subprocess.Popen(
        guarded(command), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    rest: deque[str] = deque(maxlen=20)
    document: list[str] = []
    with process:
        for line in process.stdout or ():
            rest.append(line.rstrip())
            document.append(line)
            if progress:
                progress.remark(rest[-1])
    if process.returncode:
        raise LabError("\n".join([f"`{' '.join(command[:2])} …` failed:", *rest]))
    return "".join(document).strip()
