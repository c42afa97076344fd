"""The guides lead to a Secret: whatever they give to copy is whole, and takes what it names from itself."""

import json
import re
from typing import Any, Final

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.kinds import API_VERSION
from ecr_operator.api.parsing import parse_resource
from tests.guides import DOCS, commands, manifests, policies, variables

GUIDES: Final = (
    "iam_user.md",
    "iam_assume_role.md",
    "irsa.md",
    "cross-account.md",
    "multi-tenancy.md",
    "argocd.md",
)
for_each_guide = pytest.mark.parametrize("guide", GUIDES)


def resources(guide: str) -> list[tuple[dict[str, Any], Resource]]:
    found = [each for each in manifests(guide) if each["apiVersion"] == API_VERSION]
    return [(each, parse_resource(each["kind"], _stored(each))) for each in found]


def _stored(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest | {"metadata": manifest["metadata"] | {"uid": "u", "generation": 1}}


@for_each_guide
def test_every_variable_that_is_used_is_set_under_that_name(guide: str) -> None:
    used, known = variables(guide)
    assert used - known == set()


@for_each_guide
def test_its_resources_make_sense(guide: str) -> None:
    made = resources(guide)
    assert made
    for manifest, resource in made:
        assert resource.problem is None
        assert resource.desired is not None
        assert manifest["metadata"]["namespace"]


@for_each_guide
def test_its_policies_are_json_and_complete(guide: str) -> None:
    found = [json.loads(policy) for policy in policies(guide)]
    assert len(found) == len(re.findall(r"--policy-(?:document|text) '|> trust\.json", commands(guide)))
    for policy in found:
        assert policy["Version"] == "2012-10-17"
        assert all(statement["Effect"] == "Allow" for statement in policy["Statement"])


@for_each_guide
def test_it_goes_from_iam_to_a_secret_that_is_waited_for(guide: str) -> None:
    said = commands(guide)
    assert "policy" in said
    assert "kubectl apply -f -" in said
    assert "wait --for=condition=Ready" in said


@for_each_guide
def test_it_says_who_changes_what_when_it_is_denied(guide: str) -> None:
    table = (DOCS / guide).read_text(encoding="utf-8").partition("\n## Troubleshooting")[2]
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert rows[0].endswith("| Who changes what |")
    assert len(rows) > 5
    assert all(row.split("|")[-2].strip() for row in rows)


def test_the_application_names_the_repository_as_its_secret_does() -> None:
    repository, application = manifests("argocd.md")
    assert application["spec"]["source"]["repoURL"] == repository["spec"]["url"]
    assert application["metadata"]["namespace"] == repository["metadata"]["namespace"]
