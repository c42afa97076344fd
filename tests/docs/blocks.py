"""The fenced blocks of the documentation, and which of them the tests run. Pure.

A block is run unless it needs what a test doesn't have, so new blocks are run without being listed. Running a
block of complete manifests applies them.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tools import ROOT

DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# `bash` has only commands; `console` has commands after `$ `, and their output.
SHELLS: Final = frozenset({"bash", "console"})

_LINES: Final = re.MULTILINE | re.DOTALL
_BLOCK: Final = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", _LINES)
_COMMENT: Final = re.compile(r"(^|\s)#[^\n]*")
_NOT_RUN: Final = re.compile(
    # A placeholder; the network.
    r"…|kubectl [^\n]*https://"
    # Programs that are not installed.
    r"|(?:^\s*|[|(] ?)(?:aws|oc|jq|helm|printf) "
    # A registry.
    r"|kubectl ecr pull"
    # The lab has no nodes, so no pods, and no Deployment becomes ready.
    r"|kubectl [^\n]*\b(?:exec|logs|port-forward|rollout status)\b"
    # Commands that do not end, or start the operator.
    r"| (?:-w|--watch)\b|^ecr-secret-operator(?! (?:status|check|render|refresh|--help|--version))"
    # Targets that build or test; CI runs them.
    r"|make (?!install|uninstall|deploy|undeploy)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block; `line` is that of its fence, `text` has no indentation."""

    document: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Document and line, for messages."""
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    @property
    def script(self) -> str:
        """The commands without output; for manifests the command that applies them."""
        match self.language:
            case "bash":
                return self.text
            case "yaml":
                return f"kubectl apply -f - <<'END'\n{self.text}END\n"
        return "".join(f"{line[2:]}\n" for line in self.text.splitlines() if line.startswith("$ "))

    @property
    def is_run(self) -> bool:
        """Whether the tests run it."""
        if self.language == "yaml":
            return all(_is_complete(each) for each in yaml.safe_load_all(self.text))
        return self.language in SHELLS and not _NOT_RUN.search(_COMMENT.sub("", self.script))


def _is_complete(manifest: Any) -> bool:
    return {"apiVersion", "kind", "metadata"} <= {*manifest} and "name" in manifest["metadata"]


def blocks(document: Path) -> list[Block]:
    """All blocks of a document, in order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(
            document=document,
            line=text.count("\n", 0, found.start()) + 1,
            language=found["language"],
            text=re.sub(rf"^{found['indent']}", "", found["body"], flags=re.MULTILINE),
        )
        for found in _BLOCK.finditer(text)
    ]
