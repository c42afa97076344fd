"""The outcome of one pass, from which condition, Event, metric and log line are all made.

Leaves out: how each is written (core.status, kube.events, telemetry).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.text import one_line


class Reason(StrEnum):
    """The one enumeration for conditions, Events, metrics and logs."""

    REFRESHED = "Refreshed"
    PENDING = "Pending"
    SUSPENDED = "Suspended"
    INVALID_SPEC = "InvalidSpec"
    INVALID_REGISTRY = "InvalidRegistry"
    REGION_MISMATCH = "RegionMismatch"
    SECRET_CONFLICT = "SecretConflict"
    CREDENTIALS_MISSING = "CredentialsMissing"
    ROLE_NOT_PERMITTED = "RoleNotPermitted"
    ACCESS_DENIED = "AccessDenied"
    CREDENTIALS_EXPIRED = "CredentialsExpired"
    THROTTLED = "Throttled"
    AWS_UNAVAILABLE = "AWSUnavailable"
    INVALID_TOKEN_RESPONSE = "InvalidTokenResponse"
    TOKEN_EXPIRED = "TokenExpired"
    KUBERNETES_FORBIDDEN = "KubernetesForbidden"
    KUBERNETES_REFUSED = "KubernetesRefused"
    KUBERNETES_UNAVAILABLE = "KubernetesUnavailable"
    ADOPTED = "Adopted"
    REPAIRED = "Repaired"
    FIELDS_CONTESTED = "FieldsContested"
    PARTLY_REFRESHED = "PartlyRefreshed"
    LINK_FAILED = "LinkFailed"


# For docs/reference.md and docs/troubleshooting.md.
MEANINGS: Final[Mapping[Reason, str]] = {
    Reason.REFRESHED: "The Secret holds a token as the spec describes it",
    Reason.PENDING: "The call to AWS has not finished yet",
    Reason.SUSPENDED: "`spec.suspend` is true",
    Reason.INVALID_SPEC: "A field of the spec is not valid",
    Reason.INVALID_REGISTRY: "No client can match this registry or URL with an image or chart, or the "
    "cluster admin does not allow it",
    Reason.REGION_MISMATCH: "`region` is not the region in the host name",
    Reason.SECRET_CONFLICT: "A Secret of that name exists and is not the resource's own",
    Reason.CREDENTIALS_MISSING: "There is no AWS identity, or its source can't be read",
    Reason.ROLE_NOT_PERMITTED: "The cluster admin's settings do not permit this role, or the operator's "
    "identity, for this namespace",
    Reason.ACCESS_DENIED: "IAM denies the call, or AWS does not accept the keys or the signature",
    Reason.CREDENTIALS_EXPIRED: "AWS reports that the session has expired",
    Reason.THROTTLED: "AWS throttles the calls",
    Reason.AWS_UNAVAILABLE: "DNS, TLS, network or proxy failure, a timeout, or a 5xx answer",
    Reason.INVALID_TOKEN_RESPONSE: "AWS answered without a token, or with one that has already expired",
    Reason.TOKEN_EXPIRED: "The token in the Secret has expired",
    Reason.KUBERNETES_FORBIDDEN: "The operator lacks a permission in the cluster",
    Reason.KUBERNETES_REFUSED: "An admission webhook or policy, a quota, or a namespace in deletion refused "
    "the write",
    Reason.KUBERNETES_UNAVAILABLE: "The API server is unreachable or throttles, or another writer was faster",
    Reason.ADOPTED: "An existing Secret became the resource's own",
    Reason.REPAIRED: "A Secret that was edited or deleted has been restored",
    Reason.FIELDS_CONTESTED: "Another writer keeps changing the Secret",
    Reason.PARTLY_REFRESHED: "Some registries failed; the others were refreshed",
    Reason.LINK_FAILED: "The Secret is up to date, but not linked to a ServiceAccount",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceKey:
    """Names one custom resource; `kind` is one of `KINDS`.

    A ClusterSecret, without a namespace, is reported as one resource. What it asks for in one namespace is a
    part, which has that namespace in its key and is reconciled like a Secret.
    """

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def is_cluster(self) -> bool:
        """Whether it names a ClusterSecret, and not a part of one."""
        return self.kind == CLUSTER and not self.namespace

    @property
    def is_part(self) -> bool:
        """Whether it names what a ClusterSecret asks for in one namespace."""
        return self.kind == CLUSTER and bool(self.namespace)

    @property
    def cluster(self) -> "ResourceKey":
        """The ClusterSecret that a part belongs to."""
        return ResourceKey(kind=self.kind, namespace="", name=self.name)

    @property
    def group(self) -> str:
        """Whose share of workers and calls it counts against: its namespace's, or a ClusterSecret's own."""
        if self.kind != CLUSTER:
            return self.namespace
        # The status of a ClusterSecret does not wait for its many parts.
        return f"{CLUSTER}/{self.name}" if self.namespace else f"{CLUSTER}/{self.name}/status"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTimes:
    """When the token in a generated Secret was fetched and when it expires, in UTC."""

    issued_at: datetime
    expires_at: datetime

    @classmethod
    def earliest(cls, held: "Iterable[TokenTimes]") -> "TokenTimes":
        """Of several tokens together: as old as the oldest, and expired with the first."""
        issued, expired = zip(*((times.issued_at, times.expires_at) for times in held), strict=True)
        return cls(issued_at=min(issued), expires_at=min(expired))


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What a ClusterSecret has come to in its namespaces.

    Attributes:
        served: namespaces that it serves.
        ready: those whose Secret is ready.
        failing: namespaces in which the last attempt failed, with reason and message; the first few by name.
        failing_count: how many there are.
        not_ready: reason and message of the first namespace by name that is not ready; None if all are.
        namespaces: the last valid value of `spec.namespaces`; empty where it is not known, or is too large.
    """

    served: int
    ready: int
    failing: tuple[tuple[str, str, str], ...] = ()
    failing_count: int = 0
    not_ready: tuple[str, str] | None = None
    namespaces: Mapping[str, Any] = field(default_factory=dict)


_NO_ATTEMPTS = frozenset({Reason.PENDING, Reason.SUSPENDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is reported of one pass.

    Attributes:
        message: a sentence for the user, with nothing secret in it; cut to one printable line.
        succeeded: the generated Secret now is as the spec describes it.
        fits: the generated Secret that exists matches the spec; its token may have expired.
        permanent: someone has to change something.
        times: of the token in the generated Secret, where there is one.
        secret: name of the resource's own generated Secret, whichever spec it was made from.
        unusable: why no client can use the login; empty where one can.
        hint: what to know about a success.
        coverage: for a ClusterSecret only; `fits` then means that each Secret does and is alive.
    """

    reason: Reason
    message: str
    succeeded: bool
    fits: bool
    permanent: bool = False
    times: TokenTimes | None = None
    secret: str | None = None
    unusable: str = ""
    hint: str = ""
    coverage: Coverage | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", one_line(self.message))

    @property
    def is_failure(self) -> bool:
        """Whether an attempt failed; waiting and suspended are not."""
        return not self.succeeded and self.reason not in _NO_ATTEMPTS
