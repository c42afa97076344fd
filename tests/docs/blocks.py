"""The fenced blocks of the documentation, and why a test skips one. Pure.

A block is run unless it names a program that is not installed or that does not end, so new blocks are run
without being listed.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
# `bash` has only commands; `console` has commands after `$ `, and their output.
SHELLS: Final = frozenset({"bash", "console"})
LANGUAGES: Final = SHELLS | {"yaml", "json", "text"}

_LINES: Final = re.MULTILINE | re.DOTALL
_BLOCK: Final = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", _LINES)
_HEREDOC: Final = re.compile(r"(<<-?'?(\w+)'?[^\n]*\n).*?^ *\2$", _LINES)
_COMMENT: Final = re.compile(r"(^|\s)#[^\n]*")
_ASSIGNMENT: Final = re.compile(r"\w+=")
_BEFORE_A_COMMAND: Final = frozenset({"\n", "|", "||", "&&", ";", "(", "&"})

_ORDINARY: Final = frozenset(
    {"cat", "cd", "cp", "echo", "export", "grep", "head", "mkdir", "rm", "sed", "sort"}
)
_KUBECTL: Final = "kubectl"
_OPERATOR: Final = "ecr-secret-operator"
_COMMANDS: Final = frozenset({"status", "check", "render", "refresh", "--help", "--version"})
_ENDLESS: Final = frozenset({"-w", "--watch", "-f", "--follow"})
# The lab has no nodes, so no pods, and no Deployment becomes ready.
_NEED_PODS: Final = frozenset({"attach", "cp", "debug", "exec", "logs", "port-forward", "run", "top"})
# Targets that use a cluster; CI runs the others, which build and test.
_TARGETS: Final = frozenset({"install", "uninstall", "deploy", "undeploy"})


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
        """The commands without output."""
        if self.language == "bash":
            return self.text
        return "".join(f"{line[2:]}\n" for line in self.text.splitlines() if line.startswith("$ "))


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


def shell_blocks(document: Path) -> list[Block]:
    """The blocks with commands."""
    return [block for block in blocks(document) if block.language in SHELLS]


def simple_commands(script: str) -> Iterator[list[str]]:
    """The words of each command, including those in pipes and substitutions, without assignments."""
    plain = _COMMENT.sub(r"\1", _HEREDOC.sub(r"\1", script)).replace("\\\n", " ")
    lexer = shlex.shlex(plain, posix=True, punctuation_chars=";|&()\n")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t", "", True
    words: list[str] = []
    for token in lexer:
        if not set(token) <= set(";|&()\n"):
            words.append(token)
        elif words and token[-1] in _BEFORE_A_COMMAND | {")"}:
            yield from _without_assignments(words)
            words = []
    yield from _without_assignments(words)


def _without_assignments(words: list[str]) -> Iterator[list[str]]:
    while words and _ASSIGNMENT.match(words[0]):
        words = words[1:]
    if words:
        yield words


def skip_reason(script: str) -> str | None:
    """Why the tests skip these commands, or None."""
    if "…" in _COMMENT.sub("", script):
        return "it has a placeholder"
    return next((why for words in simple_commands(script) if (why := _skip_reason(words))), None)


def _skip_reason(words: list[str]) -> str | None:
    program, *arguments = words
    if program in _ORDINARY:
        return None
    if program == _KUBECTL:
        return _kubectl_skip_reason(arguments)
    if program == "make":
        others = [each for each in arguments if "=" not in each and each not in _TARGETS]
        return f"make {others[0]} does not use a cluster" if others else None
    if program == _OPERATOR:
        if not arguments or arguments[0] not in _COMMANDS:
            return "it starts the operator"
        return "it does not end" if _ENDLESS & {*arguments} - {"-f"} else None
    return f"{program} is not installed"


def _kubectl_skip_reason(arguments: list[str]) -> str | None:
    if any("https://" in each for each in arguments):
        return "it needs the network"
    verbs = {each for each in arguments if not each.startswith("-")}
    if found := verbs & _NEED_PODS:
        return f"kubectl {found.pop()} needs a pod"
    if {"rollout", "status"} <= verbs:
        return "no Deployment becomes ready without nodes"
    return "it does not end" if {"-w", "--watch"} & {*arguments} else None
