"""Guides: what their commands for AWS contain; the others are run by test_run."""

import json
import re
from typing import Any, Final

import pytest
import yaml

from tests.docs.blocks import blocks
from tools import ROOT

DOCS: Final = ROOT / "docs"
GUIDES: Final = (
    "iam_user.md",
    "iam_assume_role.md",
    "irsa.md",
    "cross-account.md",
    "multi-tenancy.md",
    "argocd.md",
    *(f"recipes/{path.name}" for path in sorted((DOCS / "recipes").glob("*.md"))),
)
for_each_guide = pytest.mark.parametrize("guide", GUIDES)

_HEREDOC: Final = re.compile(r"<<END\n(.*?)^ *END$", re.MULTILINE | re.DOTALL)
_QUOTED_POLICY: Final = re.compile(r"--policy-(?:document|text) '(\{.*?\})'$", re.MULTILINE | re.DOTALL)
# Without braces: `$NAME}` would end a flow mapping, which `${NAME}` would not.
_USED: Final = re.compile(r"\$([A-Z][A-Z_]*)")
_SET: Final = re.compile(r"\b([A-Z][A-Z_]*)=")
# Example values; all other variables are account IDs.
_VALUES: Final = {
    "AWS_REGION": "us-east-2",
    "ARGOCD": "argocd",
    "NAMESPACE": "my-app",
    "OIDC": "oidc.example.com/id/1",
    "OPERATOR": "arn:aws:iam::123456789012:role/ecr-secret-operator",
    "EXTERNAL_ID": "my-cluster",
}


def commands(guide: str) -> str:
    """All commands of a guide."""
    return "\n".join(each.text for each in blocks(DOCS / guide) if each.language == "bash")


def filled(text: str) -> str:
    """The text with the example values of its variables."""
    return _USED.sub(lambda used: _VALUES.get(used[1], "123456789012"), text)


def manifests(guide: str) -> list[dict[str, Any]]:
    """The Kubernetes manifests in the commands."""
    heredocs = [match[1] for match in _HEREDOC.finditer(commands(guide)) if "apiVersion:" in match[1]]
    return [each for text in heredocs for each in yaml.safe_load_all(filled(text))]


def policies(guide: str) -> list[str]:
    """The IAM policies in the commands, as JSON."""
    text = commands(guide)
    written = [match[1] for match in _HEREDOC.finditer(text) if '"Version"' in match[1]]
    quoted = [re.sub(r"'(\$[A-Z_]+)'", r"\1", match[1]) for match in _QUOTED_POLICY.finditer(text)]
    return [filled(policy) for policy in (*written, *quoted)]


@for_each_guide
def test_every_used_variable_is_set(guide: str) -> None:
    text = commands(guide)
    assert "${" not in text, "write $NAME"
    exports = [line for line in text.splitlines() if line.strip().startswith("export ")]
    assert set(_USED.findall(text)) <= set(_SET.findall("\n".join(exports)))


@for_each_guide
def test_policies_are_complete_json(guide: str) -> None:
    found = [json.loads(policy) for policy in policies(guide)]
    assert len(found) == len(re.findall(r"--policy-(?:document|text) '|> trust\.json", commands(guide)))
    for policy in found:
        assert policy["Version"] == "2012-10-17"
        assert all(statement["Effect"] == "Allow" for statement in policy["Statement"])


def test_the_application_has_the_url_and_namespace_of_its_repository() -> None:
    repository, application = manifests("argocd.md")
    assert application["spec"]["source"]["repoURL"] == repository["spec"]["url"]
    assert application["metadata"]["namespace"] == repository["metadata"]["namespace"]
