"""Everything that can be set, from the command line and the environment; the only reader of either.

A mistake is one line on standard error and exit code 2.
"""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from ecr_operator import __version__
from ecr_operator.model.identities import IdentityPolicy
from ecr_operator.model.proxies import Proxies
from ecr_operator.model.quote import quote
from ecr_operator.model.tenancy import TenancyPolicy, parse_selector

ALL_NAMESPACES: Final = ""

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ROLE_GLOB: Final = re.compile(r"(arn:|[*?])[A-Za-z0-9:+=.@_/*?-]*")
_EXTERNAL_ID: Final = re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}")
_BOOLEANS: Final = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_DEFAULT_KUBECONFIG: Final = "~/.kube/config"
_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_EPILOG: Final = """\
environment:
  WATCH_NAMESPACE   namespaces to serve, separated by commas; all when empty or unset
  KUBECONFIG        the kubeconfig, unless --kubeconfig names one
  AWS_*             the SDK's own: credentials, AWS_CONFIG_FILE, AWS_ENDPOINT_URL, ...
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was set.

    Attributes:
        kubeconfig: files, the first that exist are merged; unused in a cluster.
        in_cluster: take the pod's service account.
        namespaces: to serve; a single empty string means all.
        pod_name: of this process, for Events.
        identities: what the operator's own AWS identity may be used for.
        proxies: of the environment, for an API server outside the cluster.
        tenancy: who may use that identity, and for which registries.
    """

    kubeconfig: tuple[str, ...]
    in_cluster: bool
    namespaces: tuple[str, ...]
    pod_name: str
    identities: IdentityPolicy = field(default_factory=IdentityPolicy)
    proxies: Proxies = field(default_factory=Proxies)
    tenancy: TenancyPolicy = field(default_factory=TenancyPolicy)


class SettingsError(Exception):
    """A mistake in a flag or variable, in one line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message}. See --help.")


def parse_settings(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the command line and the environment.

    Args:
        arguments: without the program's name.
        environment: of the process.

    Raises:
        SettingsError: for a mistake in either.
        SystemExit: after `--help` and `--version`.
    """
    flags = _parser().parse_args(_as_go_has_it(arguments))
    named = flags.kubeconfig or environment.get("KUBECONFIG", "")
    in_cluster = not named and bool(environment.get("KUBERNETES_SERVICE_HOST")) and _SERVICE_ACCOUNT.is_file()
    return Settings(
        kubeconfig=tuple(part for part in (named or _DEFAULT_KUBECONFIG).split(os.pathsep) if part),
        in_cluster=in_cluster,
        namespaces=_namespaces(environment.get("WATCH_NAMESPACE", "")),
        pod_name=environment.get("POD_NAME") or environment.get("HOSTNAME") or "ecr-secret-operator",
        identities=IdentityPolicy(
            permitted_roles=_permitted_roles(flags.permitted_roles),
            external_id=_external_id(flags.external_id),
            session_tags=flags.session_tags,
        ),
        proxies=_proxies(environment),
        tenancy=_tenancy(flags),
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ecr-secret-operator",
        description="Keeps registry credentials for Amazon ECR alive in Kubernetes Secrets.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--kubeconfig",
        metavar="FILE",
        default="",
        help="kubeconfig of the cluster (default: KUBECONFIG, the pod's own account, ~/.kube/config)",
    )
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
    parser.add_argument(
        "--session-tags",
        metavar="true",
        nargs="?",
        type=_boolean,
        const=True,
        default=False,
        help="tag those sessions with kubernetes-namespace and kubernetes-resource",
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
    return parser


def _proxies(environment: Mapping[str, str]) -> Proxies:
    http, https, exceptions = (
        environment.get(name) or environment.get(name.lower(), "")
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    )
    return Proxies(http=http, https=https, exceptions=exceptions)


def _as_go_has_it(arguments: Sequence[str]) -> list[str]:
    """Go takes -flag for --flag."""
    return [f"-{argument}" if re.match(r"-[a-z]{2}", argument) else argument for argument in arguments]


def _namespaces(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise SettingsError(f"WATCH_NAMESPACE: {quote(name)} is no name of a namespace.")
    return names or (ALL_NAMESPACES,)


def _tenancy(flags: argparse.Namespace) -> TenancyPolicy:
    hosts = tuple(glob.strip() for glob in flags.allowed_registry_hosts.split(",") if glob.strip())
    ambient = flags.ambient_credentials
    if ambient is None:
        return TenancyPolicy(registry_hosts=hosts)
    if "=" not in ambient:
        names = tuple(name.strip() for name in ambient.split(",") if name.strip())
        for name in names:
            if not _NAMESPACE.fullmatch(name):
                raise SettingsError(f"--ambient-credentials: {quote(name)} is no name of a namespace.")
        return TenancyPolicy(ambient_namespaces=names, registry_hosts=hosts)
    try:
        selector = parse_selector(ambient)
    except ValueError as error:
        raise SettingsError(f"--ambient-credentials: {error}.") from error
    return TenancyPolicy(ambient_namespaces=(), ambient_selector=selector, registry_hosts=hosts)


def _permitted_roles(flags: Sequence[str]) -> tuple[str, ...]:
    globs = tuple(glob.strip() for flag in flags for glob in flag.split(","))
    for glob in globs:
        if not _ROLE_GLOB.fullmatch(glob):
            raise SettingsError(
                f"--permitted-roles: {quote(glob)} is no glob of role ARNs, "
                "such as arn:aws:iam::123456789012:role/ecr-*."
            )
    return globs


def _external_id(text: str) -> str:
    if text and not _EXTERNAL_ID.fullmatch(text):
        raise SettingsError("--external-id: AWS takes 2 to 1224 letters, digits and any of _+=,.@:/-")
    return text


def _boolean(text: str) -> bool:
    """Go's booleans."""
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"{quote(text)} is neither true nor false") from None
