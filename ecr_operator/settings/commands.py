"""The user's commands and their flags, in kubectl's spelling.

Leaves out: the operator's own flags (flags).
"""

import argparse
import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal

from ecr_operator.api.duration import parse_go_duration
from ecr_operator.api.kinds import GROUP, KINDS, PLURALS, SHORT_NAMES
from ecr_operator.api.names import is_name
from ecr_operator.api.registry import is_region
from ecr_operator.api.text import excerpt
from ecr_operator.settings import ALL_NAMESPACES, Settings, parse_settings, values
from ecr_operator.settings.flags import Parser, told
from ecr_operator.settings.values import SettingsError

Part = Literal["aws", "cluster"]
TableOutput = Literal["table", "wide", "json", "yaml"]
ManifestOutput = Literal["yaml", "json"]

_PARTS: Final[tuple[Part, ...]] = ("aws", "cluster")
_ALIASES: Final = {
    alias: kind
    for kind in KINDS
    for alias in (kind.lower(), PLURALS[kind], f"{PLURALS[kind]}.{GROUP}", SHORT_NAMES[kind])
}
_LONGEST_TIMEOUT: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which cluster and namespace a command is about.

    Attributes:
        settings: of the process, for the way to the API server.
        context: of the kubeconfig; empty for its current one.
        namespace: None for that of the context, empty for all.
    """

    settings: Settings
    context: str = ""
    namespace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Show all resources.

    Attributes:
        watch: go on until interrupted.
    """

    place: Place
    output: TableOutput = "table"
    watch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """See whether the operator could work here.

    Attributes:
        parts: what to look at.
        region: to ask AWS in; empty for the SDK's own.
    """

    place: Place
    parts: tuple[Part, ...] = _PARTS
    region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Render:
    """Show what would be written.

    Attributes:
        files: to read; `-` is standard input.
        show_token: ask AWS, and show its answer.
    """

    place: Place
    files: tuple[str, ...]
    output: ManifestOutput = "yaml"
    show_token: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """Ask for fresh tokens, and wait for them.

    Attributes:
        names: kind and name; the kind is None where the user named none. Empty for all resources.
        kinds: of which to take all.
        timeout: the longest wait; None for a minute from when AWS may be asked again.
    """

    place: Place
    names: tuple[tuple[str | None, str], ...]
    kinds: tuple[str, ...] = KINDS
    timeout: timedelta | None = None


Command = Status | Check | Render | Refresh


