"""What a custom resource asks for, after its spec has been checked.

Leaves out: reading and judging the spec (parsing).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from ecr_operator.api.identity import Identity
from ecr_operator.api.names import LinkSpec
from ecr_operator.api.namespaces import NamespaceSelection
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.api.text import one_line
from ecr_operator.api.token import TokenSource

ORPHAN: Final = "Orphan"
REPO_CREDS: Final = "repo-creds"
DOCKER: Final = "dockerconfigjson"
CONFIG_JSON: Final = "config.json"
BASIC_AUTH: Final = "basic-auth"
# Without a Secret to keep them from, no default may take their place.
_NO_DEFAULT: Final = frozenset(
    {"project", "credential_scope", "repo_type", "secret_format", "deletion_policy"}
)
_MOST_KEPT: Final = 4096  # characters of a spec that are kept in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with a spec, in words for its author, on one line of bounded length."""

    reason: Reason
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", one_line(self.message))


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One login that the generated Secret holds.

    Attributes:
        key: the registry key or URL, verbatim.
        source: whom to ask for its token.
    """

    key: str
    source: TokenSource


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgoOptions:
    """How Argo CD is to take the login.

    Attributes:
        scope: value of its label, `repository` or `repo-creds`.
        repo_type: `helm` or `oci`.
        project: the one project that may use it, or an empty string.
    """

    scope: str = "repository"
    repo_type: str = "helm"
    project: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """The generated Secret that a resource asks for: its checked spec, and whose it is.

    Attributes:
        key: of the resource; its namespace is the Secret's too.
        logins: what goes in, the registry or URL of the spec first.
        frequency: longest time between refreshes; None where the spec's can't be parsed.
        labels: for the generated Secret, beside the operator's own.
        annotations: the same.
        orphan: the Secret outlives the resource.
        suspended: leave everything as it is.
        secret_format: `DOCKER`, `CONFIG_JSON` or `BASIC_AUTH`, which has one login; not for Argo CD.
        argo: for an ArgoHelmRepoSecret only.
        includes: Secrets whose logins are copied; None where the spec's are not valid: the copied ones stay.
        links: service accounts to link the Secret to; None where the spec's are not valid.
        namespaces: those that a ClusterSecret serves; None for others, and where the spec's are not valid.
        withdrawn: a ClusterSecret no longer serves the namespace: the Secret goes, unless it is an orphan.
        invalid_fields: fields that are not valid; `core.kept_fields` has those that are kept.
        unusable: why no client can use the login, though it is written; None if one can.
        hint: what to know of a login that can be used; empty for nothing.
        refresh_requested: the request for a fresh token that the Secret is to carry as answered.
    """

    key: ResourceKey
    uid: str
    secret_name: str
    logins: tuple[Login, ...]
    frequency: timedelta | None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    orphan: bool = False
    suspended: bool = False
    secret_format: str = DOCKER
    argo: ArgoOptions | None = None
    includes: tuple[str, ...] | None = ()
    links: tuple[LinkSpec, ...] | None = ()
    namespaces: NamespaceSelection | None = None
    withdrawn: bool = False
    invalid_fields: frozenset[str] = frozenset()
    unusable: Problem | None = None
    hint: str = ""
    refresh_requested: str | None = None

    @property
    def may_use_defaults(self) -> bool:
        """Whether a Secret may be made where there is none: defaults do for the fields that are not valid."""
        return not self.invalid_fields & _NO_DEFAULT

    @property
    def target(self) -> str:
        """The registry key or URL that the spec names first."""
        return self.logins[0].key

    @property
    def sources(self) -> tuple[TokenSource, ...]:
        """Whom to ask, each once."""
        return tuple(dict.fromkeys(login.source for login in self.logins))

    @property
    def size(self) -> int:
        """Characters of what may be long."""
        texts = [*self.labels.items(), *self.annotations.items()]
        names = [*(login.key for login in self.logins), *(self.includes or ())]
        return sum(len(key) + len(value) for key, value in texts) + sum(map(len, names))

    @property
    def regions(self) -> tuple[str, ...]:
        """Where they are, each once."""
        return tuple(dict.fromkeys(source.region for source in self.sources))


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One custom resource as last seen.

    Attributes:
        created_at: creationTimestamp, UTC.
        desired: the checked spec; None where the login itself can't be known.
        problem: what is wrong with the spec, if anything.
        status: as the API server holds it.
        refresh_requested: value of the annotation that asks for a fresh token, if it is there.
        left_out: a digest of what `abridged` has left out of the spec; empty while it is whole.
        deleting: it has a deletionTimestamp: nothing is written for it any more.
    """

    key: ResourceKey
    uid: str
    generation: int
    created_at: datetime
    desired: Desired | None
    problem: Problem | None
    status: Mapping[str, Any] = field(repr=False)
    refresh_requested: str | None = None
    left_out: str = ""
    deleting: bool = False

    @property
    def identity(self) -> Identity | None:
        """The AWS identity that it asks for; None where its spec names none that is valid."""
        return self.desired.logins[0].source.identity if self.desired else None

    @property
    def claimed_secret(self) -> tuple[str, str] | None:
        """Namespace and name; None in deletion, and where a ClusterSecret no longer serves the namespace."""
        if self.desired is None or self.deleting or self.desired.withdrawn:
            return None
        return self.key.namespace, self.desired.secret_name

    @property
    def argo_login(self) -> tuple[str, ...] | None:
        """What tells its login from others in Argo CD; None for other kinds, and where it isn't known."""
        desired = self.desired
        if desired is None or desired.argo is None or not desired.may_use_defaults:
            return None
        return self.key.namespace, desired.target, desired.argo.scope, desired.argo.project

    def abridged(self) -> "Resource":
        """The resource as it is kept: the long parts of a large spec are read when it is worked on."""
        desired = self.desired
        # The parts of a ClusterSecret share what it has.
        if desired is None or self.left_out or desired.size <= _MOST_KEPT or self.key.is_part:
            return self
        long = (desired.logins, desired.labels, desired.annotations, desired.includes)
        parts = repr(long).encode(errors="backslashreplace")
        includes = desired.includes if sum(map(len, desired.includes or ())) <= _MOST_KEPT else ()
        short = replace(desired, logins=desired.logins[:1], labels={}, annotations={}, includes=includes)
        return replace(self, desired=short, left_out=hashlib.sha256(parts).hexdigest())

    def part(self, key: ResourceKey, status: Mapping[str, Any], *, withdrawn: bool = False) -> "Resource":
        """What a ClusterSecret asks for in one namespace.

        What is wrong with its spec is reported once, for the whole, unless the login itself can't be known.
        """
        desired = self.desired and replace(self.desired, key=key, withdrawn=withdrawn, namespaces=None)
        problem = None if desired else self.problem
        return replace(self, key=key, desired=desired, problem=problem, status=status)

    def without_spec(self) -> "Resource":
        """The same resource, of which nothing is known but that it exists: nothing is written for it."""
        return replace(self, desired=None)

    def with_problems(self, problems: "Sequence[Problem]") -> "Resource":
        """The same resource, with more that is wrong with its spec."""
        if not problems:
            return self
        before = (self.problem,) if self.problem else ()
        return replace(self, problem=all_in_one((*before, *problems)))

    def with_status(self, status: Mapping[str, Any], refresh_requested: str | None) -> "Resource":
        """The same resource with another status and annotation."""
        if (status, refresh_requested) == (self.status, self.refresh_requested):
            return self
        return replace(self, status=status, refresh_requested=refresh_requested)

    def has_same_spec(self, other: "Resource") -> bool:
        """Whether the other asks for the same: nothing but its status differs."""
        return other.with_status(self.status, other.refresh_requested) == self


def all_in_one(problems: Sequence[Problem]) -> Problem | None:
    """The first one's reason, and what all of them say."""
    if not problems:
        return None
    return Problem(reason=problems[0].reason, message=" ".join(problem.message for problem in problems))
