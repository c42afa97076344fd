"""The two custom resources, as users write them.

Invariant: whatever the API server may hold parses to a Resource; what is wrong with it is a Problem
on that one resource. The CRDs are made from these models, so a description here is what users read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ecr_operator.model.durations import parse_go_duration
from ecr_operator.model.errors import OperatorError
from ecr_operator.model.identities import OPERATOR, Identity, check_role_arn
from ecr_operator.model.labels import check_annotations, check_labels
from ecr_operator.model.outcome import Reason, ResourceKey
from ecr_operator.model.quote import quote
from ecr_operator.model.registries import token_source
from ecr_operator.model.tokens import TokenSource

GROUP: Final = "ecr.mobb.redhat.com"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
DEFAULT_FREQUENCY: Final = "10h"
ORPHAN: Final = "Orphan"
REFRESH_REQUESTED: Final = f"{GROUP}/refresh-requested-at"

_SECRET_NAME_LENGTH: Final = 253
_LONGEST_REQUEST: Final = 64
_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SECRET_NAME = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")

Time = Annotated[str, StringConstraints(), Field(json_schema_extra={"format": "date-time"})]


class Reference(BaseModel):
    """Names an object of the resource's own namespace; another namespace can't be named."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    name: str = Field(default="", description="Name of the object, in the namespace of this resource.")


