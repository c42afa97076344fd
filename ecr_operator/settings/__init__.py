"""Everything that can be set, from the command line and the environment.

Nothing else reads either, except for the SDK's own AWS_ variables, which aws reads.

A mistake is one line on standard error and exit code 2.
"""

import argparse
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ecr_operator.api.identity import IdentityPolicy
from ecr_operator.api.tenancy import TenancyPolicy
from ecr_operator.settings import flags, values
from ecr_operator.settings.proxies import Proxies, either
from ecr_operator.settings.values import ALL_NAMESPACES, BindAddress, LogOptions, SettingsError

__all__ = ["ALL_NAMESPACES", "BindAddress", "LogOptions", "Settings", "SettingsError", "parse_settings"]

_DEFAULT_KUBECONFIG: Final = "~/.kube/config"
_ALL_PROXY_UNUSED: Final = "ALL_PROXY is not used; set HTTPS_PROXY if AWS is to be reached through a proxy"
_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# zap's development mode is a set of defaults; v0.6.0 had it where nothing was set, we have not.
_LOG_DEFAULTS: Final = {
    True: LogOptions(level=logging.DEBUG, encoder="console"),
    False: LogOptions(encoder="json"),
    None: LogOptions(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was set.

    Attributes:
        kubeconfig: files, those that exist are merged; unused in a cluster.
        in_cluster: use the pod's service account.
        namespaces: to serve; a single empty string means all.
        namespace: the operator's own; empty outside a cluster, where the kubeconfig's context has one.
        pod_name: of this process, for Events and the Lease.
        leader_elect: write only while holding the Lease.
        metrics: where to serve metrics; None for nowhere.
        probes: where to serve /healthz and /readyz; None for nowhere.
        resource_metrics: export metrics of each resource.
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
    metrics: BindAddress | None = flags.DEFAULT_METRICS
    probes: BindAddress | None = flags.DEFAULT_PROBES
    resource_metrics: bool = True
    logs: LogOptions = field(default_factory=LogOptions)
    identities: IdentityPolicy = field(default_factory=IdentityPolicy)
    proxies: Proxies = field(default_factory=Proxies)
    tenancy: TenancyPolicy = field(default_factory=TenancyPolicy)
    warnings: tuple[str, ...] = ()


def parse_settings(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the command line, without the program's name, and the environment.

    Raises:
        SettingsError: for a mistake in either.
        SystemExit: after `--help` and `--version`.
    """
    variables = flags.set_by_variables(arguments, environment)
    given = [f"{flag}={environment[variable]}" for flag, variable in variables.items()]
    try:
        return _parse([*given, *arguments], environment)
    except SettingsError as error:
        message = str(error)
        for flag, variable in variables.items():
            message = message.replace(flag, variable)
        raise SettingsError(message) from None


def _parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    given = flags.parse(arguments)
    kubeconfig = given.kubeconfig or environment.get("KUBECONFIG", "")
    watched = values.namespaces(environment.get("WATCH_NAMESPACE", ""), "WATCH_NAMESPACE")
    unused = either(environment, "ALL_PROXY") and not either(environment, "HTTPS_PROXY")
    return Settings(
        kubeconfig=tuple(part for part in (kubeconfig or _DEFAULT_KUBECONFIG).split(os.pathsep) if part),
        in_cluster=not kubeconfig and _is_in_cluster(environment),
        namespaces=watched or (ALL_NAMESPACES,),
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
        proxies=Proxies.of(environment),
        tenancy=values.tenancy(given.ambient_credentials, given.allowed_registry_hosts),
        warnings=(_ALL_PROXY_UNUSED,) if unused else (),
    )


def _is_in_cluster(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("KUBERNETES_SERVICE_HOST")) and (_SERVICE_ACCOUNT / "token").is_file()


def _own_namespace(environment: Mapping[str, str]) -> str:
    if named := environment.get("POD_NAMESPACE", "").strip():
        return values.namespace(named, "POD_NAMESPACE")
    try:
        return (_SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _logs(given: argparse.Namespace) -> LogOptions:
    defaults = _LOG_DEFAULTS[given.zap_devel]
    return LogOptions(
        level=defaults.level if given.zap_log_level is None else given.zap_log_level,
        encoder=given.zap_encoder or defaults.encoder,
    )
