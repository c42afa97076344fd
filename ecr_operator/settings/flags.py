"""The flags of the operator itself, those of v0.6.0 among them, in Go's spellings too."""

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from typing import Final, NoReturn, TypeVar

from ecr_operator import __version__
from ecr_operator.api.text import excerpt
from ecr_operator.settings import values
from ecr_operator.settings.values import BindAddress, SettingsError

COMMANDS: Final = ("status", "check", "render", "refresh")
METRICS: Final = BindAddress(host=None, port=8080, explicit=False)
PROBES: Final = BindAddress(host=None, port=8081, explicit=False)

_Value = TypeVar("_Value")
_UNKNOWN: Final = "unrecognized arguments: "
_EPILOG: Final = """\
commands, in place of running the operator; each has --help:
  status            show all resources, with the time that their tokens have left
  check             see whether the operator could work here
  render            show the Secrets that would be written
  refresh           ask for fresh tokens and wait for them

environment:
  WATCH_NAMESPACE   namespaces to serve, separated by commas; all when empty or unset
  POD_NAMESPACE     the operator's own namespace, for its Lease
  POD_NAME          the operator's own name, for its Lease and its Events
  KUBECONFIG        the kubeconfig, unless --kubeconfig names one
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY
                    the proxy before AWS, and before an API server outside of the cluster;
                    http:// or https://, no SOCKS. `ALL_PROXY` is not used
  AWS_*             the SDK's own: credentials, AWS_CONFIG_FILE, AWS_ENDPOINT_URL, ...
"""


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, with the nearest name that there is.

    Attributes:
        words: what else may stand in place of a flag.
    """

    words: tuple[str, ...] = ()

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        text = message
        if message.startswith(_UNKNOWN):
            unknown = message.removeprefix(_UNKNOWN).split()[0].partition("=")[0]
            if unknown in self.words:
                raise SettingsError(f"the command {unknown} goes before all flags. See --help.")
            flags = [name for name in self._option_string_actions if name.startswith("--")]
            names = flags if unknown.startswith("-") else self.words
            near = difflib.get_close_matches(unknown, names, n=1)
            text = f"unknown {'flag' if unknown.startswith('-') else 'argument'} {excerpt(unknown)}"
            text += f", did you mean {near[0]}?" if near else "."
            raise SettingsError(f"{text} See --help.")
        raise SettingsError(f"{text}. See --help.")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line.

    Args:
        arguments: without the program's name.

    Raises:
        SettingsError: for a mistake.
        SystemExit: after `--help` and `--version`.
    """
    return operator_parser().parse_args(_as_go_has_it(arguments))


def operator_parser() -> Parser:
    """All flags of the operator."""
    parser = Parser(
        prog="ecr-secret-operator",
        description="Keeps registry credentials for Amazon ECR alive in Kubernetes Secrets.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.words = COMMANDS
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    _add_serving(parser)
    _add_tenancy(parser)
    _add_logs(parser)
    return parser


def _add_serving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kubeconfig",
        metavar="FILE",
        default="",
        help="kubeconfig of the cluster (default: KUBECONFIG, the pod's own account, ~/.kube/config)",
    )
    _add_boolean(
        parser,
        "--leader-elect",
        "write only while holding the Lease bc9c1120.mobb.redhat.com, for two replicas or more",
    )
    parser.add_argument(
        "--metrics-bind-address",
        metavar="ADDRESS",
        # As controller-runtime takes an empty one here, and below.
        type=told(lambda text: values.bind_address(text) if text else METRICS),
        default=METRICS,
        help="where Prometheus reads metrics (default: :8080; 0 switches them off)",
    )
    parser.add_argument(
        "--health-probe-bind-address",
        metavar="ADDRESS",
        type=told(lambda text: values.bind_address(text) if text else None),
        default=PROBES,
        help="where /healthz and /readyz answer (default: :8081; 0 switches them off)",
    )
    _add_boolean(
        parser,
        "--resource-metrics",
        "have metrics of each resource, not of all together only (default: true)",
        default=True,
    )


def _add_tenancy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--permitted-roles",
        metavar="GLOB,GLOB",
        action="append",
        default=[],
        help="roles that resources of any namespace may name in role_arn and the operator's identity then "
        "assumes (default: only what a namespace's annotation permits)",
    )
    parser.add_argument(
        "--external-id",
        metavar="ID",
        default="",
        help="sent with each role that the operator's identity assumes",
    )
    _add_boolean(
        parser, "--session-tags", "tag those sessions with kubernetes-namespace and kubernetes-resource"
    )
    parser.add_argument(
        "--ambient-credentials",
        metavar="NAMESPACES",
        help="namespaces whose resources may use the operator's own identity without a role: names between "
        "commas, or a label selector such as team=platform (default: all)",
    )
    parser.add_argument(
        "--allowed-registry-hosts",
        metavar="GLOB,GLOB",
        default="",
        help="hosts that resources may ask for (default: all)",
    )


def _add_logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--zap-log-level",
        metavar="LEVEL",
        type=told(values.log_level),
        help="debug, info, warn, error, panic, or a number for debug (default: info)",
    )
    parser.add_argument(
        "--zap-encoder",
        metavar="FORM",
        type=told(values.encoder),
        help="json or console (default: console on a terminal, json elsewhere)",
    )
    _add_boolean(
        parser, "--zap-devel", "console and debug, unless the two flags above say otherwise", default=None
    )
    parser.add_argument(
        "--zap-stacktrace-level",
        metavar="LEVEL",
        type=told(values.stack_trace_level),
        help="taken for compatibility; no effect",
    )
    parser.add_argument(
        "--zap-time-encoding",
        metavar="FORM",
        type=told(values.time_encoding),
        help="taken for compatibility; times are RFC 3339",
    )


def _add_boolean(
    parser: argparse.ArgumentParser, name: str, words: str, *, default: bool | None = False
) -> None:
    parser.add_argument(
        name, metavar="true", nargs="?", type=told(values.boolean), const=True, default=default, help=words
    )


def told(convert: Callable[[str], _Value]) -> Callable[[str], _Value]:
    """Lets argparse name the flag of a wrong value."""

    def converted(text: str) -> _Value:
        try:
            return convert(text)
        except SettingsError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


def _as_go_has_it(arguments: Sequence[str]) -> list[str]:
    """Go takes -flag for --flag."""
    return [f"-{argument}" if re.match(r"-[a-z]{2}", argument) else argument for argument in arguments]
