"""A bundle read as OLM reads it: the objects of an installation, by where it is and what it targets.

Rules of OLM that matter here: `permissions` are a Role in the installation's namespace, copied to each target
namespace, or lifted to a ClusterRole when all are targeted; `clusterPermissions` are a ClusterRole always;
of the other manifests the kind is read without its group. Left out: OperatorGroups, conditions, and all that
serves upgrades.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from lab.api import Json

ROOT: Final = Path(__file__).parents[2]
ALL_NAMESPACES: Final = ("",)

_RBAC: Final = "rbac.authorization.k8s.io"
_CLUSTER_SCOPED: Final = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "PriorityClass"}
_CORE: Final = {"Secret", "ConfigMap", "Service", "ServiceAccount"}
_OF_A_SECRET: Final = {"apiVersion", "kind", "metadata", "type", "data", "stringData", "immutable"}
_WHERE_ALL_ARE: Final = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The manifests of a bundle, its ClusterServiceVersion apart."""

    csv: Json
    others: tuple[Json, ...]


def load(folder: Path = ROOT / "bundle") -> Bundle:
    """Read a bundle."""
    manifests = [yaml.safe_load(path.read_text()) for path in sorted((folder / "manifests").iterdir())]
    (csv,) = (each for each in manifests if each["kind"] == "ClusterServiceVersion")
    return Bundle(csv=csv, others=tuple(each for each in manifests if each is not csv))


def installation(bundle: Bundle, namespace: str, targets: Sequence[str]) -> list[Json]:
    """Return what OLM creates in a namespace for an OperatorGroup with these targets.

    The install mode must be one of the bundle's.
    """
    mode = _mode(namespace, targets)
    assert {"type": mode, "supported": True} in bundle.csv["spec"]["installModes"]
    return [
        *(_manifest(each, namespace) for each in bundle.others),
        *_accounts(bundle.csv, namespace),
        *_rights(bundle.csv, namespace, targets),
        *_deployments(bundle.csv, namespace, targets),
    ]


def environment(deployment: Json, secrets: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the variables that the operator's container gets; `secrets` by name, with their values."""
    metadata = {
        **deployment["spec"]["template"]["metadata"],
        "namespace": deployment["metadata"]["namespace"],
        "name": f"{deployment['metadata']['name']}-0",
    }
    return variables(manager(deployment), metadata, secrets)


def variables(container: Json, metadata: Json, secrets: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return a container's variables as a kubelet sets them; `metadata` is its pod's."""
    found = ((each["name"], _value(each, metadata, secrets)) for each in container["env"])
    return {name: value for name, value in found if value is not None}


def manager(deployment: Json) -> Json:
    """Return the operator's container."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return next(dict(each) for each in containers if each["name"] == "manager")


def _mode(namespace: str, targets: Sequence[str]) -> str:
    if tuple(targets) == ALL_NAMESPACES:
        return "AllNamespaces"
    if len(targets) > 1:
        return "MultiNamespace"
    return "OwnNamespace" if tuple(targets) == (namespace,) else "SingleNamespace"


def _manifest(manifest: Json, namespace: str) -> Json:
    """Give a manifest the version that OLM's own type for its kind has, and its namespace."""
    kind = manifest["kind"]
    placed = {} if kind in _CLUSTER_SCOPED else {"namespace": namespace}
    version = {"apiVersion": "v1"} if kind in _CORE else {}
    taken = {key: value for key, value in manifest.items() if kind != "Secret" or key in _OF_A_SECRET}
    return {**taken, **version, "metadata": {**manifest["metadata"], **placed}}


def _accounts(csv: Json, namespace: str) -> Iterator[Json]:
    strategy = csv["spec"]["install"]["spec"]
    entries = [*strategy.get("permissions", ()), *strategy.get("clusterPermissions", ())]
    for name in sorted({each["serviceAccountName"] for each in entries}):
        metadata = {"name": name, "namespace": namespace}
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def _rights(csv: Json, namespace: str, targets: Sequence[str]) -> Iterator[Json]:
    strategy = csv["spec"]["install"]["spec"]
    for entry in strategy.get("clusterPermissions", ()):
        yield from _granted(csv, entry, namespace, None)
    for entry in strategy.get("permissions", ()):
        yield from _granted(csv, entry, namespace, namespace)
        if tuple(targets) == ALL_NAMESPACES:
            lifted = {**entry, "rules": [*entry["rules"], _WHERE_ALL_ARE]}
            yield from _granted(csv, lifted, namespace, None)
            continue
        for target in targets:
            if target != namespace:
                yield from _granted(csv, entry, namespace, target)


def _granted(csv: Json, entry: Json, namespace: str, where: str | None) -> Iterator[Json]:
    """Give a role and its binding, in a namespace or, where that is None, everywhere."""
    prefix = "Cluster" if where is None else ""
    digest = hashlib.sha256(json.dumps([namespace, entry]).encode()).hexdigest()[:10]
    metadata = {
        "name": f"{csv['metadata']['name']}-{digest}",
        **({} if where is None else {"namespace": where}),
    }
    subject = {"kind": "ServiceAccount", "name": entry["serviceAccountName"], "namespace": namespace}
    about = {"apiVersion": f"{_RBAC}/v1", "metadata": metadata}
    yield {**about, "kind": f"{prefix}Role", "rules": entry["rules"]}
    role = {"apiGroup": _RBAC, "kind": f"{prefix}Role", "name": metadata["name"]}
    yield {**about, "kind": f"{prefix}RoleBinding", "roleRef": role, "subjects": [subject]}


def _deployments(csv: Json, namespace: str, targets: Sequence[str]) -> Iterator[Json]:
    for each in csv["spec"]["install"]["spec"]["deployments"]:
        spec = deepcopy(each["spec"])
        metadata = spec["template"]["metadata"]
        told = {"olm.targetNamespaces": ",".join(targets), "olm.operatorNamespace": namespace}
        metadata["annotations"] = {
            **csv["metadata"]["annotations"],
            **metadata.get("annotations", {}),
            **told,
        }
        yield {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": each["name"], "namespace": namespace, "labels": each.get("label", {})},
            "spec": {**spec, "revisionHistoryLimit": 1},
        }


def _value(variable: Json, metadata: Json, secrets: Mapping[str, Mapping[str, str]]) -> str | None:
    if "valueFrom" not in variable:
        return str(variable.get("value", ""))
    source = variable["valueFrom"]
    if "secretKeyRef" in source:
        reference = source["secretKeyRef"]
        value = secrets.get(reference["name"], {}).get(reference["key"])
        if value is None and not reference.get("optional"):
            raise KeyError(reference["name"])
        return value
    path: str = source["fieldRef"]["fieldPath"].removeprefix("metadata.")
    if path.startswith("annotations["):
        return str(metadata["annotations"][path.removeprefix("annotations['").removesuffix("']")])
    return str(metadata[path])
