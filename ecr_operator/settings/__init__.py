"""Everything that can be set, from the command line and the environment; the only reader of either.

A mistake is one line on standard error and exit code 2.
"""

import argparse
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ecr_operator.model.identities import IdentityPolicy
from ecr_operator.model.proxies import Proxies
from ecr_operator.model.tenancy import TenancyPolicy
from ecr_operator.settings import flags, values
from ecr_operator.settings.values import ALL_NAMESPACES, BindAddress, LogOptions, SettingsError

__all__ = ["ALL_NAMESPACES", "BindAddress", "LogOptions", "Settings", "SettingsError", "parse_settings"]

_DEFAULT_KUBECONFIG: Final = "~/.kube/config"
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
    )


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
        environment.get(name) or environment.get(name.lower(), "")
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    )
    return Proxies(http=http, https=https, exceptions=exceptions)
