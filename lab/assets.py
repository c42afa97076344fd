"""The lab's binaries: etcd, kube-apiserver and kube-controller-manager.

As with envtest, KUBEBUILDER_ASSETS names a folder that holds them. Without it they are got once, and kept in
the user's cache directory: etcd and kube-apiserver as envtest's archive, if there is one of this version and
it can be fetched; all else, and with BUILD=1 everything, is built with Go, from the public modules that
`lab/modules` pins. kube-controller-manager is the small one of `lab/modules/controller-manager`.

Run `python -m lab.assets [--only NAME,NAME]`; the last line printed is the folder.
"""

import functools
import os
import re
import sys
from collections.abc import Collection
from pathlib import Path

from lab import gobuild, prebuilt
from lab.gobuild import MODULES
from lab.processes import LabError

ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
ALL = (ETCD, API_SERVER, CONTROLLER_MANAGER)

# The newest whose archive lab.prebuilt knows.
DEFAULT_VERSION = "1.36.2"
_CONTROLLER_MANAGER_SOURCE = MODULES / "controller-manager" / "main.go"


def known_versions() -> list[str]:
    """Return the versions that can be built: the oldest, the default and the newest supported."""
    names = [path.name.removeprefix("kubernetes-") for path in MODULES.glob("kubernetes-*")]
    return sorted(names, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])


def version() -> str:
    """Return the version of Kubernetes that the variable KUBERNETES names, or the default.

    Raises LabError for an unknown one.
    """
    desired = os.environ.get("KUBERNETES") or DEFAULT_VERSION
    if desired not in known_versions():
        raise LabError(f"KUBERNETES={desired}: no such version here; there is {', '.join(known_versions())}")
    return desired


def module(kubernetes: str) -> Path:
    """Return the folder of the Go module that pins a version of Kubernetes, and etcd as it uses it."""
    return MODULES / f"kubernetes-{kubernetes}"


def folder() -> Path:
    """Return the folder of this version on this platform; it need not exist."""
    pinned = gobuild.fingerprint(module(version()) / "go.sum", _CONTROLLER_MANAGER_SOURCE)
    return gobuild.cache_folder("assets", f"kubernetes-{version()}-{pinned}")


def ensure(names: Collection[str] = ALL) -> Path:
    """Return the folder that holds these binaries, after getting what is missing.

    Raises LabError when KUBEBUILDER_ASSETS is set and lacks one, when an archive is not the recorded one, or
    when a build fails.
    """
    if given := os.environ.get("KUBEBUILDER_ASSETS"):
        target = Path(given)
        if missing := [name for name in names if not gobuild.is_there(target / name)]:
            raise LabError(
                f"KUBEBUILDER_ASSETS={target}: no {', '.join(missing)} there; add it, or unset the variable"
            )
        return target.absolute()
    target = folder()
    archive = None if _build_wanted() else prebuilt.find(version(), gobuild.platform_name())
    if archive:
        prebuilt.fetch(archive, [name for name in (ETCD, API_SERVER) if name in names], target)
    for recipe in _recipes(version()):
        gobuild.build(recipe, [name for name in recipe.packages if name in names], target)
    return target


def _build_wanted() -> bool:
    return os.environ.get("BUILD", "") not in {"", "0"}


def _recipes(kubernetes: str) -> tuple[gobuild.Recipe, gobuild.Recipe]:
    """Two recipes of one module: packages that the second shares with the first are compiled once."""
    major, minor, _ = kubernetes.split(".")
    stamp = "-X k8s.io/component-base/version.git"
    build = functools.partial(
        gobuild.Recipe,
        module=module(kubernetes),
        ldflags=f"{stamp}Version=v{kubernetes} {stamp}Major={major} {stamp}Minor={minor}",
    )
    return (
        build(
            title=f"Kubernetes {kubernetes}",
            packages={ETCD: "go.etcd.io/etcd/server/v3", API_SERVER: "k8s.io/kubernetes/cmd/kube-apiserver"},
            usually="5 minutes on two processors",
            about=2_300,
        ),
        build(
            title=f"Kubernetes {kubernetes}",
            packages={CONTROLLER_MANAGER: str(_CONTROLLER_MANAGER_SOURCE)},
            usually="a minute or two",
        ),
    )


if __name__ == "__main__":
    sys.exit(gobuild.command("lab.assets", ALL, lambda names: print(ensure(names))))
