"""The result of one refresh, from which condition, Event and log line all derive.

Leaves out: how each of them words it (conditions, kube.events, telemetry.logs).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one refresh did and why.

    Attributes:
        reason: the one word for it.
        message: a sentence for the user, with no secret in it.
        succeeded: whether the generated Secret now is as the spec wants it.
        fits: whether the generated Secret that exists fits the spec (its token may be dead).
        permanent: only a person can mend it.
        times: those of the token in the generated Secret, where there is one.
    """

    reason: Reason
    message: str
    succeeded: bool
    fits: bool
    permanent: bool = False
    times: TokenTimes | None = None
