"""The ClusterServiceVersion: what a person wrote of it, with Deployment, rights, kinds, examples and images.

Of each kind the OpenShift console shows a form and the status. Texts come from the models; here are the
order of the fields, their names and widgets.

OLM installs `permissions` where it watches: in the target namespaces, or everywhere when all are watched.
`clusterPermissions` are everywhere, whatever is watched; so only what no namespace can hold goes there.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

from ecr_operator.api.kinds import GROUP, KINDS, NAMESPACED_KINDS, PLURALS, VERSION
from tools.bundle.sources import IMAGE, PACKAGE, Json, Sources, pick
from tools.crds import custom_resource_definition

# Their kinds belong to no namespace.
_CLUSTER_WIDE: Final = {"authentication.k8s.io", "authorization.k8s.io"}

# Of the console's forms.
_UI: Final = "urn:alm:descriptor:com.tectonic.ui:"
_OBJECT: Final = "urn:alm:descriptor:io.kubernetes:"
_TEXT: Final = "urn:alm:descriptor:text"

KIND_NAMES: Final = {
    "Secret": "ECR Secret",
    "ArgoHelmRepoSecret": "Argo CD Helm repository on ECR",
    "ClusterSecret": "ECR Secret in many namespaces",
}
_NAMES: Final = {
    "generated_secret_name": "Name of the Secret",
    "url": "Repository URL",
    "ecr_registry": "Registry",
    "region": "AWS region",
    "role_arn": "IAM role",
    "aws_iam_secret": "AWS keys",
    "secret_labels": "Labels of the Secret",
    "secret_annotations": "Annotations of the Secret",
    "credential_scope": "Scope of the login",
    "repo_type": "Type of repository",
    "include_logins_from": "Secrets to copy logins from",
    "secret_format": "Form of the Secret",
    "project": "Argo CD project",
    "lastUpdatedTime": "Refreshed",
    "observedGeneration": "Observed generation",
    "secretName": "Secret",
    "expirationTime": "Expires",
    "nextRefreshTime": "Next refresh",
    "readyNamespaces": "Ready namespaces",
    "failing": "Failing namespaces",
    "failingCount": "Number of failing namespaces",
    "namespaces.selector.matchLabels": "Match labels",
    "namespaces.selector.matchExpressions": "Match expressions",
}
# Beside what is required; the form hides the rest behind "Advanced configuration".
_EVERYDAY: Final = ("region", "frequency")
OPTIONS: Final = {
    "deletion_policy": ("Delete", "Orphan"),
    "credential_scope": ("repository", "repo-creds"),
    "repo_type": ("helm", "oci"),
    "secret_format": ("dockerconfigjson", "config.json", "basic-auth"),
}
# Chosen from those that exist in the resource's namespace. Not generated_secret_name, which is of a Secret
# that is still to come.
_CHOSEN: Final = {
    "service_account.name": "ServiceAccount",
    "aws_iam_secret.name": "Secret",
    "include_logins_from[0].name": "Secret",
    "link_service_accounts[0].name": "ServiceAccount",
}
_STATUS_WIDGETS: Final = {
    "phase": "urn:alm:descriptor:io.kubernetes.phase",
    "secretName": f"{_OBJECT}Secret",
    "conditions": "urn:alm:descriptor:io.kubernetes.conditions",
}


def cluster_service_version(sources: Sources) -> Json:
    """Make the ClusterServiceVersion."""
    csv = deepcopy(pick(sources.objects, "ClusterServiceVersion"))
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
    name: str = pick(objects, "ServiceAccount")["metadata"]["name"]
    return name


def granted(objects: Iterable[Json]) -> Iterator[Json]:
    """Give the roles that are bound to the operator's ServiceAccount."""
    for binding in objects:
        if binding["kind"] not in {"RoleBinding", "ClusterRoleBinding"}:
            continue
        if {"ServiceAccount"} != {subject["kind"] for subject in binding["subjects"]}:
            raise ValueError(f"{binding['metadata']['name']} binds to others than a ServiceAccount")
        yield pick(objects, binding["roleRef"]["kind"], binding["roleRef"]["name"])


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
    deployment = deepcopy(pick(sources.objects, "Deployment"))
    for container in _containers(deployment):
        if sources.image and container["image"].startswith(IMAGE):
            container["image"] = sources.image
    return deployment


def _containers(deployment: Json) -> list[Json]:
    containers: list[Json] = deployment["spec"]["template"]["spec"]["containers"]
    return containers


def owned(kind: str) -> Json:
    """The description of one of our kinds in the ClusterServiceVersion."""
    schema = custom_resource_definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return {
        "name": f"{PLURALS[kind]}.{GROUP}",
        "version": VERSION,
        "kind": kind,
        "displayName": KIND_NAMES[kind],
        "description": schema["description"],
        # What one finds beside a resource: the core Secret that it generates, and the Events about it.
        "resources": [{"kind": each, "name": "", "version": "v1"} for each in ("Secret", "Event")],
        "specDescriptors": list(_spec(kind, schema["properties"]["spec"])),
        "statusDescriptors": list(_status(kind, schema["properties"]["status"])),
    }


def _spec(kind: str, schema: Mapping[str, Any]) -> Iterator[Json]:
    required = schema["required"]
    ordinary = (*required, *_EVERYDAY)
    rest = [name for name in schema["properties"] if name not in ordinary]
    for name in (*ordinary, *rest):
        for path, field in _fields(name, schema["properties"][name]):
            advanced = [f"{_UI}advanced"] if path in rest else []
            yield _descriptor(path, field, [*_widget(kind, path, field), *advanced])


def _fields(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give a field and those within it, with their paths as the console writes them."""
    yield path, schema
    items = schema.get("items", {})
    for name, inner in schema.get("properties", {}).items():
        yield from _fields(f"{path}.{name}", inner)
    for name, inner in items.get("properties", {}).items():
        yield from _fields(f"{path}[0].{name}", inner)


def _widget(kind: str, path: str, schema: Mapping[str, Any]) -> list[str]:
    if path in OPTIONS:
        return [f"{_UI}select:{option}" for option in OPTIONS[path]]
    if path in _CHOSEN and kind in NAMESPACED_KINDS:
        return [_OBJECT + _CHOSEN[path]]
    widgets = {"boolean": f"{_UI}booleanSwitch", "string": f"{_UI}text", "integer": f"{_UI}number"}
    # Lists and maps have no widget of their own: the form follows the schema.
    return [widgets[schema["type"]]] if schema["type"] in widgets else []


def _status(kind: str, schema: Mapping[str, Any]) -> Iterator[Json]:
    widgets = _STATUS_WIDGETS | ({} if kind in NAMESPACED_KINDS else {"secretName": _TEXT})
    for name, field in schema["properties"].items():
        yield _descriptor(name, field, [widgets.get(name, _TEXT)])


def _descriptor(path: str, schema: Mapping[str, Any], widgets: list[str]) -> Json:
    name = path.rsplit(".", 1)[-1]
    descriptor: Json = {
        "path": path,
        "displayName": _NAMES.get(path, name.replace("_", " ").capitalize()),
        "description": schema["description"],
    }
    return {**descriptor, "x-descriptors": widgets} if widgets else descriptor
