"""Command line and environment, as the parser of the settings tells them."""

import argparse
import re
from collections.abc import Iterator
from typing import Final

from ecr_operator.settings.flags import operator_parser

# A name or several in the epilog, and their meaning behind two spaces or on the line below.
_NAMES: Final = re.compile(r"  ([A-Z][A-Z0-9_*]*(?:, [A-Z][A-Z0-9_*]*)*)(?:  +(.*))?")


def flag_rows(parser: argparse.ArgumentParser | None = None) -> Iterator[tuple[str, str]]:
    """A row for each flag, those of commands too."""
    yield from _rows(parser or operator_parser(), "")


def variable_rows(parser: argparse.ArgumentParser | None = None) -> Iterator[tuple[str, str]]:
    """A row for each variable, or each group of them, that `--help` lists at its end."""
    found: list[tuple[str, str]] = []
    for line in ((parser or operator_parser()).epilog or "").splitlines():
        if names := _NAMES.fullmatch(line):
            found.append((", ".join(f"`{name}`" for name in names[1].split(", ")), names[2] or ""))
        elif found and line.startswith("    "):
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}".strip())
    yield from found


def _rows(parser: argparse.ArgumentParser, command: str) -> Iterator[tuple[str, str]]:
    for action in parser._actions:  # noqa: SLF001 -- argparse tells it nowhere else
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 -- the same
            helps = {choice.dest: choice.help for choice in action._choices_actions}  # noqa: SLF001 -- the same
            for name, inner in action.choices.items():
                yield f"`{command}{name}`", helps.get(name) or inner.description or ""
                yield from _rows(inner, f"{command}{name} ")
        elif action.help != argparse.SUPPRESS and not (command and action.dest == "help"):
            yield f"`{command}{_spelling(action)}`", _meaning(parser, action)


def _spelling(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings)
    value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    if action.nargs == "?":
        return f"{names}[={value}]"
    return f"{names} {value}".strip()


def _meaning(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return (action.help or "") % {**vars(action), "prog": parser.prog}
