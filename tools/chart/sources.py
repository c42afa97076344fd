"""What the chart is made from, read once: what kustomize builds, the components, the version."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

import ecr_operator
from tools import ROOT
from tools.bundle.sources import Json, kustomize, product_version

_CONFIG: Final = ROOT / "config"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the chart is made from.

    Attributes:
        version: of the product, such as 1.0.0.
        default: what config/default builds, without its Namespace.
        plain: the same without kube-rbac-proxy and cluster-wide objects, as config/namespaced has it.
        watched: the operator's rights in one of several namespaces.
        additions: what other folders build, by their paths in config.
        description: the hand-written part of the ClusterServiceVersion.
    """

    version: str
    default: tuple[Json, ...]
    plain: tuple[Json, ...]
    watched: tuple[Json, ...]
    additions: dict[str, tuple[Json, ...]]
    description: Json


def read() -> Sources:
    """Read all sources. Raises CalledProcessError where kustomize refuses them."""
    added = ("rbac/service-account", "rbac/link-service-accounts", "policies/secret-writes", "prometheus")
    base = _CONFIG / "manifests" / "bases" / "ecr-secret-operator.clusterserviceversion.yaml"
    return Sources(
        version=product_version(ecr_operator.__version__),
        default=tuple(each for each in kustomize(_CONFIG / "default") if each["kind"] != "Namespace"),
        plain=tuple(kustomize(_CONFIG / "namespaced" / "operator")),
        watched=tuple(kustomize(_CONFIG / "namespaced" / "watched")),
        additions={name: tuple(kustomize(_CONFIG / name)) for name in added},
        description=of(base),
    )


def of(path: Path) -> Json:
    """Return the one document of a YAML file."""
    content: Json = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def component(name: str, file: str) -> Json:
    """Return one file of a component."""
    return of(_CONFIG / "components" / name / file)


def patches(name: str, manifest: Json) -> list[Any]:
    """Return what a component's inline patches hold for an object."""
    return [
        yaml.safe_load(each["patch"])
        for each in component(name, "kustomization.yaml")["patches"]
        if "patch" in each and _is_target(each["target"], manifest)
    ]


def _is_target(target: Json, manifest: Json) -> bool:
    name = manifest["metadata"]["name"]
    return target["kind"] == manifest["kind"] and bool(re.fullmatch(target.get("name", ".*"), name))