class Spec(BaseModel):
    """What both kinds have in common."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    generated_secret_name: str = Field(
        description="Name of the Secret that the operator writes, in the namespace of this resource."
    )
    region: str | None = Field(
        default=None,
        description="AWS region to ask for the token. When absent, it is read from the registry's host name; "
        "needed for a host that is not ECR's own, such as a proxy in front of it.",
    )
    frequency: str | None = Field(
        default=None,
        description="The longest time between two refreshes, as a Go duration such as 10h or 90m. "
        f"{DEFAULT_FREQUENCY} when absent. A token is refreshed before it expires whatever stands here, "
        "and AWS is not asked more often than is safe.",
    )
    role_arn: str | None = Field(
        default=None,
        description="ARN of an IAM role to assume before ECR is asked, for another account or fewer rights. "
        "From the operator's own identity only roles are assumed that the operator's flag --permitted-roles "
        "or the namespace's annotation ecr.mobb.redhat.com/permitted-roles permits.",
    )
    service_account: Reference | None = Field(
        default=None,
        description="A ServiceAccount of this namespace to act as, in place of the operator: its token for "
        "the audience sts.amazonaws.com is exchanged for the role in role_arn, or for that in its annotation "
        "eks.amazonaws.com/role-arn.",
    )
    aws_iam_secret: Reference | None = Field(
        default=None,
        description="A Secret of this namespace with AWS keys to use, in place of the operator's: "
        "aws_access_key_id, aws_secret_access_key and, for temporary keys, aws_session_token. "
        "With role_arn, that role is assumed with them.",
    )
    secret_labels: dict[str, str] | None = Field(
        default=None,
        description="Labels to put on the generated Secret; taken off again when they go from here.",
    )
    secret_annotations: dict[str, str] | None = Field(
        default=None,
        description="Annotations to put on the generated Secret; taken off again when they go from here.",
    )
    deletion_policy: str | None = Field(
        default=None,
        description="Delete (the default): the generated Secret goes with this resource. Orphan: it stays.",
    )
    suspend: bool | None = Field(
        default=None,
        description="While true, nothing is refreshed, repaired or deleted for this resource.",
    )

    @property
    def target(self) -> str:
        """The registry key or URL that the token is for, as the user wrote it."""
        raise NotImplementedError


class SecretSpec(Spec):
    """What a Secret for image pulls and pushes should be."""

    ecr_registry: str = Field(
        description="Registry host that the login is for, such as "
        "123456789012.dkr.ecr.us-east-2.amazonaws.com. "
        "Written verbatim as the key of the generated dockerconfigjson."
    )

    @property
    def target(self) -> str:
        """The registry host."""
        return self.ecr_registry


class ArgoHelmRepoSecretSpec(Spec):
    """What an Argo CD repository Secret should be."""

    url: str = Field(
        description="Repository URL, with or without scheme and path, such as "
        "123456789012.dkr.ecr.us-east-2.amazonaws.com. Written verbatim into the generated Secret."
    )

    @property
    def target(self) -> str:
        """The repository URL."""
        return self.url


class Condition(BaseModel):
    """One condition, as the Kubernetes API conventions have it."""

    type: str = Field(description="What is told: Ready, Refreshed or Stalled.", min_length=1, max_length=316)
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    observedGeneration: int | None = Field(
        default=None, description="The generation of the spec that this was told of.", ge=0
    )
    lastTransitionTime: Time = Field(description="When the status last changed.")
    reason: str = Field(description="The reason in one word.", max_length=1024)
    message: str = Field(description="What happened and what to do next.", max_length=32768)


class Status(BaseModel):
    """What the operator tells of a resource. Every time is UTC."""

    phase: str | None = Field(
        default=None, description="The state in one word: Updated, Failed, Pending or Suspended."
    )
    lastUpdatedTime: Time | None = Field(
        default=None, description="When the token in the generated Secret was fetched from AWS."
    )
    observedGeneration: int | None = Field(
        default=None, description="The generation of the spec that this status tells of."
    )
    secretName: str | None = Field(default=None, description="Name of the generated Secret that exists.")
    expirationTime: Time | None = Field(
        default=None, description="When the token in the generated Secret expires."
    )
    nextRefreshTime: Time | None = Field(default=None, description="When the token is refreshed next.")
    conditions: list[Condition] | None = Field(
        default=None,
        description="Ready: the generated Secret holds a live token that fits the spec. "
        "Refreshed: the last attempt succeeded. Stalled: only a person can mend it.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


Kind = Literal["Secret", "ArgoHelmRepoSecret"]
SPECS: Final[Mapping[str, type[Spec]]] = {"Secret": SecretSpec, "ArgoHelmRepoSecret": ArgoHelmRepoSecretSpec}
PLURALS: Final[Mapping[str, str]] = {"Secret": "secrets", "ArgoHelmRepoSecret": "argohelmreposecrets"}
KINDS: Final[tuple[str, ...]] = get_args(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with a spec, in words for its author."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A spec that has been checked.

    Attributes:
        secret_name: of the generated Secret, a DNS name.
        target: the registry key or URL, verbatim.
        source: whom to ask for the token.
        frequency: longest time between refreshes; None where the spec's can't be parsed.
        labels: for the generated Secret, beside the operator's own.
        annotations: the same.
        orphan: the Secret outlives the resource.
        suspended: leave everything as it is.
    """

    secret_name: str
    target: str
    source: TokenSource
    frequency: timedelta | None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    orphan: bool = False
    suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One custom resource as last seen.

    Attributes:
        key: kind, namespace and name.
        uid: of this very object.
        generation: counts changes of the spec.
        created_at: creationTimestamp, UTC.
        wanted: the checked spec; None where it makes no sense at all.
        problem: what is wrong with the spec, if anything.
        status: as the API server holds it.
        refresh_requested: value of the annotation that asks for a fresh token, if it is there.
    """

    key: ResourceKey
    uid: str
    generation: int
    created_at: datetime
    wanted: Wanted | None
    problem: Problem | None
    status: Mapping[str, Any] = field(repr=False)
    refresh_requested: str | None = None

    def with_status(self, status: Mapping[str, Any], refresh_requested: str | None) -> "Resource":
        """The same resource with another status and annotation."""
        return replace(self, status=status, refresh_requested=refresh_requested)

    def is_same_wish(self, other: "Resource") -> bool:
        """Whether the other asks for the same: nothing but its status differs."""
        return other.with_status(self.status, other.refresh_requested) == self


def parse_resource(kind: str, raw: Mapping[str, Any]) -> Resource:
    """Make a Resource of what the API server sent.

    Args:
        kind: which of `KINDS` the object was listed as.
        raw: the object; `metadata` is the server's and trusted, all else is not.
    """
    metadata = raw["metadata"]
    key = ResourceKey(kind=kind, namespace=metadata["namespace"], name=metadata["name"])
    wanted, problem = _parse_spec(key, raw.get("spec"))
    return Resource(
        key=key,
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        created_at=parse_time(metadata.get("creationTimestamp")) or datetime.fromtimestamp(0, UTC),
        wanted=wanted,
        problem=problem,
        status=status_of(raw),
        refresh_requested=requested_refresh(metadata),
    )


def requested_refresh(metadata: Mapping[str, Any]) -> str | None:
    """The value of the annotation that asks for a fresh token, cut to what an annotation should hold."""
    value = (metadata.get("annotations") or {}).get(REFRESH_REQUESTED)
    return value[:_LONGEST_REQUEST] if value else None


def status_of(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The status of an object, empty where there is none that makes sense."""
    status = raw.get("status")
    return status if isinstance(status, Mapping) else {}


