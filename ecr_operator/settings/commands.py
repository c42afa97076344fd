"""The user's commands and their flags, in kubectl's spelling.

Leaves out: the operator's own flags (flags).
"""

import difflib
import os
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal

from ecr_operator.api.duration import parse_go_duration
from ecr_operator.api.kinds import GROUP, KINDS, NAMESPACED_KINDS, PLURALS, SHORT_NAMES
from ecr_operator.api.names import is_name
from ecr_operator.api.registry import is_region
from ecr_operator.api.text import excerpt
from ecr_operator.settings import ALL_NAMESPACES, Settings, parse_settings, values
from ecr_operator.settings.flags import Parser, flag_type
from ecr_operator.settings.values import SettingsError

Part = Literal["aws", "cluster"]
TableOutput = Literal["table", "wide", "json", "yaml"]
ManifestOutput = Literal["yaml", "json"]
Environment = Mapping[str, str]

_PARTS: Final[tuple[Part, ...]] = ("aws", "cluster")
_ALIASES: Final = {
    alias: kind
    for kind in KINDS
    for alias in (kind.lower(), PLURALS[kind], f"{PLURALS[kind]}.{GROUP}", SHORT_NAMES[kind])
}
_MAX_TIMEOUT: Final = timedelta(days=1)


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
    """Show all resources, once or until interrupted."""

    place: Place
    output: TableOutput = "table"
    watch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Check whether the operator could run here; `region` is empty for the SDK's own."""

    place: Place
    parts: tuple[Part, ...] = _PARTS
    region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Render:
    """Print the Secrets that would be written for files, or `-` for standard input."""

    place: Place
    files: tuple[str, ...]
    output: ManifestOutput = "yaml"
    show_token: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """Request new tokens, and wait for them.

    Attributes:
        names: kind and name; the kind is None where the user named none: one in a namespace. Empty for all
            resources.
        kinds: of which to refresh all; those in no namespace only with all namespaces, or if named.
        timeout: the longest wait; None for a minute after AWS can be asked again.
    """

    place: Place
    names: tuple[tuple[str | None, str], ...]
    kinds: tuple[str, ...] = NAMESPACED_KINDS
    timeout: timedelta | None = None


Command = Status | Check | Render | Refresh


def parse_command(arguments: Sequence[str], environment: Environment = os.environ) -> Command:
    """Read the command line.

    Args:
        arguments: without the program's name; the first of them is one of `COMMANDS`.
        environment: of the process.

    Raises:
        SettingsError: for a mistake.
        SystemExit: after `--help`.
    """
    return _COMMANDS[arguments[0]](arguments[1:], environment)


def _status(arguments: Sequence[str], environment: Environment) -> Command:
    parser = _parser(
        "status",
        "List all resources, the most urgent first; with -A, ClusterSecrets too. Exits with 1 if one is not "
        "ready.",
    )
    _add_namespace(parser, everywhere=True)
    outputs = ("wide", "json", "yaml")
    parser.add_argument("-o", "--output", choices=outputs, default="table", help="output format")
    parser.add_argument("-w", "--watch", action="store_true", help="keep the output up to date until Ctrl-C")
    given = parser.parse_args(arguments)
    return Status(place=_place(given, environment), output=given.output, watch=given.watch)


def _check(arguments: Sequence[str], environment: Environment) -> Command:
    parser = _parser(
        "check",
        "Check whether the operator could run here, with this AWS identity and this kubeconfig or service "
        "account. Exits with 1 if a required check fails.",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="aws or cluster (default: both)")
    _add_namespace(parser, everywhere=True, words="namespace to serve (default: WATCH_NAMESPACE, or all)")
    parser.add_argument("--region", type=flag_type(_region), help="AWS region to use")
    parser.add_argument("--leader-elect", action="store_true", help="include the rights for leader election")
    given = parser.parse_args(arguments)
    for part in given.parts:
        if part not in _PARTS:
            raise SettingsError(f"{excerpt(part)} is not a valid PART; expected aws or cluster. See --help.")
    place = _place(given, environment)
    settings = replace(place.settings, leader_elect=given.leader_elect)
    if place.namespace is not None:
        settings = replace(settings, namespaces=(place.namespace or ALL_NAMESPACES,))
    # AWS_REGION, which the SDK itself does not read, if it holds a region.
    region = environment.get("AWS_REGION", "")
    return Check(
        place=replace(place, settings=settings),
        parts=tuple(part for part in _PARTS if not given.parts or part in given.parts),
        region=given.region or (region if is_region(region) else ""),
    )


