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
    """An image that was built: its files, mounted at `root`, and its metadata's config."""

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


def build(storage: Path) -> Image:
    """Build the Dockerfile into a storage folder of the caller's. Raises LabError."""
    if os.geteuid():
        raise LabError("Building the image without a container engine needs root.")
    program = programs.from_debian("buildah")
    base = _base(programs.from_debian("debootstrap"))

    def buildah(*arguments: str, title: str = "") -> str:
        options = ["--root", f"{storage}/root", "--runroot", f"{storage}/run", "--storage-driver", "vfs"]
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(storage)}
        return programs.run([str(program), *options, *arguments], environment, title)

    scratch = buildah("from", "scratch", title="The image: building the Dockerfile")
    buildah("add", "--quiet", scratch, str(base), "/")
    buildah("commit", "--quiet", scratch, _BASE)
    volumes = [f"--volume={path}:{path}:ro" for path in _SHARED if Path(path).exists()]
    options = ("--isolation=chroot", "--pull-never", f"--build-arg=BASE={_BASE}", *volumes)
    buildah("bud", *options, "-t", _IMAGE, str(ROOT))
    container = buildah("from", "--pull-never", _IMAGE)
    config = json.loads(buildah("inspect", "--type", "image", _IMAGE))["OCIv1"]["config"]
    return Image(root=Path(buildah("mount", container)), config=config)


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
