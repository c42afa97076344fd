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
from ecr_operator.settings.flags import PROGRAM, Parser
from ecr_operator.settings.values import SettingsError

Part = Literal["aws", "cluster"]
Subject = Literal["image", "pod", "application"]
TableOutput = Literal["table", "wide", "json", "yaml"]
ManifestOutput = Literal["yaml", "json"]
PullOutput = Literal["text", "json"]
Environment = Mapping[str, str]

_PARTS: Final[tuple[Part, ...]] = ("aws", "cluster")
_ALIASES: Final = {
    alias: kind
    for kind in KINDS
    for alias in (kind.lower(), PLURALS[kind], f"{PLURALS[kind]}.{GROUP}", SHORT_NAMES[kind])
}
_SUBJECTS: Final[Mapping[str, Subject]] = {
    **dict.fromkeys(("po", "pod", "pods"), "pod"),
    **dict.fromkeys(("application", "applications", "applications.argoproj.io"), "application"),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """Find out why an image is not pulled.

    Attributes:
        subject: what `name` is of: an image itself, a pod, or an Application of Argo CD.
        service_account: whose pull secrets an image is pulled with.
    """

    place: Place
    subject: Subject
    name: str
    service_account: str = "default"
    output: PullOutput = "text"


Command = Status | Check | Render | Refresh | Pull


def parse_command(
    arguments: Sequence[str], environment: Environment = os.environ, program: str = PROGRAM
) -> Command:
    """Read the command line.

    Args:
        arguments: without the program's name; the first of them is one of `COMMANDS`.
        environment: of the process.
        program: as the user called it.

    Raises:
        SettingsError: for a mistake.
        SystemExit: after `--help`.
    """
    name = arguments[0]
    given = parser_of(name, program).parse_args(arguments[1:])
    return _COMMANDS[name][1](given, environment)


def parser_of(name: str, program: str = PROGRAM) -> Parser:
    """The parser of a command's arguments."""
    parser = Parser(prog=f"{program} {name}", allow_abbrev=False)
    parser.add_argument("--kubeconfig", metavar="FILE", default="", help="kubeconfig file to use")
    parser.add_argument("--context", default="", help="kubeconfig context to use (default: its current one)")
    _COMMANDS[name][0](parser)
    return parser


def _add_status(parser: Parser) -> None:
    parser.description = (
        "List all resources, the most urgent first; with -A, ClusterSecrets too. Exits with 1 if one is not "
        "ready."
    )
    _add_namespace(parser, everywhere=True)
    outputs = ("wide", "json", "yaml")
    parser.add_argument("-o", "--output", choices=outputs, default="table", help="output format")
    parser.add_argument("-w", "--watch", action="store_true", help="keep the output up to date until Ctrl-C")


def _read_status(given: Namespace, environment: Environment) -> Command:
    return Status(place=place_of(given, environment), output=given.output, watch=given.watch)


def _add_check(parser: Parser) -> None:
    parser.description = (
        "Check whether the operator could run here, with this AWS identity and this kubeconfig or service "
        "account. Exits with 1 if a required check fails."
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="aws or cluster (default: both)")
    _add_namespace(parser, everywhere=True, words="namespace to serve (default: WATCH_NAMESPACE, or all)")
    parser.add_argument(
        "--region",
        type=_valid(is_region, "AWS region; expected one such as us-east-2"),
        help="AWS region to use",
    )
    parser.add_argument("--leader-elect", action="store_true", help="include the rights for leader election")


def _read_check(given: Namespace, environment: Environment) -> Command:
    # Not before unknown flags, whose values look like parts.
    for part in given.parts:
        if part not in _PARTS:
            raise SettingsError(f"{excerpt(part)} is not a valid PART; expected aws or cluster. See --help.")
    place = place_of(given, environment)
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


def _add_render(parser: Parser) -> None:
    parser.description = "Print the Secrets that would be written, without using a cluster or AWS."
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


def _read_render(given: Namespace, environment: Environment) -> Command:
    return Render(
        place=place_of(given, environment),
        files=tuple(given.filename),
        output=given.output,
        show_token=given.show_token,
    )


def _add_refresh(parser: Parser) -> None:
    parser.description = "Request new tokens and wait for them. Exits with 1 if one does not arrive."
    names = "NAME, ecrsecret/NAME, argohelmrepo/NAME or ecrclustersecret/NAME"
    parser.add_argument("names", nargs="*", metavar="NAME", help=names)
    everything = "refresh all resources in the namespace; with -A, ClusterSecrets too"
    parser.add_argument("--all", action="store_true", help=everything)
    _add_namespace(parser, everywhere=True)
    kinds = "kind of NAMEs without one; with --all, refresh only this kind"
    parser.add_argument("-k", "--kind", type=_kind, help=kinds)
    timeout = "longest wait, such as 90s (default: a minute after AWS can be asked again)"
    parser.add_argument("--timeout", type=_timeout, help=timeout)


def _read_refresh(given: Namespace, environment: Environment) -> Command:
    if bool(given.names) == given.all:
        raise SettingsError("Expected either NAME or --all. See --help.")
    if given.names and given.all_namespaces:
        raise SettingsError("-A/--all-namespaces requires --all; a NAME is looked up in one namespace.")
    return Refresh(
        place=place_of(given, environment),
        names=tuple(dict.fromkeys(_named(text, given.kind) for text in given.names)),
        kinds=(given.kind,) if given.kind else KINDS if given.all_namespaces else NAMESPACED_KINDS,
        timeout=given.timeout,
    )


def _add_pull(parser: Parser) -> None:
    parser.description = (
        "Find out why an image is not pulled: which pull secrets hold a login for it, and what the registry "
        "answers to that login. Exits with 1 if the image can't be pulled."
    )
    parser.add_argument("subject", metavar="IMAGE", help="IMAGE, pod/NAME or application/NAME (of Argo CD)")
    _add_namespace(parser)
    account = "service account whose pull secrets to use for IMAGE (default: default)"
    parser.add_argument(
        "--service-account", metavar="NAME", type=_valid(is_name, "service account name"), help=account
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="output format")


def _read_pull(given: Namespace, environment: Environment) -> Command:
    before, _, name = given.subject.partition("/")
    subject = _SUBJECTS.get(before.lower(), "image")
    if subject != "image" and given.service_account:
        raise SettingsError(
            "--service-account is for an IMAGE; a pod or Application has its own. See --help."
        )
    if subject != "image" and not is_name(name):
        raise SettingsError(f"{excerpt(name)} is not a valid {subject} name. See --help.")
    return Pull(
        place=place_of(given, environment),
        subject=subject,
        name=given.subject if subject == "image" else name,
        service_account=given.service_account or "default",
        output=given.output,
    )


# What adds a command's arguments, and what reads them.
_COMMANDS: Final[
    Mapping[str, tuple[Callable[[Parser], None], Callable[[Namespace, Environment], Command]]]
] = {
    "status": (_add_status, _read_status),
    "check": (_add_check, _read_check),
    "render": (_add_render, _read_render),
    "refresh": (_add_refresh, _read_refresh),
    "pull": (_add_pull, _read_pull),
}


def _add_namespace(
    parser: Parser, *, everywhere: bool = False, words: str = "namespace (default: that of the context)"
) -> None:
    parser.add_argument("-n", "--namespace", type=_valid(values.is_namespace, "namespace name"), help=words)
    if everywhere:
        parser.add_argument("-A", "--all-namespaces", action="store_true", help="all namespaces")


def place_of(given: Namespace, environment: Environment) -> Place:
    """The cluster and namespace that the flags name."""
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


def _valid(is_valid: Callable[[str], bool], what: str) -> Callable[[str], str]:
    """The type of a flag: a text that is accepted as it is, or refused."""

    def checked(text: str) -> str:
        if not is_valid(text):
            raise SettingsError(f"{excerpt(text)} is not a valid {what}")
        return text

    return checked


def _timeout(text: str) -> timedelta:
    try:
        timeout = parse_go_duration(text)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    if not timedelta(0) < timeout <= _MAX_TIMEOUT:
        raise SettingsError(f"{excerpt(text)} is not above 0 and within a day")
    return timeout
