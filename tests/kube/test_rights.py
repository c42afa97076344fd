"""The table of rights, held against the manifests that grant them."""

from pathlib import Path

import pytest
import yaml

from ecr_operator.kube.access_review import NEEDS, Need

ROOT = Path(__file__).parents[2]


def need(resource: str) -> Need:
    return next(each for each in NEEDS if each.resource == resource)


def test_a_right_is_asked_for_in_each_namespace_that_is_served() -> None:
    asked = need("events").rights(("a", "b"), "own")
    assert [(each.verb, each.namespace) for each in asked] == [("create", "a"), ("create", "b")]


def test_all_namespaces_are_asked_for_by_naming_none() -> None:
    (asked,) = need("secrets/status").rights(("",), "own")
    assert asked.attributes() == {
        "group": "ecr.mobb.redhat.com",
        "resource": "secrets",
        "subresource": "status",
        "verb": "patch",
    }


def test_the_lease_is_asked_for_in_the_operators_namespace_and_by_name_but_for_its_making() -> None:
    asked = need("leases").rights(("a", "b"), "own")
    assert [(each.verb, each.namespace, each.name) for each in asked] == [
        ("get", "own", "bc9c1120.mobb.redhat.com"),
        ("create", "own", ""),
        ("update", "own", "bc9c1120.mobb.redhat.com"),
    ]


def test_a_namespace_is_asked_for_by_its_own_name() -> None:
    (asked,) = need("namespaces").rights(("a",), "own")
    assert asked.attributes() == {"resource": "namespaces", "verb": "get", "namespace": "a", "name": "a"}


def test_nothing_asks_for_what_no_operator_should_have() -> None:
    verbs = {verb for each in NEEDS for verb in each.verbs}
    assert verbs <= {"get", "list", "watch", "create", "patch", "update", "delete"}
    assert [each.resource for each in NEEDS if "update" in each.verbs] == ["leases"]


@pytest.mark.parametrize(
    "folder", sorted({each.granted_by for each in NEEDS if (ROOT / each.granted_by).exists()})
)
def test_what_is_said_to_be_granted_by_a_manifest_is_granted_by_it_and_no_more(folder: str) -> None:
    path = ROOT / folder
    role = yaml.safe_load((path / "rules" / "role.yaml" if path.is_dir() else path).read_text())
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    needed = {
        (each.group, each.resource, verb)
        for each in NEEDS
        if each.granted_by == folder
        for verb in each.verbs
    }
    assert granted == needed
