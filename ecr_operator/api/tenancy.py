"""The cluster admin's policy: which namespaces use the operator's AWS identity, which hosts are served."""

import fnmatch
import re
from dataclasses import dataclass, replace
from typing import Final

from ecr_operator.api.desired import REPO_CREDS, Desired, Problem
from ecr_operator.api.errors import PermanentError
from ecr_operator.api.identity import OPERATOR
from ecr_operator.api.namespaces import Requirement
from ecr_operator.api.outcome import Reason
from ecr_operator.api.registry import parse_registry
from ecr_operator.api.text import excerpt

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})+")
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_./]*)(?:(!=|==?)([-A-Za-z0-9_.]*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class TenancyPolicy:
    """What the cluster admin allows.

    Attributes:
        ambient_namespaces: those that may use the operator's identity without a role; None for all.
        ambient_selector: requirements on the labels of such namespaces; empty for none.
        registry_hosts: globs of the hosts that are served; empty for all.
    """

    ambient_namespaces: tuple[str, ...] | None = None
    ambient_selector: tuple[Requirement, ...] = ()
    registry_hosts: tuple[str, ...] = ()


def parse_selector(text: str) -> tuple[Requirement, ...]:
    """Read an equality-based label selector: `key=value`, `key!=value` or `key`, between commas.

    Raises:
        ValueError: for any other form.
    """
    requirements = []
    for part in text.split(","):
        found = _REQUIREMENT.fullmatch(part.strip())
        if found is None:
            raise ValueError(
                f"{excerpt(part)} is not a valid label requirement; expected key=value, key!=value or key"
            )
        key, sign, value = found.groups()
        operator = {None: "Exists", "!=": "NotIn"}.get(sign, "In")
        requirements.append(
            Requirement(key=key, operator=operator, values=frozenset({value} if sign else ()))
        )
    return tuple(requirements)


def uses_operator(desired: Desired) -> bool:
    """Whether any of the logins needs the operator's own identity without a role."""
    return any(login.source.identity == OPERATOR for login in desired.logins)


def check_hosts(policy: TenancyPolicy, desired: Desired) -> None:
    """Refuse a spec whose registry or URL the policy does not allow.

    Raises:
        PermanentError: `InvalidRegistry`.
    """
    if refusal := _refuse_host(policy, desired.target):
        raise refusal


def without_refused(policy: TenancyPolicy, desired: Desired) -> tuple[Desired, tuple[Problem, ...]]:
    """The spec without the additional registries that the policy does not allow, and a problem for each."""
    refusals = {login.key: _refuse_host(policy, login.key) for login in desired.logins[1:]}
    problems = [Problem(reason=each.reason, message=each.message) for each in refusals.values() if each]
    if not problems:
        return desired, ()
    logins = tuple(login for login in desired.logins if refusals.get(login.key) is None)
    return replace(desired, logins=logins), tuple(problems)


def _refuse_host(policy: TenancyPolicy, key: str) -> PermanentError | None:
    if not policy.registry_hosts or _is_named(policy, host := parse_registry(key).host):
        return None
    return PermanentError(
        Reason.INVALID_REGISTRY,
        f"The registry {excerpt(host, 100)} is not among those that the operator is allowed to serve. A "
        "cluster admin can add it to the operator's flag --allowed-registry-hosts.",
    )


def refuse_prefix(policy: TenancyPolicy, desired: Desired) -> PermanentError | None:
    """The error for a repo-creds URL that is not a full host name; None for any other spec.

    Argo CD sends a login of repo-creds to every URL that begins with its URL, without a boundary, so that
    `h` or `https:` would send it to any host. ECR's own hosts are full names, and so are names of two labels
    or more, for which the spec must name the region.
    """
    if desired.argo is None or desired.argo.scope != REPO_CREDS:
        return None
    registry = parse_registry(desired.target)
    if registry.kind != "other" or _HOST_NAME.fullmatch(registry.host):
        return None
    if policy.registry_hosts and _is_named(policy, registry.host):
        return None
    return PermanentError(
        Reason.INVALID_REGISTRY,
        f"With credential_scope: {REPO_CREDS} the url must contain a full host name. "
        f"{excerpt(registry.host, 100)} is not one, and Argo CD would send the login to every host that "
        "begins with it. Write the registry's full host name.",
    )


def _is_named(policy: TenancyPolicy, host: str) -> bool:
    return any(fnmatch.fnmatchcase(host, glob.lower()) for glob in policy.registry_hosts)


def refuse_ambient(namespace: str) -> PermanentError:
    """The error for a namespace that may not use the operator's identity."""
    return PermanentError(
        Reason.ROLE_NOT_PERMITTED,
        f"Namespace {namespace} is not allowed to use the operator's own AWS identity. Set service_account, "
        "aws_iam_secret or a permitted role_arn, or ask a cluster admin to add the namespace to the "
        "operator's flag --ambient-credentials.",
    )
