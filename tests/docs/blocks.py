"""The fenced blocks of the documents, and what keeps a command from being run by a test. Pure.

A block is run unless one of the programs that it names is not here or would not come to an end; so a new
block is run without being listed anywhere.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
# `bash` is all commands; in `console` they stand after a `$ `, and what they print below.
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
# The lab has no nodes, so there is no pod to talk to, and no Deployment becomes ready.
_NEED_PODS: Final = frozenset({"attach", "cp", "debug", "exec", "logs", "port-forward", "run", "top"})
# Those that talk to a cluster; the others build and test, and are at home in CI.
_TARGETS: Final = frozenset({"install", "uninstall", "deploy", "undeploy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block.

    Attributes:
        document, line: where it begins.
        language: after the fence.
        text: what is in it, without its indentation.
    """

    document: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Document and line, for a person."""
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    @property
    def script(self) -> str:
        """The commands alone."""
        if self.language == "bash":
            return self.text
        return "".join(f"{line[2:]}\n" for line in self.text.splitlines() if line.startswith("$ "))


def blocks(document: Path) -> list[Block]:
    """Return the blocks of a document, in order."""
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
    """Return those that hold commands."""
    return [block for block in blocks(document) if block.language in SHELLS]


def simple_commands(script: str) -> Iterator[list[str]]:
    """The words of each command of a script, those of pipes and substitutions too, with their variables."""
    said = _COMMENT.sub(r"\1", _HEREDOC.sub(r"\1", script)).replace("\\\n", " ")
    lexer = shlex.shlex(said, posix=True, punctuation_chars=";|&()\n")
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


def obstacle(script: str) -> str | None:
    """What keeps the tests from running these commands, or None."""
    if "…" in _COMMENT.sub("", script):
        return "something is to be filled in"
    return next((why for words in simple_commands(script) if (why := _obstacle(words))), None)


def _obstacle(words: list[str]) -> str | None:
    program, *arguments = words
    if program in _ORDINARY:
        return None
    if program == _KUBECTL:
        return _obstacle_for_kubectl(arguments)
    if program == "make":
        foreign = [each for each in arguments if "=" not in each and each not in _TARGETS]
        return f"make {foreign[0]} is not for a cluster" if foreign else None
    if program == _OPERATOR:
        if not arguments or arguments[0] not in _COMMANDS:
            return "it starts the operator"
        return "it does not end" if _ENDLESS & {*arguments} - {"-f"} else None
    return f"{program} is not here"


def _obstacle_for_kubectl(arguments: list[str]) -> str | None:
    if any("https://" in each for each in arguments):
        return "it needs the network"
    verbs = {each for each in arguments if not each.startswith("-")}
    if found := verbs & _NEED_PODS:
        return f"kubectl {found.pop()} needs a pod"
    if {"rollout", "status"} <= verbs:
        return "no Deployment becomes ready without nodes"
    return "it does not end" if {"-w", "--watch"} & {*arguments} else None
