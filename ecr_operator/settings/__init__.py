"""Everything that can be set, from the command line and the environment; the only reader of either.

A mistake is one line on standard error and exit code 2.
"""

import argparse
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ecr_operator.api.identity import IdentityPolicy
from ecr_operator.api.tenancy import TenancyPolicy
from ecr_operator.settings import flags, values
from ecr_operator.settings.proxies import Proxies, proxy_flaw, proxy_for
from ecr_operator.settings.values import ALL_NAMESPACES, BindAddress, LogOptions, SettingsError

__all__ = [
    "ALL_NAMESPACES",
    "BindAddress",
    "LogOptions",
    "Settings",
    "SettingsError",
    "check_proxies",
    "parse_settings",
]

_DEFAULT_KUBECONFIG: Final = "~/.kube/config"
_ENDPOINTS: Final = tuple(f"AWS_ENDPOINT_URL{suffix}" for suffix in ("", "_ECR", "_ECR_PUBLIC", "_STS"))
_ECR: Final = "https://api.ecr.us-east-1.amazonaws.com"
_ALL_PROXY_UNUSED: Final = "ALL_PROXY is not used; set HTTPS_PROXY if AWS is to be reached through a proxy"
_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was set.

    Attributes:
        kubeconfig: files, the first that exist are merged; unused in a cluster.
        in_cluster: take the pod's service account.
        namespaces: to serve; a single empty string means all.
        namespace: the operator's own; empty outside a cluster, where the kubeconfig's context has one.
        pod_name: of this process, for Events and the Lease.
        leader_elect: write only while holding the Lease.
        metrics: where to serve metrics; None for nowhere.
        probes: where to serve /healthz and /readyz; None for nowhere.
        resource_metrics: have metrics of each resource.
        logs: how to log.
        identities: what the operator's own AWS identity may be used for.
        proxies: of the environment, for an API server outside the cluster.
        tenancy: who may use that identity, and for which registries.
        warnings: about variables that have no effect, for the log.
    """

    kubeconfig: tuple[str, ...]
    in_cluster: bool
    namespaces: tuple[str, ...]
    pod_name: str
    namespace: str = ""
    leader_elect: bool = False
    metrics: BindAddress | None = flags.METRICS
    probes: BindAddress | None = flags.PROBES
    resource_metrics: bool = True
    logs: LogOptions = field(default_factory=LogOptions)
    identities: IdentityPolicy = field(default_factory=IdentityPolicy)
    proxies: Proxies = field(default_factory=Proxies)
    tenancy: TenancyPolicy = field(default_factory=TenancyPolicy)
    warnings: tuple[str, ...] = ()


def parse_settings(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the command line and the environment.

    Args:
        arguments: without the program's name.
        environment: of the process.

    Raises:
        SettingsError: for a mistake in either.
        SystemExit: after `--help` and `--version`.
    """
    given = flags.parse(arguments)
    named = given.kubeconfig or environment.get("KUBECONFIG", "")
    return Settings(
        kubeconfig=tuple(part for part in (named or _DEFAULT_KUBECONFIG).split(os.pathsep) if part),
        in_cluster=not named and _is_in_cluster(environment),
        namespaces=_watched(environment),
        pod_name=environment.get("POD_NAME") or environment.get("HOSTNAME") or "ecr-secret-operator",
        namespace=_own_namespace(environment),
        leader_elect=given.leader_elect,
        metrics=given.metrics_bind_address,
        probes=given.health_probe_bind_address,
        resource_metrics=given.resource_metrics,
        logs=_logs(given),
        identities=IdentityPolicy(
            permitted_roles=values.permitted_roles(given.permitted_roles),
            external_id=values.external_id(given.external_id),
            session_tags=given.session_tags,
        ),
        proxies=_proxies(environment),
        tenancy=values.tenancy(given.ambient_credentials, given.allowed_registry_hosts),
        warnings=_warnings(environment),
    )


def check_proxies(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a proxy that AWS would be reached through and that can't be used, such as `socks5://`.

    Args:
        environment: of the process.

    Raises:
        SettingsError: naming the variable, and nothing of its value but the scheme.
    """
    exceptions = _either(environment, "NO_PROXY")
    for url in _aws_urls(environment, exceptions):
        scheme = urlsplit(url).scheme
        # Go and the SDK disagree on which of the two counts, so both must be right.
        for name in (f"{scheme}_proxy".upper(), f"{scheme}_proxy"):
            proxy = environment.get(name, "")
            if proxy_for(url, Proxies(http=proxy, https=proxy, exceptions=exceptions)) is None:
                continue
            if flaw := proxy_flaw(proxy):
                raise SettingsError(f"{name}: {flaw}.")


def _aws_urls(environment: Mapping[str, str], exceptions: str) -> Iterator[str]:
    """Where AWS is, as far as the environment tells; without hosts of AWS that NO_PROXY may name."""
    for name in _ENDPOINTS:
        url = environment.get(name, "")
        if url.startswith(("http://", "https://")) and _is_url(url):
            yield url
    if not environment.get(_ENDPOINTS[0]) and "aws" not in exceptions.lower():
        yield _ECR


def _is_url(text: str) -> bool:
    try:
        return urlsplit(text).port != 0
    except ValueError:
        return False  # reported when it is used


def _warnings(environment: Mapping[str, str]) -> tuple[str, ...]:
    unused = _either(environment, "ALL_PROXY") and not _either(environment, "HTTPS_PROXY")
    return (_ALL_PROXY_UNUSED,) if unused else ()


def _is_in_cluster(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("KUBERNETES_SERVICE_HOST")) and (_SERVICE_ACCOUNT / "token").is_file()


def _watched(environment: Mapping[str, str]) -> tuple[str, ...]:
    return values.namespaces(environment.get("WATCH_NAMESPACE", ""), "WATCH_NAMESPACE") or (ALL_NAMESPACES,)


def _own_namespace(environment: Mapping[str, str]) -> str:
    if named := environment.get("POD_NAMESPACE", "").strip():
        return values.namespace(named, "POD_NAMESPACE")
    try:
        return (_SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _logs(given: argparse.Namespace) -> LogOptions:
    """The development mode of zap is a set of defaults; v0.6.0 had it where nothing was said, we have not."""
    defaults = {
        True: LogOptions(level=logging.DEBUG, encoder="console"),
        False: LogOptions(encoder="json"),
        None: LogOptions(),
    }[given.zap_devel]
    return LogOptions(
        level=defaults.level if given.zap_log_level is None else given.zap_log_level,
        encoder=given.zap_encoder or defaults.encoder,
    )


def _proxies(environment: Mapping[str, str]) -> Proxies:
    http, https, exceptions = (
        _either(environment, name) for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    )
    return Proxies(http=http, https=https, exceptions=exceptions)


def _either(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.lower(), "")
