"""The operator's own flags, those of v0.6.0 among them, in Go's spellings too; and which command is meant.

kubectl passes on all that follows `kubectl ecr`: the same commands, with flags before them too. Leaves out
the flags of the commands (commands).
"""

import argparse
import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from ecr_operator import __version__
from ecr_operator.api.text import excerpt
from ecr_operator.settings import values
from ecr_operator.settings.values import BindAddress, SettingsError

PROGRAM: Final = "ecr-secret-operator"
PLUGIN: Final = "kubectl ecr"
# Each with what it does, for --help and completion.
COMMANDS: Final = {
    "status": "list all resources with the remaining time of their tokens",
    "check": "check whether the operator could run here",
    "render": "print the Secrets that would be written",
    "refresh": "request new tokens and wait for them",
    "pull": "find out why an image is not pulled",
}
# The commands' flags that may stand before a command, with a value.
_VALUED: Final = ("-n", "--namespace", "--context", "--kubeconfig")
DEFAULT_METRICS: Final = BindAddress(host=None, port=8080, explicit=False)
DEFAULT_PROBES: Final = BindAddress(host=None, port=8081, explicit=False)

_UNKNOWN: Final = "unrecognized arguments: "
# zap's, without effect here: no user's mistake prints a stack trace, and every time is RFC 3339.
_STACK_TRACE_LEVELS: Final = ("info", "warn", "error", "panic")
_TIME_ENCODINGS: Final = ("epoch", "millis", "nano", "iso8601", "rfc3339", "rfc3339nano")
COMMANDS_IN_HELP: Final = "\n".join(f"  {name:18}{words}" for name, words in COMMANDS.items())
_EPILOG: Final = f"""\
commands (without one, the operator runs); each has --help:
{COMMANDS_IN_HELP}

environment:
  WATCH_NAMESPACE   namespaces to serve, separated by commas; all when empty or unset
  POD_NAMESPACE     the operator's own namespace, for its Lease
  POD_NAME          the operator's own name, for its Lease and its Events
  KUBECONFIG        the kubeconfig, unless --kubeconfig is set
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY
                    the proxy for AWS, and outside a cluster for the API server; http:// or
                    https://, not SOCKS. `ALL_PROXY` is ignored
  ECR_*             each flag of the operator, such as ECR_PERMITTED_ROLES for --permitted-roles;
                    a flag wins over its variable
  AWS_*             the SDK's own: credentials, AWS_CONFIG_FILE, AWS_ENDPOINT_URL, ...
"""


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, with the nearest name that there is.

    Attributes:
        words: what else is accepted in place of a flag.
    """

    words: tuple[str, ...] = ()

    @property
    def flags(self) -> list[str]:
        """The flags that set something."""
        names = [name for name in self._option_string_actions if name.startswith("--")]
        return [name for name in names if name not in ("--help", "--version")]

    def option(self, name: str) -> argparse.Action | None:
        """What reads a flag; None where there is no such flag."""
        return self._option_string_actions.get(name)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        if not message.startswith(_UNKNOWN):
            raise SettingsError(f"{message}. See --help.")
        unknown = message.removeprefix(_UNKNOWN).split()[0].partition("=")[0]
        if unknown in self.words:
            raise SettingsError(f"the command {unknown} goes before all flags. See --help.")
        flags = [name for name in self._option_string_actions if name.startswith("--")]
        kind, names = ("flag", flags) if unknown.startswith("-") else ("argument", self.words)
        near = difflib.get_close_matches(unknown, names, n=1)
        advice = f", did you mean {near[0]}?" if near else "."
        raise SettingsError(f"unknown {kind} {excerpt(unknown)}{advice} See --help.")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line, without the program's name.

    Raises:
        SettingsError: for a mistake.
        SystemExit: after `--help` and `--version`.
    """
    return operator_parser().parse_args(_spelled(arguments))


