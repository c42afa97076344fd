"""The commands in the guides, read for a checker. Pure."""

import re
from pathlib import Path
from typing import Any, Final

import yaml

DOCS: Final = Path(__file__).parents[1] / "docs"
_BLOCK: Final = re.compile(r"^( *)```bash\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_HEREDOC: Final = re.compile(r"<<END\n(.*?)^ *END$", re.MULTILINE | re.DOTALL)
_QUOTED_POLICY: Final = re.compile(r"--policy-(?:document|text) '(\{.*?\})'$", re.MULTILINE | re.DOTALL)
# Without braces: `$NAME}` would end a flow mapping as `${NAME}` does not.
_USED: Final = re.compile(r"\$([A-Z][A-Z_]*)")
_SET: Final = re.compile(r"\b([A-Z][A-Z_]*)=")
# What a reader would have put in; the default serves for accounts.
_VALUES: Final = {
    "AWS_REGION": "us-east-2",
    "ARGOCD": "argocd",
    "NAMESPACE": "my-app",
    "OIDC": "oidc.example.com/id/1",
    "OPERATOR": "arn:aws:iam::123456789012:role/ecr-secret-operator",
    "EXTERNAL_ID": "my-cluster",
}


def commands(guide: str) -> str:
    """All that a guide gives to copy."""
    return "\n".join(block[2] for block in _BLOCK.finditer(_text(guide)))


def variables(guide: str) -> tuple[set[str], set[str]]:
    """The variables that the commands of a guide use, and those that they set."""
    said = commands(guide)
    assert "${" not in said, "write $NAME"
    exported = [line for line in said.splitlines() if line.strip().startswith("export ")]
    return set(_USED.findall(said)), set(_SET.findall("\n".join(exported)))


def manifests(guide: str) -> list[dict[str, Any]]:
    """The Kubernetes manifests among them, with the variables filled in."""
    heredocs = [match[1] for match in _HEREDOC.finditer(commands(guide)) if "apiVersion:" in match[1]]
    return [each for text in heredocs for each in yaml.safe_load_all(filled(text))]


def policies(guide: str) -> list[str]:
    """The IAM policies among them, as JSON with the variables filled in."""
    said = commands(guide)
    written = [match[1] for match in _HEREDOC.finditer(said) if '"Version"' in match[1]]
    quoted = [re.sub(r"'(\$[A-Z_]+)'", r"\1", match[1]) for match in _QUOTED_POLICY.finditer(said)]
    return [filled(text) for text in (*written, *quoted)]


def filled(text: str) -> str:
    """The text with something in place of each variable."""
    return _USED.sub(lambda used: _VALUES.get(used[1], "123456789012"), text)


def _text(guide: str) -> str:
    return (DOCS / guide).read_text(encoding="utf-8")
