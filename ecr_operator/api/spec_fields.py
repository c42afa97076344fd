"""The fields of a spec that are not needed to know its login, each judged by itself.

Invariant: what is wrong with one is a Problem, and the others are used. Leaves out: types and sizes
(parsing), and what takes the place of a field that is not valid (core.kept_fields).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, TypeVar

from ecr_operator.api.desired import (
    BASIC_AUTH,
    CONFIG_JSON,
    DOCKER,
    ORPHAN,
    REPO_CREDS,
    ArgoOptions,
    Desired,
    Login,
    Problem,
)
from ecr_operator.api.duration import parse_go_duration
from ecr_operator.api.errors import OperatorError, PermanentError
from ecr_operator.api.kinds import (
    DEFAULT_FREQUENCY,
    ArgoHelmRepoSecretSpec,
    ClusterSecretSpec,
    PullSecretSpec,
    Spec,
)
from ecr_operator.api.names import check_annotations, check_labels, check_name, parse_links
from ecr_operator.api.namespaces import NamespaceSelection, parse_namespaces
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.api.registry import parse_registry, token_source
from ecr_operator.api.text import MOST_ENTRIES, excerpt, intern_text
from ecr_operator.api.token import TokenSource
from ecr_operator.api.usable_registry_keys import docker_problem

# The first is the default.
_CHOICES: Final = {
    "deletion_policy": ("Delete", ORPHAN),
    "credential_scope": ("repository", REPO_CREDS),
    "repo_type": ("helm", "oci"),
    "secret_format": (DOCKER, CONFIG_JSON, BASIC_AUTH),
}

# One object: each empty set would be another, of 200 bytes.
_NO_FIELDS: Final = frozenset[str]()

T = TypeVar("T")


@dataclass(slots=True)
class Findings:
    """What is wrong with single fields, and the fields whose values are not used."""

    problems: list[Problem] = field(default_factory=list)
    invalid_fields: set[str] = field(default_factory=set)

    def add(self, fields: Iterable[str], message: str, reason: Reason = Reason.INVALID_SPEC) -> None:
        """Note a problem, and the fields whose values are not used."""
        self.problems.append(Problem(reason=reason, message=message))
        self.invalid_fields.update(fields)

    def judge(self, name: str, parse: Callable[[], T], default: T) -> T:
        """The value of a field, or the default if its parser refuses it; of the wrong type it is absent."""
        try:
            return parse()
        except ValueError as error:
            self.add((name,), str(error))
            return default

    def choose(self, name: str, value: str | None) -> str:
        """The value of a field with a few choices, or the first of them."""
        choices = _CHOICES[name]
        if value is not None and value not in choices:
            self.add((name,), f"spec.{name} {excerpt(value)} is not valid; expected {' or '.join(choices)}.")
        return value if value in choices else choices[0]


def parse_fields(key: ResourceKey, uid: str, spec: Spec, login: Login, findings: Findings) -> Desired:
    """Judge the fields that are not needed to know the login."""
    judge, choose = findings.judge, findings.choose
    links = spec.link_service_accounts if isinstance(spec, PullSecretSpec) else None
    keeps_links = "link_service_accounts" in findings.invalid_fields
    logins = _parse_logins(spec, login, findings)
    secret_format = _parse_format(spec, findings) if isinstance(spec, PullSecretSpec) else DOCKER
    return Desired(
        key=key,
        uid=uid,
        secret_name=spec.generated_secret_name,
        logins=logins[:1] if secret_format == BASIC_AUTH else logins,
        frequency=judge("frequency", lambda: _parse_frequency(spec.frequency), None),
        labels=judge("secret_labels", lambda: check_labels(spec.secret_labels or {}), {}),
        annotations=judge("secret_annotations", lambda: check_annotations(spec.secret_annotations or {}), {}),
        orphan=choose("deletion_policy", spec.deletion_policy) == ORPHAN,
        suspended=bool(spec.suspend),
        secret_format=secret_format,
        includes=_parse_includes(spec, findings) if isinstance(spec, PullSecretSpec) else (),
        argo=_parse_argo(spec, findings) if isinstance(spec, ArgoHelmRepoSecretSpec) else None,
        namespaces=_parse_namespaces(spec, findings) if isinstance(spec, ClusterSecretSpec) else None,
        links=None if keeps_links else judge("link_service_accounts", lambda: parse_links(links or ()), None),
        # Last, since the others add to it.
        invalid_fields=frozenset(findings.invalid_fields) if findings.invalid_fields else _NO_FIELDS,
    )


def _parse_logins(spec: Spec, first: Login, findings: Findings) -> tuple[Login, ...]:
    """The spec's registry first, then the additional ones that can be used, each key once."""
    more = (spec.additional_registries or []) if isinstance(spec, PullSecretSpec) else []
    logins = {first.key: first}
    for place, key in enumerate(more):
        try:
            source = replace(_additional_source(key, spec.region), identity=first.source.identity)
        except OperatorError as error:
            # Without the key itself, which may hold a login.
            message = f"spec.additional_registries[{place}] is not used: {error.message}"
            findings.add((), message, error.reason)
            continue
        logins.setdefault(key, Login(key=key, source=source))
    return tuple(logins.values())


