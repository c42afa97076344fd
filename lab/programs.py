"""Programs of others that tests need: a registry, skopeo, Helm, Prometheus, actionlint, OLM's validators.

One of our own asks the kubelet's keyring.

Most are built once, with Go, from the public modules that `lab/modules` pins, and kept in the user's
cache directory. skopeo is no public module: it is the system's, installed where that is possible.

Run `python -m lab.programs [--only NAME,NAME]`; it prints a line for each, its name and its path.
"""

import argparse
import hashlib
import sys
from collections.abc import Collection
from pathlib import Path

from lab import cache, gobuild, system_package
from lab.processes import LabError

REGISTRY = "registry"
SKOPEO = "skopeo"
HELM = "helm"
PROMETHEUS = "prometheus"
PROMTOOL = "promtool"
ACTIONLINT = "actionlint"
BUNDLE_VALIDATORS = "bundle_validators"
KUBELET_KEYRING = "kubelet_keyring"

_MODULES = Path(__file__).with_name("modules")
_PROMETHEUS = "github.com/prometheus/prometheus/cmd"
_TOOLS = Path(__file__).parents[1] / "tools"
_VALIDATORS = _TOOLS / "bundle_validators"
_KEYRING = _TOOLS / "kubelet_keyring"
_KUBERNETES = _MODULES / "kubernetes-1.36.3"


def _of_source(name: str, folder: Path, module: Path) -> str:
    """Name the folder of a program of our own, which is built anew when its source or a module changes."""
    source = (folder / "main.go").read_bytes() + (module / "go.sum").read_bytes()
    return f"{name}-{hashlib.sha256(source).hexdigest()[:8]}"


_FROM_GO = {
    "distribution-3.1.2": gobuild.Recipe(
        title="Distribution's registry 3.1.2",
        module=_MODULES / "distribution-3.1.2",
        packages={REGISTRY: "github.com/distribution/distribution/v3/cmd/registry"},
    ),
    "helm-4.3.1": gobuild.Recipe(
        title="Helm 4.3.1",
        module=_MODULES / "helm-4.3.1",
        packages={HELM: "helm.sh/helm/v4/cmd/helm"},
    ),
    "prometheus-0.315.1": gobuild.Recipe(
        title="Prometheus 3.15.1",
        module=_MODULES / "prometheus-0.315.1",
        packages={name: f"{_PROMETHEUS}/{name}" for name in (PROMETHEUS, PROMTOOL)},
        # Service discovery by files and HTTP only; with that of every cloud it takes twice as long.
        tags="remove_all_sd",
    ),
    "actionlint-1.7.12": gobuild.Recipe(
        title="actionlint 1.7.12",
        module=_MODULES / "actionlint-1.7.12",
        packages={ACTIONLINT: "github.com/rhysd/actionlint/cmd/actionlint"},
    ),
    _of_source("bundle-validators", _VALIDATORS, _VALIDATORS): gobuild.Recipe(
        title="Validators of bundles 0.36.0",
        module=_VALIDATORS,
        packages={BUNDLE_VALIDATORS: "."},
    ),
    _of_source("kubelet-keyring", _KEYRING, _KUBERNETES): gobuild.Recipe(
        title="The kubelet's keyring 1.36.3",
        module=_KUBERNETES,
        packages={KUBELET_KEYRING: str(_KEYRING / "main.go")},
    ),
}
ALL = (REGISTRY, SKOPEO, HELM, PROMETHEUS, PROMTOOL, ACTIONLINT, BUNDLE_VALIDATORS, KUBELET_KEYRING)


class ProgramError(LabError):
    """A program can't be had; the message tells what to do."""


def ensure(names: Collection[str] = ALL) -> dict[str, Path]:
    """Return where these programs are, after getting what is missing. Raises ProgramError."""
    found: dict[str, Path] = {}
    try:
        if SKOPEO in names:
            found[SKOPEO] = system_package.ensure(SKOPEO)
        for folder, recipe in _FROM_GO.items():
            desired = [name for name in recipe.packages if name in names]
            target = cache.folder("programs", folder)
            gobuild.build(recipe, desired, target)
            found |= {name: target / name for name in desired}
    except (gobuild.BuildError, system_package.PackageError) as error:
        raise ProgramError(str(error)) from error
    return {name: found[name] for name in names}


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(ALL):
        message = f"unknown: {', '.join(sorted(unknown))}; there is {', '.join(ALL)}"
        raise argparse.ArgumentTypeError(message)
    return names


def main() -> int:
    """Get what is missing and print what there is; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.programs", description="Get the programs that tests/programs needs."
    )
    parser.add_argument(
        "--only", type=_names, default=ALL, metavar="NAME,NAME", help=f"some of {', '.join(ALL)}"
    )
    try:
        for name, path in ensure(parser.parse_args().only).items():
            print(name, path)
    except ProgramError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; what was built so far is kept by Go.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
