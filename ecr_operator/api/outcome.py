"""The result of one refresh, from which condition, Event and log line all derive.

Leaves out: how each of them words it (conditions, kube.events, telemetry.logs).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from ecr_operator.api.text import one_line


class Reason(StrEnum):
    """Why something is as it is; the one enumeration that users see everywhere."""

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


# What users read of each reason, in docs/reference.md and docs/troubleshooting.md.
MEANINGS: Final[Mapping[Reason, str]] = {
    Reason.REFRESHED: "The Secret holds a token that fits the spec",
    Reason.PENDING: "AWS is being asked and takes its time",
    Reason.SUSPENDED: "`spec.suspend` is true",
    Reason.INVALID_SPEC: "A field of the spec is not valid",
    Reason.INVALID_REGISTRY: "No client finds the login by this registry or URL, or the cluster admin does "
    "not allow it",
    Reason.REGION_MISMATCH: "`region` is not the one in the host name",
    Reason.SECRET_CONFLICT: "A Secret of that name is somebody else's",
    Reason.CREDENTIALS_MISSING: "There is no AWS identity, or what tells it can't be read",
    Reason.ROLE_NOT_PERMITTED: "The cluster admin's settings do not allow this role, or the operator's "
    "identity, to this namespace",
    Reason.ACCESS_DENIED: "IAM denies, or does not know the keys or the signature",
    Reason.CREDENTIALS_EXPIRED: "AWS says that the session has expired",
    Reason.THROTTLED: "AWS asks for patience",
    Reason.AWS_UNAVAILABLE: "DNS, TLS, network, proxy, a timeout or a 5xx",
    Reason.INVALID_TOKEN_RESPONSE: "An answer that is no token, or one that is dead already",
    Reason.TOKEN_EXPIRED: "The token in the Secret is dead",
    Reason.KUBERNETES_FORBIDDEN: "The operator's role does not allow it",
    Reason.KUBERNETES_REFUSED: "Admission, a quota, or a namespace that is going",
    Reason.KUBERNETES_UNAVAILABLE: "The API server is away, throttles, or another writer was first",
    Reason.ADOPTED: "A Secret that was there already became the resource's own",
    Reason.REPAIRED: "A Secret that was edited or deleted was put right",
    Reason.FIELDS_CONTESTED: "Another writer keeps changing the Secret",
    Reason.PARTLY_REFRESHED: "Some of the registries failed, the others are fresh",
    Reason.LINK_FAILED: "The Secret is well, but not linked to a service account",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceKey:
    """Names one custom resource.

    Attributes:
        kind: `Secret` or `ArgoHelmRepoSecret`.
        namespace: its namespace.
        name: its name.
    """

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTimes:
    """When the token in a generated Secret was fetched and when it dies, in UTC."""

    issued_at: datetime
    expires_at: datetime


_NO_ATTEMPTS = frozenset({Reason.PENDING, Reason.SUSPENDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one refresh did and why.

    Attributes:
        reason: the one word for it.
        message: a sentence for the user, with no secret in it; one printable line of bounded length, whatever
            it is made from.
        succeeded: whether the generated Secret now is as the spec wants it.
        fits: whether the generated Secret that exists fits the spec (its token may be dead).
        permanent: a person has to change something.
        times: those of the token in the generated Secret, where there is one.
        secret: name of the resource's own generated Secret that exists, by whatever spec it was made.
        unusable: why no client can use the login; empty where one can.
        hint: what to know of a success; empty for nothing.
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", one_line(self.message))

    @property
    def is_failure(self) -> bool:
        """Whether something was tried in vain; to wait, or to leave all as the user wishes, is none."""
        return not self.succeeded and self.reason not in _NO_ATTEMPTS