def _additional_source(key: str, region: str | None) -> TokenSource:
    """An ECR host names its own region; spec.region is for hosts that name none.

    Raises:
        OperatorError: no client can use the key, or its region can't be known.
    """
    known = parse_registry(key).region
    if problem := docker_problem(key):
        raise PermanentError(Reason.INVALID_REGISTRY, problem)
    return token_source(key, known or region)


def _parse_frequency(text: str | None) -> timedelta | None:
    try:
        return parse_go_duration(DEFAULT_FREQUENCY if text is None else text)
    except ValueError as error:
        raise ValueError(f"spec.frequency: {error}.") from None


def _parse_format(spec: PullSecretSpec, findings: Findings) -> str:
    """The form of the Secret, which must be able to hold all that the spec puts into it."""
    secret_format = findings.choose("secret_format", spec.secret_format)
    if secret_format == BASIC_AUTH and (spec.additional_registries or spec.include_logins_from):
        findings.add(
            ("secret_format",),
            f"spec.secret_format: {BASIC_AUTH} holds one registry's login. Remove additional_registries "
            f"and include_logins_from, or set secret_format: {DOCKER}.",
        )
        return DOCKER
    uses = (use for link in spec.link_service_accounts or () for use in link.uses)
    if secret_format != DOCKER and "pull" in uses:
        findings.add(
            (),
            f"spec.link_service_accounts: the kubelet reads Secrets of type kubernetes.io/{DOCKER} only. "
            f"Remove pull from for, or set secret_format: {DOCKER}.",
        )
    return secret_format


def _parse_includes(spec: PullSecretSpec, findings: Findings) -> tuple[str, ...] | None:
    """The Secrets whose logins are copied, each once; entries that are not valid are left out."""
    if "include_logins_from" in findings.invalid_fields:
        return None
    given = spec.include_logins_from or []
    names: dict[str, None] = {}
    for place, reference in enumerate(given[:MOST_ENTRIES]):
        try:
            name = check_name(f"include_logins_from[{place}].name", reference.name, "Secret")
            names[intern_text(name)] = None  # many resources may name the same hundred
        except ValueError as error:
            findings.add((), str(error))
    if len(given) > MOST_ENTRIES:
        findings.add((), f"spec.include_logins_from: only the first {MOST_ENTRIES} entries are used.")
    return tuple(names)


def _parse_namespaces(spec: ClusterSecretSpec, findings: Findings) -> NamespaceSelection | None:
    return findings.judge("namespaces", lambda: parse_namespaces(spec.namespaces), None)


def _parse_argo(spec: ArgoHelmRepoSecretSpec, findings: Findings) -> ArgoOptions:
    scope = findings.choose("credential_scope", spec.credential_scope)
    repo_type = findings.choose("repo_type", spec.repo_type)
    project = spec.project or ""
    if project and scope == REPO_CREDS:
        findings.add(
            ("credential_scope", "project"),
            f"spec.project has no effect with credential_scope: {REPO_CREDS}, where Argo CD ignores it. "
            "Remove it and limit the project's sourceRepos, or set credential_scope: repository.",
        )
        return ArgoOptions(repo_type=repo_type)
    if project:
        project = findings.judge("project", lambda: check_name("project", project, "Argo CD project"), "")
    return ArgoOptions(scope=scope, repo_type=repo_type, project=project)
