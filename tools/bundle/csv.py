"""The ClusterServiceVersion: what a person wrote of it, with Deployment, rights, kinds, examples and images.

OLM installs `permissions` where it watches: in the target namespaces, or everywhere when all are watched.
`clusterPermissions` are everywhere, whatever is watched; so only what no namespace can hold goes there.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any, Final

from ecr_operator.api.kinds import KINDS
from tools.bundle.descriptors import owned
from tools.bundle.sources import IMAGE, PACKAGE, Json, Sources

# Their kinds belong to no namespace.
_CLUSTER_WIDE: Final = {"authentication.k8s.io", "authorization.k8s.io"}


def cluster_service_version(sources: Sources) -> Json:
    """Make the ClusterServiceVersion."""
    csv = deepcopy(_only(sources.objects, "ClusterServiceVersion"))
    deployment = _deployment(sources)
    csv["metadata"] = {**csv["metadata"], "name": f"{PACKAGE}.v{sources.version}", "namespace": "placeholder"}
    csv["metadata"]["annotations"].update(_annotations(sources, deployment))
    csv["spec"] = {
        **csv["spec"],
        "version": sources.version,
        "icon": [{"base64data": base64.b64encode(sources.icon).decode(), "mediatype": "image/svg+xml"}],
        "customresourcedefinitions": {"owned": [owned(kind) for kind in KINDS]},
        "install": {"strategy": "deployment", "spec": _strategy(sources.objects, deployment)},
        "relatedImages": [{"name": each["name"], "image": each["image"]} for each in _containers(deployment)],
    }
    return csv


def account(objects: Iterable[Json]) -> str:
    """Return the name of the operator's ServiceAccount."""
    name: str = _only(objects, "ServiceAccount")["metadata"]["name"]
    return name


def granted(objects: Iterable[Json]) -> Iterator[Json]:
    """Give the roles that are bound to the operator's ServiceAccount."""
    for binding in objects:
        if binding["kind"] not in {"RoleBinding", "ClusterRoleBinding"}:
            continue
        if {"ServiceAccount"} != {subject["kind"] for subject in binding["subjects"]}:
            raise ValueError(f"{binding['metadata']['name']} binds to others than a ServiceAccount")
        yield _only(objects, binding["roleRef"]["kind"], binding["roleRef"]["name"])


def _annotations(sources: Sources, deployment: Json) -> Json:
    manager = next(each["image"] for each in _containers(deployment) if each["name"] == "manager")
    dated = {"createdAt": f"{sources.released}T00:00:00Z"} if sources.released else {}
    examples = json.dumps(sources.samples, indent=2)
    return {"alm-examples": examples, "containerImage": manager, **dated}


def _strategy(objects: Iterable[Json], deployment: Json) -> Json:
    entries: dict[bool, list[Json]] = {True: [], False: []}
    for role in granted(objects):
        entry = {"serviceAccountName": account(objects), "rules": role["rules"]}
        entries[_is_cluster_wide(role)].append(entry)
    metadata = deployment["metadata"]
    return {
        "clusterPermissions": entries[True],
        "permissions": entries[False],
        "deployments": [{"name": metadata["name"], "label": metadata["labels"], "spec": deployment["spec"]}],
    }


def _is_cluster_wide(role: Json) -> bool:
    groups = {group for rule in role["rules"] for group in rule.get("apiGroups", ())}
    return bool(groups) and groups <= _CLUSTER_WIDE


def _deployment(sources: Sources) -> Json:
    deployment = deepcopy(_only(sources.objects, "Deployment"))
    for container in _containers(deployment):
        if sources.image and container["image"].startswith(IMAGE):
            container["image"] = sources.image
    return deployment


def _containers(deployment: Json) -> list[Json]:
    containers: list[Json] = deployment["spec"]["template"]["spec"]["containers"]
    return containers


def _only(objects: Iterable[Json], kind: str, name: str | None = None) -> Json:
    """Return the one object of a kind, and of a name where there are several. Raises ValueError."""
    found: list[Any] = [
        each for each in objects if each["kind"] == kind and name in {None, each["metadata"]["name"]}
    ]
    if len(found) != 1:
        raise ValueError(f"config/manifests builds {len(found)} of {kind} {name or ''}, not one")
    return dict(found[0])
