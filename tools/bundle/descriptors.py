"""What the OpenShift console shows of our kinds: a form that a person can fill in, and the status in words.

Texts come from the models; what is here is their order, their names and the widget of each.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ecr_operator.api.kinds import GROUP, PLURALS, VERSION
from tools.crd_schema import custom_resource_definition

Json = dict[str, Any]

_UI: Final = "urn:alm:descriptor:com.tectonic.ui:"
_OBJECT: Final = "urn:alm:descriptor:io.kubernetes:"
_TEXT: Final = "urn:alm:descriptor:text"

KIND_NAMES: Final = {"Secret": "ECR Secret", "ArgoHelmRepoSecret": "Argo CD Helm repository on ECR"}
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
    "project": "Argo CD project",
    "lastUpdatedTime": "Refreshed",
    "observedGeneration": "Generation told of",
    "secretName": "Secret",
    "expirationTime": "Expires",
    "nextRefreshTime": "Next refresh",
}
# Beside what is required; the form hides the rest behind "Advanced configuration".
_EVERYDAY: Final = ("region", "frequency")
OPTIONS: Final = {
    "deletion_policy": ("Delete", "Orphan"),
    "credential_scope": ("repository", "repo-creds"),
    "repo_type": ("helm", "oci"),
}
# Chosen from those that exist. Not generated_secret_name, which is of a Secret that is still to come.
_CHOSEN: Final = {
    "service_account.name": "ServiceAccount",
    "aws_iam_secret.name": "Secret",
    "link_service_accounts[0].name": "ServiceAccount",
}
_STATUS_WIDGETS: Final = {
    "phase": "urn:alm:descriptor:io.kubernetes.phase",
    "secretName": f"{_OBJECT}Secret",
    "conditions": "urn:alm:descriptor:io.kubernetes.conditions",
}


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
        "specDescriptors": list(_spec(schema["properties"]["spec"])),
        "statusDescriptors": list(_status(schema["properties"]["status"])),
    }


def _spec(schema: Mapping[str, Any]) -> Iterator[Json]:
    required = schema["required"]
    ordinary = (*required, *_EVERYDAY)
    rest = [name for name in schema["properties"] if name not in ordinary]
    for name in (*ordinary, *rest):
        for path, field in _fields(name, schema["properties"][name]):
            advanced = [f"{_UI}advanced"] if path in rest else []
            yield _descriptor(path, field, [*_widget(path, field), *advanced])


def _fields(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give a field and those within it, with their paths as the console writes them."""
    yield path, schema
    items = schema.get("items", {})
    for name, inner in schema.get("properties", {}).items():
        yield from _fields(f"{path}.{name}", inner)
    for name, inner in items.get("properties", {}).items():
        yield from _fields(f"{path}[0].{name}", inner)


def _widget(path: str, schema: Mapping[str, Any]) -> list[str]:
    if path in OPTIONS:
        return [f"{_UI}select:{option}" for option in OPTIONS[path]]
    if path in _CHOSEN:
        return [_OBJECT + _CHOSEN[path]]
    widgets = {"boolean": f"{_UI}booleanSwitch", "string": f"{_UI}text", "integer": f"{_UI}number"}
    # Lists and maps have no widget of their own: the form follows the schema.
    return [widgets[schema["type"]]] if schema["type"] in widgets else []


def _status(schema: Mapping[str, Any]) -> Iterator[Json]:
    for name, field in schema["properties"].items():
        yield _descriptor(name, field, [_STATUS_WIDGETS.get(name, _TEXT)])


def _descriptor(path: str, schema: Mapping[str, Any], widgets: list[str]) -> Json:
    name = path.rsplit(".", 1)[-1]
    descriptor: Json = {
        "path": path,
        "displayName": _NAMES.get(path, name.replace("_", " ").capitalize()),
        "description": schema["description"],
    }
    return {**descriptor, "x-descriptors": widgets} if widgets else descriptor