def _render(arguments: Sequence[str], environment: Environment) -> Command:
    parser = _parser("render", "Print the Secrets that would be written, without using a cluster or AWS.")
    parser.add_argument(
        "-f",
        "--filename",
        metavar="FILE",
        action="append",
        required=True,
        help="manifests in YAML or JSON, or - for standard input; can be repeated",
    )
    _add_namespace(parser, words="namespace of resources without one (default: default)")
    outputs = ("yaml", "json")
    parser.add_argument("-o", "--output", choices=outputs, default="yaml", help="output format")
    parser.add_argument(
        "--show-token", action="store_true", help="get tokens from AWS and print them in clear"
    )
    given = parser.parse_args(arguments)
    return Render(
        place=_place(given, environment),
        files=tuple(given.filename),
        output=given.output,
        show_token=given.show_token,
    )


def _refresh(arguments: Sequence[str], environment: Environment) -> Command:
    parser = _parser("refresh", "Request new tokens and wait for them. Exits with 1 if one does not arrive.")
    names = "NAME, ecrsecret/NAME, argohelmrepo/NAME or ecrclustersecret/NAME"
    parser.add_argument("names", nargs="*", metavar="NAME", help=names)
    everything = "refresh all resources in the namespace; with -A, ClusterSecrets too"
    parser.add_argument("--all", action="store_true", help=everything)
    _add_namespace(parser, everywhere=True)
    kinds = "kind of NAMEs without one; with --all, refresh only this kind"
    parser.add_argument("-k", "--kind", type=flag_type(_kind), help=kinds)
    timeout = "longest wait, such as 90s (default: a minute after AWS can be asked again)"
    parser.add_argument("--timeout", type=flag_type(_timeout), help=timeout)
    given = parser.parse_args(arguments)
    if bool(given.names) == given.all:
        raise SettingsError("Expected either NAME or --all. See --help.")
    if given.names and given.all_namespaces:
        raise SettingsError("-A/--all-namespaces requires --all; a NAME is looked up in one namespace.")
    return Refresh(
        place=_place(given, environment),
        names=tuple(dict.fromkeys(_named(text, given.kind) for text in given.names)),
        kinds=(given.kind,) if given.kind else KINDS if given.all_namespaces else NAMESPACED_KINDS,
        timeout=given.timeout,
    )


_COMMANDS: Final[Mapping[str, Callable[[Sequence[str], Environment], Command]]] = {
    "status": _status,
    "check": _check,
    "render": _render,
    "refresh": _refresh,
}


def _parser(name: str, description: str) -> Parser:
    parser = Parser(prog=f"ecr-secret-operator {name}", description=description, allow_abbrev=False)
    parser.add_argument("--kubeconfig", metavar="FILE", default="", help="kubeconfig file to use")
    parser.add_argument("--context", default="", help="kubeconfig context to use (default: its current one)")
    return parser


def _add_namespace(
    parser: Parser, *, everywhere: bool = False, words: str = "namespace (default: that of the context)"
) -> None:
    parser.add_argument("-n", "--namespace", type=flag_type(_namespace), help=words)
    if everywhere:
        parser.add_argument("-A", "--all-namespaces", action="store_true", help="all namespaces")


def _place(given: Namespace, environment: Environment) -> Place:
    kubeconfig = [f"--kubeconfig={given.kubeconfig}"] if given.kubeconfig else []
    settings = parse_settings(kubeconfig, environment)
    if given.context:
        settings = replace(settings, in_cluster=False)
    everywhere = getattr(given, "all_namespaces", False)
    namespace = ALL_NAMESPACES if everywhere else given.namespace
    return Place(settings=settings, context=given.context, namespace=namespace)


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


def _timeout(text: str) -> timedelta:
    try:
        timeout = parse_go_duration(text)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    if not timedelta(0) < timeout <= _MAX_TIMEOUT:
        raise SettingsError(f"{excerpt(text)} is not above 0 and within a day")
    return timeout
