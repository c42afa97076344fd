"""The lab's binaries: etcd, kube-apiserver and kube-controller-manager.

As with envtest, KUBEBUILDER_ASSETS names a folder that holds them. Without it they are built once, with
Go, from the public modules that `lab/modules` pins, and kept in the user's cache directory.

Run `python -m lab.assets [--only NAME,NAME]`; the last line printed is the folder.
"""

import argparse
import os
import re
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from lab import cache, gobuild
from lab.processes import LabError

ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
ALL = (ETCD, API_SERVER, CONTROLLER_MANAGER)

DEFAULT_VERSION = "1.36.3"
ETCD_VERSION = "3.6.16"
MODULES = Path(__file__).with_name("modules")


class AssetError(LabError):
    """The binaries can't be had; the message is one line for the user."""


def known_versions() -> list[str]:
    """Return the versions of Kubernetes that can be built, oldest first."""
    names = [path.name.removeprefix("kubernetes-") for path in MODULES.glob("kubernetes-*")]
    return sorted(names, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])


def version() -> str:
    """Return the version of Kubernetes asked for by the variable KUBERNETES.

    Raises AssetError for one that isn't known.
    """
    desired = os.environ.get("KUBERNETES") or DEFAULT_VERSION
    if desired not in known_versions():
        message = f"KUBERNETES={desired}: no such version here; there is {', '.join(known_versions())}"
        raise AssetError(message)
    return desired


def folder() -> Path:
    """Return the folder of the version asked for, on this platform; it need not exist."""
    return cache.folder("assets", f"kubernetes-{version()}-etcd-{ETCD_VERSION}")


def ensure(names: Collection[str] = ALL) -> Path:
    """Return the folder that holds these binaries, after building what is missing.

    Raises AssetError when KUBEBUILDER_ASSETS is set and lacks one, or when a build fails.
    """
    if given := os.environ.get("KUBEBUILDER_ASSETS"):
        return _given(Path(given), names)
    target = folder()
    try:
        for recipe in _recipes(version()):
            gobuild.build(recipe, [name for name in recipe.packages if name in names], target)
    except gobuild.BuildError as error:
        raise AssetError(str(error)) from error
    return target


def _given(target: Path, names: Iterable[str]) -> Path:
    if missing := [name for name in names if not gobuild.is_there(target / name)]:
        message = f"KUBEBUILDER_ASSETS={target}: no {', '.join(missing)} there; add it, or unset the variable"
        raise AssetError(message)
    return target.absolute()


def _recipes(kubernetes: str) -> tuple[gobuild.Recipe, gobuild.Recipe]:
    major, minor, _ = kubernetes.split(".")
    stamp = "-X k8s.io/component-base/version.git"
    stamps = f"{stamp}Version=v{kubernetes} {stamp}Major={major} {stamp}Minor={minor}"
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
            ldflags=stamps,
        ),
    )


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(ALL):
        message = f"unknown: {', '.join(sorted(unknown))}; there is {', '.join(ALL)}"
        raise argparse.ArgumentTypeError(message)
    return names


def main() -> int:
    """Build what is missing and print the folder; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lab.assets", description="Build the lab's binaries.")
    parser.add_argument(
        "--only", type=_names, default=ALL, metavar="NAME,NAME", help=f"some of {', '.join(ALL)}"
    )
    try:
        print(ensure(parser.parse_args().only))
    except AssetError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; what was built so far is kept by Go.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
