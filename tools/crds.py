"""`python -m tools.crds [--check]`: write config/crd/bases from the models.

Invariant: what v0.6.0's schema accepted is accepted; bad values are admitted and reported on the resource,
so the schema checks the presence and type of fields, and the size of those that v0.6.0 lacks.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final

import yaml
from pydantic import BaseModel

from ecr_operator.api.kinds import CLUSTER, GROUP, KINDS, PLURALS, SHORT_NAMES, SPECS, VERSION
from ecr_operator.api.statuses import STATUSES
from tools import settle

_HEADER: Final = "# Made from the models in ecr_operator/api by `make crds`.\n---\n"
_TARGETS: Final = {
    "Secret": ("Registry", "ecr_registry"),
    "ArgoHelmRepoSecret": ("URL", "url"),
    CLUSTER: ("Registry", "ecr_registry"),
}
_DESCRIPTIONS: Final = {
    "Secret": "A Secret for image pulls and pushes, with a login for Amazon ECR that is kept alive.",
    "ArgoHelmRepoSecret": "An Argo CD repository Secret, with a login for Amazon ECR that is kept alive.",
    CLUSTER: "A Secret for image pulls and pushes in each of many namespaces, with a login for Amazon ECR "
    "that is kept alive.",
}


def custom_resource_definition(kind: str) -> dict[str, Any]:
    """The CRD of one kind, as a plain manifest."""
    plural = PLURALS[kind]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [SHORT_NAMES[kind]],
                "categories": ["aws", "ecr"],
            },
            "scope": "Cluster" if kind == CLUSTER else "Namespaced",
            "versions": [_version(kind)],
        },
    }


def _version(kind: str) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": _columns(kind),
        "schema": {
            "openAPIV3Schema": {
                "description": _DESCRIPTIONS[kind],
                "type": "object",
                "properties": {
                    "apiVersion": {"description": f"{GROUP}/{VERSION}.", "type": "string"},
                    "kind": {"description": f"{kind}.", "type": "string"},
                    "metadata": {"type": "object"},
                    "spec": {"description": "What is wanted.", **structural(SPECS[kind])},
                    "status": {"description": "What is.", **structural(STATUSES[kind])},
                },
            }
        },
    }


def _columns(kind: str) -> list[dict[str, str]]:
    title, field = _TARGETS[kind]
    ready = '.status.conditions[?(@.type=="Ready")]'
    columns = [
        ("Ready", "string", f"{ready}.status"),
        # That of the last attempt, so that a mistake shows while the token is still renewed.
        ("Reason", "string", '.status.conditions[?(@.type=="Refreshed")].reason'),
        (title, "string", f".spec.{field}"),
        ("Secret", "string", ".spec.generated_secret_name"),
        *([("Namespaces", "string", ".status.readyNamespaces")] if kind == CLUSTER else []),
        # A string: kubectl prints a date in the future as <invalid>.
        ("Expires", "string", ".status.expirationTime"),
        *([] if kind == CLUSTER else [("Refreshed", "date", ".status.lastUpdatedTime")]),
        ("Age", "date", ".metadata.creationTimestamp"),
    ]
    return [{"name": name, "type": kind_of, "jsonPath": path} for name, kind_of, path in columns]


def structural(model: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON schema in Kubernetes' structural form."""
    schema = model.model_json_schema()
    converted: dict[str, Any] = _convert(schema, schema.get("$defs", {}))
    converted.pop("description", None)
    return converted


def _convert(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        inner = _convert(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
        return {**inner, **_own(schema)}
    if "anyOf" in schema:
        # pydantic's form of "or None"; in Kubernetes the field is simply left out.
        (inner_schema,) = (choice for choice in schema["anyOf"] if choice.get("type") != "null")
        return {**_convert(inner_schema, definitions), **_own(schema)}
    result = _own(schema)
    if "properties" in schema:
        result["properties"] = {
            name: _convert(inner, definitions) for name, inner in schema["properties"].items()
        }
    if isinstance(schema.get("additionalProperties"), Mapping):
        result["additionalProperties"] = _convert(schema["additionalProperties"], definitions)
    if "items" in schema:
        result["items"] = _convert(schema["items"], definitions)
    if result.get("type") == "integer":
        result["format"] = "int64"
    return result


_KEPT: Final = (
    "description",
    "type",
    "format",
    "enum",
    "required",
    "minLength",
    "maxLength",
    "minimum",
    "maxItems",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
)


def _own(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: schema[name] for name in _KEPT if name in schema}


def render() -> dict[str, str]:
    """Return the files' paths and contents."""
    return {
        f"config/crd/bases/{GROUP}_{PLURALS[kind]}.yaml": _HEADER
        + yaml.safe_dump(custom_resource_definition(kind), sort_keys=False, width=110)
        for kind in KINDS
    }


if __name__ == "__main__":
    sys.exit(settle(render(), "crds"))