def set_by_variables(arguments: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The flags that only a variable sets, and that variable.

    A flag wins over its variable. Variables of no flag are ignored: Kubernetes makes some for each Service.
    """
    given = {each.partition("=")[0] for each in _spelled(arguments)}
    variables = {flag: variable_of(flag) for flag in operator_parser().flags if flag not in given}
    return {flag: variable for flag, variable in variables.items() if environment.get(variable)}


def variable_of(flag: str) -> str:
    """The variable that sets a flag where a command line can't be changed, such as `ECR_PERMITTED_ROLES`."""
    return "ECR_" + flag.removeprefix("--").replace("-", "_").upper()


def _spelled(arguments: Sequence[str]) -> list[str]:
    """With two dashes: Go accepts -flag for --flag."""
    return [f"-{each}" if re.match(r"-[a-z]{2}", each) else each for each in arguments]


def operator_parser() -> Parser:
    """All flags of the operator."""
    parser = Parser(
        prog="ecr-secret-operator",
        description="Keeps valid Amazon ECR credentials in Kubernetes Secrets.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.words = tuple(COMMANDS)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    _add_serving(parser)
    _add_tenancy(parser)
    _add_logs(parser)
    return parser


def _add_serving(parser: Parser) -> None:
    parser.add_argument(
        "--kubeconfig",
        metavar="FILE",
        default="",
        help="kubeconfig of the cluster (default: KUBECONFIG, the pod's own account, ~/.kube/config)",
    )
    lease = "write only while holding the Lease bc9c1120.mobb.redhat.com, for two replicas or more"
    _add_boolean(parser, "--leader-elect", lease)
    parser.add_argument(
        "--metrics-bind-address",
        metavar="ADDRESS",
        # An empty one as controller-runtime has it, here and below.
        type=lambda text: values.bind_address(text) if text else DEFAULT_METRICS,
        default=DEFAULT_METRICS,
        help="address of /metrics (default: :8080; 0 disables it)",
    )
    parser.add_argument(
        "--health-probe-bind-address",
        metavar="ADDRESS",
        type=lambda text: values.bind_address(text) if text else None,
        default=DEFAULT_PROBES,
        help="address of /healthz and /readyz (default: :8081; 0 disables them)",
    )
    each = "export metrics per resource, not only totals (default: true)"
    _add_boolean(parser, "--resource-metrics", each, default=True)


def _add_tenancy(parser: Parser) -> None:
    parser.add_argument(
        "--permitted-roles",
        metavar="GLOB,GLOB",
        action="append",
        default=[],
        help="roles that the operator's identity may assume for role_arn, in any namespace (default: only "
        "those that a namespace's annotation permits)",
    )
    parser.add_argument(
        "--external-id",
        metavar="ID",
        default="",
        help="external ID for each role that the operator's identity assumes",
    )
    tags = "tag the sessions of assumed roles with kubernetes-namespace and kubernetes-resource"
    _add_boolean(parser, "--session-tags", tags)
    parser.add_argument(
        "--ambient-credentials",
        metavar="NAMESPACES",
        help="namespaces whose resources may use the operator's own identity without a role: names separated "
        "by commas, or a label selector such as team=platform (default: all)",
    )
    parser.add_argument(
        "--allowed-registry-hosts",
        metavar="GLOB,GLOB",
        default="",
        help="registry hosts that resources may use (default: all)",
    )


def _add_logs(parser: Parser) -> None:
    parser.add_argument(
        "--zap-log-level",
        metavar="LEVEL",
        type=values.log_level,
        help="debug, info, warn, error, panic, or a number for debug (default: info)",
    )
    encoder = "json or console (default: console on a terminal, json elsewhere)"
    _add_choice(parser, "--zap-encoder", "FORMAT", ("json", "console"), encoder)
    devel = "console and debug, unless the two flags above are set"
    _add_boolean(parser, "--zap-devel", devel, default=None)
    unused = "accepted for compatibility; no effect"
    _add_choice(parser, "--zap-stacktrace-level", "LEVEL", _STACK_TRACE_LEVELS, unused)
    unused = "accepted for compatibility; times are RFC 3339"
    _add_choice(parser, "--zap-time-encoding", "FORMAT", _TIME_ENCODINGS, unused)


def _add_boolean(parser: Parser, name: str, words: str, *, default: bool | None = False) -> None:
    parser.add_argument(
        name,
        metavar="true",
        nargs="?",
        type=values.boolean,
        const=True,
        default=default,
        help=words,
    )


def _add_choice(parser: Parser, name: str, metavar: str, choices: Sequence[str], words: str) -> None:
    parser.add_argument(name, metavar=metavar, type=str.lower, choices=choices, help=words)


def plugin_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments with the command first.

    Raises:
        SettingsError: there is no such command.
        SystemExit: after `--help` and `--version`.
    """
    place = command_place(arguments)
    if place is None:
        _plugin_help(arguments)
        raise SettingsError("expected a command. See --help.")
    return [arguments[place], *arguments[:place], *arguments[place + 1 :]]


def command_place(arguments: Sequence[str]) -> int | None:
    """Where the command is; None where there is none."""
    place = first_word(arguments)
    return place if place is not None and arguments[place] in COMMANDS else None


def first_word(arguments: Sequence[str]) -> int | None:
    """Where the first argument is that is neither a flag nor the value of one."""
    for place, word in enumerate(arguments):
        if not word.startswith("-") and (place == 0 or arguments[place - 1] not in _VALUED):
            return place
    return None


def _plugin_help(arguments: Sequence[str]) -> None:
    parser = Parser(
        prog=PLUGIN,
        usage="%(prog)s COMMAND [FLAGS]",
        description="Show, check and refresh the logins of the ECR Secret Operator.",
        epilog=f"commands; each has --help:\n{COMMANDS_IN_HELP}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.words = tuple(COMMANDS)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.parse_known_args(arguments or ["--help"])
    word = first_word(arguments)
    if word is not None:
        parser.parse_args([arguments[word]])
