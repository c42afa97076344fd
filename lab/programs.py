"""Programs of others that tests run, such as a registry, skopeo, Helm, Prometheus and Argo CD.

Most are built once, with Go, from the public modules that `lab/modules` pins, and kept in the user's cache
directory; one more is ours and calls the kubelet's keyring. skopeo is no public module: it is Debian's
package, which only root can install.

Run `python -m lab.programs [--only NAMES] [--without NAMES]`, with commas between names; it prints a line
for each, its name and its path.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from lab import assets, gobuild
from lab.gobuild import MODULES
from lab.processes import ROOT, LabError

REGISTRY = "registry"
SKOPEO = "skopeo"
HELM = "helm"
HELM_3 = "helm3"
PROMETHEUS = "prometheus"
PROMTOOL = "promtool"
ACTIONLINT = "actionlint"
ARGOCD = "argocd"
BUNDLE_VALIDATORS = "bundle_validators"
KUBELET_KEYRING = "kubelet_keyring"

_ARGOCD = MODULES / "argocd-3.1.16"
_VALIDATORS = ROOT / "tools" / "bundle_validators"
_KEYRING = ROOT / "tools" / "kubelet_keyring"
_KUBERNETES = assets.module(assets.DEFAULT_VERSION)
_INSTALL = "apt-get install -y --no-install-recommends"

_HELM_3_KUBERNETES = [
    f"{package}.k8sVersion{part}={number}"
    for package in ("chartutil", "lint/rules")
    for part, number in (("Major", 1), ("Minor", 37))
]


def _of_source(name: str, folder: Path, module: Path) -> str:
    """Name the folder of a program of our own, which is rebuilt when its source or a module changes."""
    return f"{name}-{gobuild.fingerprint(folder / 'main.go', module / 'go.sum')}"


def _public(
    title: str, module: str, packages: dict[str, str], *, tags: str = "", ldflags: str = ""
) -> gobuild.Recipe:
    folder = MODULES / module
    return gobuild.Recipe(title=title, module=folder, packages=packages, tags=tags, ldflags=ldflags)


# By the name of the folder in the cache.
_FROM_GO = {
    "distribution-3.1.2": _public(
        "Distribution's registry 3.1.2",
        "distribution-3.1.2",
        {REGISTRY: "github.com/distribution/distribution/v3/cmd/registry"},
    ),
    "helm-4.3.1": _public("Helm 4.3.1", "helm-4.3.1", {HELM: "helm.sh/helm/v4/cmd/helm"}),
    "helm-3.22.0": _public(
        "Helm 3.22.0",
        "helm-3.22.0",
        {HELM_3: "helm.sh/helm/v3/cmd/helm"},
        # The version that charts see without a cluster; Helm's Makefile takes it from its k8s.io modules.
        ldflags=" ".join(f"-X helm.sh/helm/v3/pkg/{each}" for each in _HELM_3_KUBERNETES),
    ),
    "prometheus-0.315.1": _public(
        "Prometheus 3.15.1",
        "prometheus-0.315.1",
        {name: f"github.com/prometheus/prometheus/cmd/{name}" for name in (PROMETHEUS, PROMTOOL)},
        # Service discovery by files and HTTP only; with that of every cloud the build takes twice as long.
        tags="remove_all_sd",
    ),
    "actionlint-1.7.12": _public(
        "actionlint 1.7.12",
        "actionlint-1.7.12",
        {ACTIONLINT: "github.com/rhysd/actionlint/cmd/actionlint"},
    ),
    _of_source("argocd-3.1.16", _ARGOCD, _ARGOCD): gobuild.Recipe(
        title="Argo CD 3.1.16",
        module=_ARGOCD,
        packages={ARGOCD: "."},
        usually="6 minutes of processor time",
        about=1_690,
    ),
    _of_source("bundle-validators", _VALIDATORS, _VALIDATORS): gobuild.Recipe(
        title="Validators of bundles 0.36.0", module=_VALIDATORS, packages={BUNDLE_VALIDATORS: "."}
    ),
    _of_source("kubelet-keyring", _KEYRING, _KUBERNETES): gobuild.Recipe(
        title=f"The kubelet's keyring {assets.DEFAULT_VERSION}",
        module=_KUBERNETES,
        packages={KUBELET_KEYRING: str(_KEYRING / "main.go")},
    ),
}
ALL = (
    REGISTRY,
    SKOPEO,
    HELM,
    HELM_3,
    PROMETHEUS,
    PROMTOOL,
    ACTIONLINT,
    ARGOCD,
    BUNDLE_VALIDATORS,
    KUBELET_KEYRING,
)


def ensure(names: Collection[str] = ALL) -> dict[str, Path]:
    """Return where these programs are, after getting what is missing. Raises LabError."""
    found: dict[str, Path] = {}
    if SKOPEO in names:
        found[SKOPEO] = from_debian(SKOPEO)
    for folder, recipe in _FROM_GO.items():
        desired = [name for name in recipe.packages if name in names]
        target = gobuild.cache_folder("programs", folder)
        gobuild.build(recipe, desired, target)
        found |= {name: target / name for name in desired}
    return {name: found[name] for name in names}


def argocd_manifests() -> Path:
    """Return the folder with the manifests of this Argo CD, as its own module has them. Raises LabError."""
    return gobuild.sources(_ARGOCD, "github.com/argoproj/argo-cd/v3") / "manifests"


def from_debian(name: str) -> Path:
    """Return where a program is; root installs Debian's package of the same name if need be.

    Raises LabError, with the command for anybody else.
    """
    if found := shutil.which(name):
        return Path(found)
    if shutil.which("apt-get") is None:
        raise LabError(f"{name} is needed and not on PATH: install this system's package of it")
    if os.geteuid():
        raise LabError(f"{name} is needed and not on PATH: sudo sh -c 'apt-get update && {_INSTALL} {name}'")
    for command in ("apt-get update", f"{_INSTALL} {name}"):
        run(command.split(), {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, f"{name}: {command}")
    if found := shutil.which(name):
        return Path(found)
    raise LabError(f"Debian's package {name} was installed, but there is no {name} on PATH")


def run(command: list[str], env: dict[str, str], title: str = "") -> str:
    """Run a command to its end, with a title on stderr, and return its output. Raises LabError.

    Not killed with this process: apt-get could be half-way through a package.
    """
    if title:
        print(f"{title}…", file=sys.stderr, flush=True)
    done = subprocess.run(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-20:])
        raise LabError(f"`{' '.join(command[:5])} …` failed:\n{last}")
    return done.stdout.strip()


def main() -> int:
    """Get what is missing and print what there is; the exit code."""
    return gobuild.command(
        "lab.programs", ALL, lambda names: [print(*pair) for pair in ensure(names).items()]
    )


if __name__ == "__main__":
    sys.exit(main())
