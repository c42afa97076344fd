"""The CRDs: what Kubernetes requires, and nothing that refuses what v0.6.0 accepted."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from ecr_operator.api.kinds import CLUSTER, KINDS
from tools import ROOT
from tools.crds import custom_resource_definition

BASES: Final = ROOT / "config" / "crd" / "bases"
TARGETS: Final = {"Secret": "ecr_registry", "ArgoHelmRepoSecret": "url", CLUSTER: "ecr_registry"}
PLURALS: Final = {"Secret": "secrets", "ArgoHelmRepoSecret": "argohelmreposecrets", CLUSTER: "clustersecrets"}
SHORT_NAMES: Final = {
    "Secret": "ecrsecret",
    "ArgoHelmRepoSecret": "argohelmrepo",
    CLUSTER: "ecrclustersecret",
}
# All that a structural schema may hold here; a validation that v0.6.0 had not would be a refusal.
KEYWORDS: Final = {
    *("description", "type", "format", "properties", "additionalProperties", "required", "items", "enum"),
    *("minLength", "maxLength", "maxItems", "maxProperties", "minimum"),
    *("x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
}

# What refuses no value of the right type, but for its size.
SIZES: Final = {"maxLength", "maxItems", "maxProperties"}
LOOSE: Final = {"description", "type", "items", "properties", "additionalProperties"}
V0_6_0: Final = {"generated_secret_name", "ecr_registry", "url", "region", "frequency"}

for_each_kind = pytest.mark.parametrize("kind", KINDS)


def version(kind: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = custom_resource_definition(kind)["spec"]["versions"]
    assert len(found) == 1
    return found[0]


def schema(kind: str, part: str) -> dict[str, Any]:
    found: dict[str, Any] = version(kind)["schema"]["openAPIV3Schema"]["properties"][part]
    return found


def walk(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}")
    for inside in ("items", "additionalProperties"):
        if inside in schema:
            yield from walk(schema[inside], f"{path}[]")


def everything(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in ("spec", "status"):
        yield from walk(schema(kind, part), part)


@for_each_kind
def test_names_are_the_contracts_and_the_one_version_is_served_and_stored_with_a_status(kind: str) -> None:
    crd = custom_resource_definition(kind)
    assert crd["metadata"]["name"] == f"{PLURALS[kind]}.ecr.mobb.redhat.com"
    scope = "Cluster" if kind == CLUSTER else "Namespaced"
    assert (crd["spec"]["group"], crd["spec"]["scope"]) == ("ecr.mobb.redhat.com", scope)
    assert crd["spec"]["names"] == {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": PLURALS[kind],
        "singular": kind.lower(),
        "shortNames": [SHORT_NAMES[kind]],
        "categories": ["aws", "ecr"],
    }
    found = version(kind)
    assert (found["name"], found["served"], found["storage"]) == ("v1alpha1", True, True)
    assert found["subresources"] == {"status": {}}


@for_each_kind
def test_every_field_has_a_description_and_a_type(kind: str) -> None:
    bare = [
        path for path, each in everything(kind) if not each.get("description") and not path.endswith("[]")
    ]
    assert bare == []
    assert [path for path, each in everything(kind) if "type" not in each] == []


@for_each_kind
def test_nothing_defaults_and_nothing_is_there_that_kubernetes_does_not_know(kind: str) -> None:
    assert {word for _, each in everything(kind) for word in each} <= KEYWORDS


@for_each_kind
def test_only_name_target_and_namespaces_are_required_and_no_value_is_refused(kind: str) -> None:
    spec = schema(kind, "spec")
    more = ["namespaces"] if kind == CLUSTER else []
    assert sorted(spec["required"]) == sorted(["generated_secret_name", TARGETS[kind], *more])
    assert {each["type"] for each in spec["properties"].values()} <= {"string", "boolean", "object", "array"}
    old = {spec["properties"][name]["type"] for name in V0_6_0 & spec["properties"].keys()}
    assert old == {"string"}, "a value of another type was accepted"
    assert {word for each in spec["properties"].values() for word in each} <= LOOSE | SIZES


@for_each_kind
def test_what_v0_6_0_lacks_has_a_limit_and_what_it_had_has_none(kind: str) -> None:
    limited = {"string": "maxLength", "array": "maxItems", "map": "maxProperties"}
    for path, each in walk(schema(kind, "spec"), "spec"):
        form = "map" if "additionalProperties" in each else each["type"]
        expected = {limited[form]} if form in limited and path.removeprefix("spec.") not in V0_6_0 else set()
        assert each.keys() & SIZES == expected, path


@for_each_kind
def test_the_status_is_the_contracts(kind: str) -> None:
    status = schema(kind, "status")
    assert "required" not in status
    more = {
        "namespaces": ("object", None),
        "observedNamespaces": ("object", None),
        "readyNamespaces": ("string", None),
        "failing": ("array", None),
        "failingCount": ("integer", "int64"),
    }
    assert {name: (each["type"], each.get("format")) for name, each in status["properties"].items()} == {
        "phase": ("string", None),
        "lastUpdatedTime": ("string", "date-time"),
        "observedGeneration": ("integer", "int64"),
        "secretName": ("string", None),
        "expirationTime": ("string", "date-time"),
        "nextRefreshTime": ("string", "date-time"),
        "conditions": ("array", None),
        **(more if kind == CLUSTER else {}),
    }


def test_a_clustersecrets_status_counts_namespaces_and_lists_at_most_20_that_fail() -> None:
    status = schema(CLUSTER, "status")["properties"]
    assert status["namespaces"]["properties"].keys() == {"served", "ready"}
    assert status["failing"]["maxItems"] == 20
    assert status["failing"]["items"]["properties"].keys() == {"namespace", "reason", "message"}


@for_each_kind
def test_conditions_are_a_map_by_type(kind: str) -> None:
    conditions = schema(kind, "status")["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    required = {"lastTransitionTime", "message", "reason", "status", "type"}
    assert set(conditions["items"]["required"]) == required
    assert conditions["items"]["properties"]["status"]["enum"] == ["True", "False", "Unknown"]


@for_each_kind
def test_columns_are_the_contracts(kind: str) -> None:
    titles = {
        "Secret": "Ready Reason Registry Secret Expires Refreshed Age",
        "ArgoHelmRepoSecret": "Ready Reason URL Secret Expires Refreshed Age",
        CLUSTER: "Ready Reason Registry Secret Namespaces Expires Age",
    }
    columns = version(kind)["additionalPrinterColumns"]
    assert " ".join(each["name"] for each in columns) == titles[kind]
    dates = {each["name"] for each in columns if each["type"] == "date"}
    assert dates == {"Refreshed", "Age"} & set(titles[kind].split())
    assert {each["type"] for each in columns} == {"string", "date"}
    assert columns[2]["jsonPath"] == f".spec.{TARGETS[kind]}"


def test_kustomize_lists_every_file() -> None:
    listed = yaml.safe_load((BASES.parent / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert sorted(listed) == sorted(f"bases/{path.name}" for path in BASES.iterdir())