def parse_time(text: object) -> datetime | None:
    """An RFC 3339 time as UTC, or None if it is none."""
    if not isinstance(text, str):
        return None
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None


def format_time(time: datetime) -> str:
    """UTC, RFC 3339, with seconds."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _parse_spec(key: ResourceKey, raw: object) -> tuple[Wanted | None, Problem | None]:
    try:
        spec = SPECS[key.kind].model_validate(raw)
        _check_name("generated_secret_name", spec.generated_secret_name, "Secret")
        _check_deletion_policy(spec.deletion_policy)
        check_labels(spec.secret_labels or {})
        check_annotations(spec.secret_annotations or {})
        source = replace(
            token_source(spec.target, spec.region), identity=_parse_identity(spec, key.namespace)
        )
    except ValidationError as error:
        return None, Problem(reason=Reason.INVALID_SPEC, message=_in_words(error))
    except ValueError as error:
        return None, Problem(reason=Reason.INVALID_SPEC, message=str(error))
    except OperatorError as error:
        return None, Problem(reason=error.reason, message=error.message)
    frequency, problem = _parse_frequency(spec.frequency)
    wanted = Wanted(
        secret_name=spec.generated_secret_name,
        target=spec.target,
        source=source,
        frequency=frequency,
        labels=spec.secret_labels or {},
        annotations=spec.secret_annotations or {},
        orphan=spec.deletion_policy == ORPHAN,
        suspended=bool(spec.suspend),
    )
    return wanted, problem


def _parse_identity(spec: Spec, namespace: str) -> Identity:
    if spec.service_account and spec.aws_iam_secret:
        raise ValueError(
            "spec.service_account and spec.aws_iam_secret both say who asks AWS: take one of them out."
        )
    role = spec.role_arn
    if role is not None:
        check_role_arn(role)
    if spec.service_account:
        name = _check_name("service_account.name", spec.service_account.name, "ServiceAccount")
        return Identity(source="service_account", namespace=namespace, name=name, role_arn=role or "")
    if spec.aws_iam_secret:
        name = _check_name("aws_iam_secret.name", spec.aws_iam_secret.name, "Secret")
        return Identity(source="iam_secret", namespace=namespace, name=name, role_arn=role or "")
    return Identity(namespace=namespace, role_arn=role) if role else OPERATOR


def _check_name(field: str, name: str, kind: str) -> str:
    if len(name) > _SECRET_NAME_LENGTH or not _SECRET_NAME.fullmatch(name):
        raise ValueError(
            f"spec.{field} {quote(name)} is no name for a {kind}: "
            "use lower case letters, digits, '-' and '.', at most 253."
        )
    return name


def _check_deletion_policy(policy: str | None) -> None:
    if policy not in (None, "Delete", ORPHAN):
        raise ValueError(f"spec.deletion_policy {quote(policy)} is neither Delete nor Orphan.")


def _parse_frequency(text: str | None) -> tuple[timedelta | None, Problem | None]:
    try:
        return parse_go_duration(DEFAULT_FREQUENCY if text is None else text), None
    except ValueError as error:
        return None, Problem(reason=Reason.INVALID_SPEC, message=f"spec.frequency: {error}.")


def _in_words(error: ValidationError) -> str:
    """What pydantic found, without the values."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    wrong = (
        f"{'.'.join(['spec', *map(str, detail['loc'])])} {_MEANINGS.get(detail['type'], detail['msg'])}"
        for detail in found
    )
    return f"{'; '.join(wrong)}."


_MEANINGS: Final = {
    "missing": "is missing",
    "string_type": "must be a string; put quotes around it",
    "model_type": "must be an object with fields",
    "model_attributes_type": "must be an object with fields",
}
