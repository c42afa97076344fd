"""Builds the Dockerfile without a container engine, and runs the result.

buildah builds in chroot isolation on a base of Debian's that has a Python, made once by debootstrap and kept
in the user's cache directory: the base that the Dockerfile names is not available without its registry.
Needs root, for both programs and for the root that is changed.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import programs
from lab.gobuild import cache_folder
from lab.processes import ROOT, LabError

_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_BASE = "localhost/base:lab"
_IMAGE = "localhost/ecr-secret-operator:lab"
# A package registry may be reached by way of an authority that only this machine knows.
_SHARED = ("/etc/ssl/certs", "/etc/pip.conf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that was built: its files, copied to `root`, and its metadata's config."""

    root: Path
    config: Mapping[str, Any]

    def command(self, *arguments: str, uid: int, mounts: Mapping[Path, str]) -> list[str]:
        """Return the command line that runs the entrypoint on a read-only root, as OpenShift does.

        Args:
            arguments: for the entrypoint.
            uid: the user to run as, with root's group.
            mounts: folders of this machine, and their paths in the image.
        """
        root = self.root
        binds = [
            f'mount --bind "{source}" "{root}{target}" && mount -o remount,ro,bind "{root}{target}"'
            for source, target in mounts.items()
        ]
        read_only = [f'mount --bind "{root}" "{root}"', f'mount -o remount,ro,bind "{root}"']
        inside = f'exec chroot --userspec={uid}:0 "{root}" {" ".join(self.config["Entrypoint"])} "$@"'
        script = " && ".join([*read_only, *binds, inside])
        return ["unshare", "--mount", "sh", "-ec", script, "image", *arguments]


class _Buildah:
    """buildah with a storage folder of its own; images in `bases` are read from there."""

    def __init__(self, storage: Path, driver: str, bases: Path | None = None) -> None:
        self._storage = storage
        options = ["--root", f"{storage}/images", "--runroot", f"{storage}/run", "--storage-driver", driver]
        shared = ["--storage-opt", f"{driver}.imagestore={bases}"] if bases else []
        self._command = [str(programs.from_debian("buildah")), *options, *shared]

    def __call__(self, *arguments: str, title: str = "") -> str:
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(self._storage)}
        return programs.run([*self._command, *arguments], environment, title)


def build(storage: Path) -> Image:
    """Build the Dockerfile into a storage folder of the caller's. Raises LabError."""
    if os.geteuid():
        raise LabError("Building the image without a container engine needs root.")
    driver, bases = _base_images()
    buildah = _Buildah(storage, driver, bases)
    volumes = [f"--volume={path}:{path}:ro" for path in _SHARED if Path(path).exists()]
    root = storage / "root"
    options = ("--isolation=chroot", "--pull-never", f"--build-arg=BASE={_BASE}", *volumes)
    output = ("--output", f"type=local,dest={root}", "-t", _IMAGE)
    buildah("bud", *options, *output, str(ROOT), title="The image: building the Dockerfile")
    root.chmod(0o755)
    config = json.loads(buildah("inspect", "--type", "image", _IMAGE))["OCIv1"]["config"]
    return Image(root=root, config=config)


def _base_images() -> tuple[str, Path]:
    """Return a storage driver and a folder of images with the base, moved there only when it is whole."""
    base = _base(programs.from_debian("debootstrap"))
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=base.parent) as folder:
        driver = _driver(Path(folder))
        target = cache_folder("base", f"{_SUITE}-{driver}")
        if not target.is_dir():
            buildah = _Buildah(Path(folder), driver)
            scratch = buildah("from", "scratch", title="The image's base: as an image")
            buildah("add", "--quiet", scratch, str(base), "/")
            buildah("commit", "--quiet", "--rm", scratch, _BASE)
            shutil.move(f"{folder}/images", target)
    return driver, target


def _driver(folder: Path) -> str:
    """Return how layers are stored: mounted over each other, or copied where the kernel refuses that."""
    try:
        _Buildah(folder, "overlay")("info")
    except LabError:
        return "vfs"
    return "overlay"


def _base(debootstrap: Path) -> Path:
    """Return the base's folder, moved there only when it is whole."""
    target = cache_folder("base", _SUITE)
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=target.parent) as folder:
        command = [str(debootstrap), "--variant=minbase", f"--include={_PACKAGES}", _SUITE, f"{folder}/root"]
        programs.run(command, dict(os.environ), "The image's base: Debian's Python, by debootstrap")
        shutil.move(f"{folder}/root", target)
    return target
