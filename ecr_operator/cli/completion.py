"""Completes the command line of `kubectl ecr`: the program that kubectl asks when a user presses Tab.

Invariant: it ends within seconds, and whatever fails, it prints no error and offers less.

Source: k8s.io/kubectl/pkg/cmd/plugin/plugin_completion.go; the last line is a directive of
https://github.com/spf13/cobra/blob/main/site/content/completions/_index.md.
"""

import asyncio
import os
from argparse import Action, Namespace
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import yaml

from ecr_operator.api.kinds import KINDS, SHORT_NAMES
from ecr_operator.cli.cluster import connected, namespace_of
from ecr_operator.cli.output import CommandError, Terminal
from ecr_operator.kube import paths
from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import METADATA_LIST
from ecr_operator.settings.commands import Place, parser_of, place_of
from ecr_operator.settings.flags import COMMANDS, Parser
from ecr_operator.settings.plugin import PLUGIN, command_place, first_word
from ecr_operator.settings.values import SettingsError

_SECONDS: Final = 3.0
_MOST: Final = 500
_FILES: Final = 0  # the shell completes names of files
_NO_FILES: Final = 4
_NO_SPACE: Final = 6  # nor is a space added
_FILE_FLAGS: Final = ("--kubeconfig", "--filename")
_SUBJECTS: Final = ("pod/", "application/")


def run(arguments: Sequence[str]) -> int:
    """Print what can stand in place of the last argument, which may be empty. Returns 0."""
    *before, word = arguments or [""]
    found, directive = list[str](), _NO_FILES
    with suppress(CommandError, SettingsError, ApiError, OSError, TimeoutError, yaml.YAMLError):
        found, directive = _candidates(before, word)
    terminal = Terminal()
    for candidate in found:
        if candidate.startswith(word) and "\n" not in candidate:
            terminal.write(candidate)
    terminal.write(f":{directive}")
    return 0


def _candidates(before: Sequence[str], word: str) -> tuple[list[str], int]:
    place = command_place(before)
    command = before[place] if place is not None else ""
    parser = parser_of(command or "status", PLUGIN)
    flag, is_joined, _ = word.partition("=")
    if word.startswith("-") and not is_joined:
        return _flags(parser), _NO_FILES
    action = parser.option(flag if is_joined else before[-1] if before else "")
    if action is not None and action.nargs is None:
        found, directive = _values(action, before)
        return [f"{flag}={each}" if is_joined else each for each in found], directive
    if not command and first_word(before) is not None:
        return [], _NO_FILES
    if not command:
        return [f"{name}\t{words}" for name, words in COMMANDS.items()], _NO_FILES
    return _arguments(command, word, before)


def _flags(parser: Parser) -> list[str]:
    return [f"{name}\t{action.help}" for name in parser.flags if (action := parser.option(name))]


def _values(action: Action, before: Sequence[str]) -> tuple[list[str], int]:
    """What a flag can be set to."""
    name = action.option_strings[-1]
    if action.choices:
        return list(action.choices), _NO_FILES
    if name in _FILE_FLAGS:
        return [], _FILES
    place = _place(before)
    match name:
        case "--namespace":
            return _names(place, "namespaces"), _NO_FILES
        case "--context":
            return _contexts(place), _NO_FILES
        case "--service-account":
            return _names(place, "service accounts"), _NO_FILES
        case "--kind":
            return list(SHORT_NAMES.values()), _NO_FILES
    return [], _NO_FILES


def _arguments(command: str, word: str, before: Sequence[str]) -> tuple[list[str], int]:
    """What a command can be about."""
    match command:
        case "check":
            return ["aws", "cluster"], _NO_FILES
        case "refresh":
            place = _place(before)
            return [
                f"{SHORT_NAMES[kind]}/{name}" for kind in KINDS for name in _names(place, kind)
            ], _NO_FILES
        case "pull":
            kind, slash, _ = word.partition("/")
            if slash and f"{kind}/" in _SUBJECTS:
                return [f"{kind}/{name}" for name in _names(_place(before), kind)], _NO_FILES
            return list(_SUBJECTS), _NO_SPACE
    return [], _NO_FILES


def _place(before: Sequence[str]) -> Place:
    """The cluster and namespace that the flags before name."""
    given = Namespace(
        kubeconfig=_value(before, "--kubeconfig"),
        context=_value(before, "--context"),
        namespace=_value(before, "--namespace", "-n") or None,
        all_namespaces=False,
    )
    return place_of(given, os.environ)


def _value(before: Sequence[str], *names: str) -> str:
    """The value of a flag; empty where it is not set."""
    for number, word in enumerate(before):
        flag, is_joined, value = word.partition("=")
        if flag in names:
            return value if is_joined else before[number + 1] if number + 1 < len(before) else ""
    return ""


def _contexts(place: Place) -> list[str]:
    """The contexts in the kubeconfig files."""
    found: list[str] = []
    for file in place.settings.kubeconfig:
        with suppress(OSError, yaml.YAMLError, KeyError, TypeError):
            content = yaml.safe_load(Path(file).expanduser().read_text(encoding="utf-8"))
            found += [str(each["name"]) for each in content["contexts"]]
    return found


def _names(place: Place, what: str) -> list[str]:
    return asyncio.run(_listed(place, what))


async def _listed(place: Place, what: str) -> list[str]:
    """The names of objects of the cluster."""
    async with asyncio.timeout(_SECONDS), connected(place) as client:
        answer = await client.request(
            "GET",
            _path(what, namespace_of(place, client)),
            query=(("limit", str(_MOST)),),
            accept=METADATA_LIST,
        )
    items: Iterable[dict[str, dict[str, str]]] = answer.get("items") or ()
    return [item["metadata"]["name"] for item in items]


def _path(what: str, namespace: str) -> str:
    match what:
        case "namespaces":
            return paths.NAMESPACES
        case "service accounts":
            return paths.service_accounts(namespace)
        case "pod":
            return paths.pods(namespace)
        case "application":
            return paths.applications(namespace)
    return paths.resources(what, namespace)
