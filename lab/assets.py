"""The lab's binaries: etcd, kube-apiserver and kube-controller-manager.

As with envtest, KUBEBUILDER_ASSETS names a folder that holds them. Without it they are built once, with
Go, from the public modules that `lab/modules` pins, and kept in the user's cache directory.

Run `python -m lab.assets [--only NAME,NAME]`; the last line printed is the folder.
"""

import os
import re
import sys
from collections.abc import Collection
from pathlib import Path

from lab import gobuild
from lab.gobuild import MODULES
from lab.processes import LabError

ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
ALL = (ETCD, API_SERVER, CONTROLLER_MANAGER)

DEFAULT_VERSION = "1.36.3"
ETCD_VERSION = "3.6.16"


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


def folder() -> Path:
    """Return the folder of this version on this platform; it need not exist."""
    return gobuild.cache_folder("assets", f"kubernetes-{version()}-etcd-{ETCD_VERSION}")


def ensure(names: Collection[str] = ALL) -> Path:
    """Return the folder that holds these binaries, after building what is missing.

    Raises LabError when KUBEBUILDER_ASSETS is set and lacks one, or when a build fails.
    """
    if given := os.environ.get("KUBEBUILDER_ASSETS"):
        target = Path(given)
        if missing := [name for name in names if not gobuild.is_there(target / name)]:
            raise LabError(
                f"KUBEBUILDER_ASSETS={target}: no {', '.join(missing)} there; add it, or unset the variable"
            )
        return target.absolute()
    target = folder()
    for recipe in _recipes(version()):
        gobuild.build(recipe, [name for name in recipe.packages if name in names], target)
    return target


def _recipes(kubernetes: str) -> tuple[gobuild.Recipe, gobuild.Recipe]:
    major, minor, _ = kubernetes.split(".")
    stamp = "-X k8s.io/component-base/version.git"
    return (
        gobuild.Recipe(
            title=f"etcd {ETCD_VERSION}",
            module=MODULES / f"etcd-{ETCD_VERSION}",
            packages={ETCD: "go.etcd.io/etcd/server/v3"},
        ),
        gobuild.Recipe(
            title=f"Kubernetes {kubernetes}",
            module=MODULES / f"kubernetes-{kubernetes}",
            packages={name: f"k8s.io/kubernetes/cmd/{name}" for name in (API_SERVER, CONTROLLER_MANAGER)},
            ldflags=f"{stamp}Version=v{kubernetes} {stamp}Major={major} {stamp}Minor={minor}",
        ),
    )


if __name__ == "__main__":
    sys.exit(gobuild.command("lab.assets", ALL, lambda names: print(ensure(names))))
