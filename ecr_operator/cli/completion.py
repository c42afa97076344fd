"""Completes the command line of `kubectl ecr`: the program that kubectl asks when a user presses Tab.

Invariant: it ends within seconds, and whatever fails, it prints no error and offers less.

Source: k8s.io/kubectl/pkg/cmd/plugin/plugin_completion.go; the last line is a directive of
https://github.com/spf13/cobra/blob/main/site/content/completions/_index.md.
"""

import asyncio
import os
from argparse import Action
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import yaml

from ecr_operator.api.kinds import KINDS, SHORT_NAMES
from ecr_operator.cli.output import CommandError, Terminal
from ecr_operator.settings.commands import Environment, Place, parser_of, place_of
from ecr_operator.settings.flags import COMMANDS, PLUGIN, Parser, command_place, first_word
from ecr_operator.settings.values import SettingsError

_SECONDS: Final = 3.0
_MOST: Final = 500
_FILES: Final = 0  # the shell completes names of files
_NO_FILES: Final = 4
_NO_SPACE: Final = 6  # nor is a space added
_FILE_FLAGS: Final = ("--kubeconfig", "--filename")
_SUBJECTS: Final = ("pod", "application")


def run(arguments: Sequence[str], environment: Environment = os.environ) -> int:
    """Print what can stand in place of the last argument, which may be empty. Returns 0."""
    *before, word = arguments or [""]
    found, directive = list[str](), _NO_FILES
    with suppress(CommandError, SettingsError, OSError, yaml.YAMLError):
        found, directive = _candidates(before, word, environment)
    terminal = Terminal()
    for candidate in found:
        if candidate.startswith(word) and "\n" not in candidate:
            terminal.write(candidate)
    terminal.write(f":{directive}")
    return 0


def _candidates(before: Sequence[str], word: str, environment: Environment) -> tuple[list[str], int]:
    """The candidates, of which those that begin with the word count, and the directive."""
    found = command_place(before)
    command = before[found] if found is not None else ""
    parser = parser_of(command or "status", PLUGIN)
    flag, is_joined, _ = word.partition("=")
    if word.startswith("-") and not is_joined:
        return _flags(parser), _NO_FILES
    action = parser.option(flag if is_joined else before[-1] if before else "")
    if action is not None and action.nargs is None:
        if action.option_strings[-1] in _FILE_FLAGS:
            return [], _FILES
        values = _values(action, _place(before, environment))
        return [f"{flag}={each}" if is_joined else each for each in values], _NO_FILES
    if not command:
        words = {} if first_word(before) is not None else COMMANDS
        return [f"{name}\t{meaning}" for name, meaning in words.items()], _NO_FILES
    if command == "pull" and not word.startswith(tuple(f"{each}/" for each in _SUBJECTS)):
        return [f"{each}/" for each in _SUBJECTS], _NO_SPACE
    return _arguments(command, word, _place(before, environment)), _NO_FILES


def _flags(parser: Parser) -> list[str]:
    return [f"{name}\t{action.help}" for name in parser.flags if (action := parser.option(name))]


def _values(action: Action, place: Place) -> list[str]:
    """What a flag can be set to."""
    if action.choices:
        return list(action.choices)
    match action.option_strings[-1]:
        case "--namespace":
            return _names(place, "namespaces")
        case "--context":
            return _contexts(place)
        case "--service-account":
            return _names(place, "serviceaccounts")
        case "--kind":
            return list(SHORT_NAMES.values())
    return []


def _arguments(command: str, word: str, place: Place) -> list[str]:
    """What a command can be about."""
    match command:
        case "check":
            return ["aws", "cluster"]
        case "refresh":
            return [f"{SHORT_NAMES[kind]}/{name}" for kind in KINDS for name in _names(place, kind)]
        case "pull":
            subject = word.partition("/")[0]
            return [f"{subject}/{name}" for name in _names(place, f"{subject}s")]
    return []


def _place(before: Sequence[str], environment: Environment) -> Place:
    """The cluster and namespace that the flags before name; the last of them may have no value yet."""
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--kubeconfig", nargs="?", const="", default="")
    parser.add_argument("--context", nargs="?", const="", default="")
    parser.add_argument("-n", "--namespace", nargs="?")
    given = parser.parse_known_args(before)[0]
    given.namespace = given.namespace or None  # an empty one is no request for all
    return place_of(given, environment)


def _contexts(place: Place) -> list[str]:
    """The contexts in the kubeconfig files."""
    found: list[str] = []
    for file in place.settings.kubeconfig:
        with suppress(OSError, yaml.YAMLError, KeyError, TypeError):
            content = yaml.safe_load(Path(file).expanduser().read_text(encoding="utf-8"))
            found += [str(each["name"]) for each in content["contexts"]]
    return found


def _names(place: Place, what: str) -> list[str]:
    """The names of objects of the cluster."""
    # What leads to the API server takes time to load, which flags and commands need not wait for.
    from ecr_operator.cli.cluster import list_names  # noqa: PLC0415

    return asyncio.run(list_names(place, what, _MOST, _SECONDS))
