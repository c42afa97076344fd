"""The two custom resources, as users write them and read them.

The CRDs are made from these models, so a description here is what users read.
Leaves out: what the values mean, and whether they make sense (parsing).
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from ecr_operator.api.bounds import LONGEST_NAME, LONGEST_TEXT, MOST_ENTRIES

GROUP: Final = "ecr.mobb.redhat.com"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
DEFAULT_FREQUENCY: Final = "10h"
ABSENT: Final = "absent"
CONDITIONS: Final[Mapping[str, str]] = {
    "Ready": "the generated Secret holds a live token for the spec's registry or URL, and some client can "
    "use it.",
    "Refreshed": "the last attempt succeeded.",
    "Stalled": "a person has to correct something.",
}

# For fields that v0.6.0 lacks: its own five have no limits in the CRDs, and their parsers know them.
Name = Annotated[str, Field(max_length=LONGEST_NAME)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Texts = Annotated[list[Text], Field(max_length=MOST_ENTRIES)]
TextMap = Annotated[dict[str, Text], Field(max_length=MOST_ENTRIES)]
Time = Annotated[str, StringConstraints(), Field(json_schema_extra={"format": "date-time"})]


def _absent(value: str) -> dict[str, JsonValue]:
    """Note what leaving a field out amounts to; for docs/reference.md, since the CRDs set nothing."""
    return {ABSENT: value}


def _in_crd(**limits: int) -> dict[str, JsonValue]:
    """Limits for the CRDs alone: the field's own parser checks the same, and spoils no other field."""
    return dict(limits)


class Reference(BaseModel):
    """Names an object of the resource's own namespace; another namespace can't be named."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    name: Name = Field(default="", description="Name of the object, in the namespace of this resource.")


class ServiceAccountLink(BaseModel):
    """Names a ServiceAccount of the resource's own namespace to link the generated Secret to."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    name: str = Field(
        description="Name of the ServiceAccount, in the namespace of this resource.",
        json_schema_extra=_in_crd(maxLength=LONGEST_NAME),
    )
    uses: list[Annotated[str, Field(json_schema_extra=_in_crd(maxLength=LONGEST_TEXT))]] = Field(
        alias="for",
        json_schema_extra=_in_crd(maxItems=MOST_ENTRIES),
        description="What the link is for: pull (imagePullSecrets), mount (secrets), or both; "
        "as oc secrets link --for has it.",
    )


class Spec(BaseModel):
    """What both kinds have in common."""

    target_field: ClassVar[str]

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
        json_schema_extra=_absent(DEFAULT_FREQUENCY),
    )
    role_arn: Text | None = Field(
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
    secret_labels: TextMap | None = Field(
        default=None,
        description="Labels to put on the generated Secret; taken off again when they go from here.",
    )
    secret_annotations: TextMap | None = Field(
        default=None,
        description="Annotations to put on the generated Secret; taken off again when they go from here.",
    )
    deletion_policy: Text | None = Field(
        default=None,
        description="Delete (the default): the generated Secret goes with this resource. Orphan: it stays.",
        json_schema_extra=_absent("Delete"),
    )
    suspend: bool | None = Field(
        default=None,
        description="While true, nothing is refreshed, repaired or deleted for this resource.",
        json_schema_extra=_absent("false"),
    )

    @property
    def target(self) -> str:
        """The registry key or URL that the token is for, as the user wrote it."""
        return str(getattr(self, self.target_field))


class SecretSpec(Spec):
    """What a Secret for image pulls and pushes should be."""

    target_field = "ecr_registry"

    ecr_registry: str = Field(
        description="Registry host that the login is for, such as "
        "123456789012.dkr.ecr.us-east-2.amazonaws.com. "
        "Written verbatim as the key of the generated dockerconfigjson."
    )

    additional_registries: Texts | None = Field(
        default=None,
        description="More registry hosts to log in to with the same Secret, of any account and region. "
        "Each must be an ECR host, which names its own region, or a host of spec.region; one that can't be "
        "used is reported and left out.",
    )

    link_service_accounts: list[ServiceAccountLink] | None = Field(
        default=None,
        description="ServiceAccounts of this namespace that the generated Secret is linked to. A link goes "
        "when it goes from here or when this resource is deleted; one that somebody else made stays. "
        "Needs the rules of config/rbac/link-service-accounts.",
        json_schema_extra=_in_crd(maxItems=MOST_ENTRIES),
    )


class ArgoHelmRepoSecretSpec(Spec):
    """What an Argo CD repository Secret should be."""

    target_field = "url"

    url: str = Field(
        description="Repository URL, with or without scheme and path, such as "
        "123456789012.dkr.ecr.us-east-2.amazonaws.com. Written verbatim into the generated Secret."
    )

    credential_scope: Text | None = Field(
        default=None,
        description="repository (the default): the login is for this very URL. repo-creds: it serves every "
        "repository under the URL.",
        json_schema_extra=_absent("repository"),
    )
    repo_type: Text | None = Field(
        default=None,
        description="What Argo CD takes the repository for: helm (the default) or oci.",
        json_schema_extra=_absent("helm"),
    )
    project: Name | None = Field(
        default=None,
        description="The Argo CD project that alone may use the repository. Any when absent. Not "
        "with credential_scope: repo-creds, where Argo CD ignores it.",
    )


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
        description=" ".join(f"{name}: {meaning}" for name, meaning in CONDITIONS.items()),
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


Kind = Literal["Secret", "ArgoHelmRepoSecret"]
SPECS: Final[Mapping[str, type[Spec]]] = {"Secret": SecretSpec, "ArgoHelmRepoSecret": ArgoHelmRepoSecretSpec}
PLURALS: Final[Mapping[str, str]] = {"Secret": "secrets", "ArgoHelmRepoSecret": "argohelmreposecrets"}
SHORT_NAMES: Final[Mapping[str, str]] = {"Secret": "ecrsecret", "ArgoHelmRepoSecret": "argohelmrepo"}
KINDS: Final[tuple[str, ...]] = get_args(Kind)