def parse_command(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Command:
    """Read the command line.

    Args:
        arguments: without the program's name; the first of them is one of `COMMANDS`.
        environment: of the process.

    Raises:
        SettingsError: for a mistake.
        SystemExit: after `--help`.
    """
    parser, build = _COMMANDS[arguments[0]]
    return build(parser().parse_args(arguments[1:]), environment)


def _status_parser() -> Parser:
    parser = _parser("status", "Show all resources, the most urgent first. Exit code 1 if any is not ready.")
    _add_namespace(parser, everywhere=True)
    parser.add_argument(
        "-o", "--output", choices=("wide", "json", "yaml"), default="table", help="another form"
    )
    parser.add_argument("-w", "--watch", action="store_true", help="go on until Ctrl-C")
    return parser


def _check_parser() -> Parser:
    parser = _parser(
        "check",
        "See whether the operator could work here, with this AWS identity and kubeconfig or service account. "
        "Exit code 1 if something is missing.",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="aws, cluster, or both (default)")
    _add_namespace(parser, everywhere=True, words="namespace to be served (default: WATCH_NAMESPACE, or all)")
    parser.add_argument("--region", type=told(_region), help="AWS region to ask in")
    parser.add_argument("--leader-elect", action="store_true", help="with the rights for that flag")
    return parser


def _render_parser() -> Parser:
    parser = _parser("render", "Show the Secrets that would be written, without a cluster and without AWS.")
    parser.add_argument(
        "-f",
        "--filename",
        metavar="FILE",
        action="append",
        required=True,
        help="manifests of resources, YAML or JSON; - for standard input; may be given again",
    )
    _add_namespace(parser, words="namespace for what names none (default: default)")
    parser.add_argument(
        "-o", "--output", choices=("yaml", "json"), default="yaml", help="form (default: yaml)"
    )
    parser.add_argument("--show-token", action="store_true", help="ask AWS for tokens and show them in clear")
    return parser


def _refresh_parser() -> Parser:
    parser = _parser("refresh", "Ask for fresh tokens and wait for them. Exit code 1 if one does not come.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="NAME, ecrsecret/NAME or argohelmrepo/NAME")
    parser.add_argument("--all", action="store_true", help="all resources of the namespace")
    _add_namespace(parser, everywhere=True)
    parser.add_argument("-k", "--kind", type=told(_kind), help="kind of what is named without one, or of all")
    parser.add_argument(
        "--timeout",
        type=told(_timeout),
        help="longest wait, such as 90s (default: a minute from when AWS may be asked again)",
    )
    return parser


def _parser(name: str, description: str) -> Parser:
    parser = Parser(prog=f"ecr-secret-operator {name}", description=description, allow_abbrev=False)
    parser.add_argument("--kubeconfig", metavar="FILE", default="", help="kubeconfig of the cluster")
    parser.add_argument("--context", default="", help="context of the kubeconfig (default: its current one)")
    return parser


def _add_namespace(
    parser: Parser, *, everywhere: bool = False, words: str = "namespace (default: that of the context)"
) -> None:
    parser.add_argument("-n", "--namespace", type=told(_namespace), help=words)
    if everywhere:
        parser.add_argument("-A", "--all-namespaces", action="store_true", help="all namespaces")


def _status(given: argparse.Namespace, environment: Mapping[str, str]) -> Command:
    return Status(place=_place(given, environment), output=given.output, watch=given.watch)


def _check(given: argparse.Namespace, environment: Mapping[str, str]) -> Command:
    for part in given.parts:
        if part not in _PARTS:
            raise SettingsError(f"{excerpt(part)} is neither aws nor cluster. See --help.")
    place = _place(given, environment)
    settings = replace(place.settings, leader_elect=given.leader_elect)
    if place.namespace is not None:
        settings = replace(settings, namespaces=(place.namespace or ALL_NAMESPACES,))
    return Check(
        place=replace(place, settings=settings),
        parts=tuple(part for part in _PARTS if not given.parts or part in given.parts),
        region=given.region or _region_of(environment),
    )


def _render(given: argparse.Namespace, environment: Mapping[str, str]) -> Command:
    return Render(
        place=_place(given, environment),
        files=tuple(given.filename),
        output=given.output,
        show_token=given.show_token,
    )


def _refresh(given: argparse.Namespace, environment: Mapping[str, str]) -> Command:
    if bool(given.names) == given.all:
        raise SettingsError("Name the resources (NAME), or take --all: one of the two. See --help.")
    if given.names and given.all_namespaces:
        raise SettingsError("-A/--all-namespaces goes with --all; a NAME is looked up in one namespace.")
    names = dict.fromkeys(_named(text, given.kind) for text in given.names)
    return Refresh(
        place=_place(given, environment),
        names=tuple(names),
        kinds=(given.kind,) if given.kind else KINDS,
        timeout=given.timeout,
    )


def _place(given: argparse.Namespace, environment: Mapping[str, str]) -> Place:
    settings = parse_settings([f"--kubeconfig={given.kubeconfig}"], environment)
    if given.context:
        settings = replace(settings, in_cluster=False)
    everywhere = getattr(given, "all_namespaces", False)
    return Place(
        settings=settings,
        context=given.context,
        namespace=ALL_NAMESPACES if everywhere else given.namespace,
    )


def _named(text: str, kind: str | None) -> tuple[str | None, str]:
    before, slash, name = text.rpartition("/")
    if not is_name(name):
        raise SettingsError(f"{excerpt(text)} is not a valid resource name. See --help.")
    return (_kind(before) if slash else kind), name


def _kind(text: str) -> str:
    if kind := _ALIASES.get(text.lower()):
        return kind
    near = difflib.get_close_matches(text.lower(), _ALIASES, n=1)
    advice = f"did you mean {near[0]}?" if near else f"expected {' or '.join(SHORT_NAMES.values())}"
    raise SettingsError(f"{excerpt(text)} is not a kind of this operator; {advice}")


def _namespace(text: str) -> str:
    if not values.is_namespace(text):
        raise SettingsError(f"{excerpt(text)} is not a valid namespace name")
    return text


def _region(text: str) -> str:
    if not is_region(text):
        raise SettingsError(f"{excerpt(text)} is not a valid AWS region; expected one such as us-east-2")
    return text


def _region_of(environment: Mapping[str, str]) -> str:
    """AWS_REGION, which the SDK itself does not look at, if it holds a region."""
    region = environment.get("AWS_REGION", "")
    return region if is_region(region) else ""


def _timeout(text: str) -> timedelta:
    try:
        timeout = parse_go_duration(text)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    if not timedelta(0) < timeout <= _LONGEST_TIMEOUT:
        raise SettingsError(f"{excerpt(text)} is not above 0 and within a day")
    return timeout


_COMMANDS: Final[
    Mapping[str, tuple[Callable[[], Parser], Callable[[argparse.Namespace, Mapping[str, str]], Command]]]
] = {
    "status": (_status_parser, _status),
    "check": (_check_parser, _check),
    "render": (_render_parser, _render),
    "refresh": (_refresh_parser, _refresh),
}
