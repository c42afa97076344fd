"""The custom resources as users write and read them.

The CRDs and docs/reference.md are generated from these models, so a description here is what users read.
Leaves out: their status (statuses), and whether the values are valid (parsing).
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ecr_operator.api.text import LONGEST_NAME, LONGEST_TEXT, MOST_ENTRIES

GROUP: Final = "ecr.mobb.redhat.com"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
DEFAULT_FREQUENCY: Final = "10h"
ABSENT: Final = "absent"

# For fields that v0.6.0 lacks. Its own five have no limits in the CRDs; parsing checks theirs.
Name = Annotated[str, Field(max_length=LONGEST_NAME)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Texts = Annotated[list[Text], Field(max_length=MOST_ENTRIES)]
TextMap = Annotated[dict[str, Text], Field(max_length=MOST_ENTRIES)]


def _absent(value: str) -> dict[str, JsonValue]:
    """The default, for docs/reference.md: the CRDs set none."""
    return {ABSENT: value}


def _in_crd(**limits: int) -> dict[str, JsonValue]:
    """Limits for the CRDs alone; parsing checks the same without refusing the other fields."""
    return dict(limits)


class Reference(BaseModel):
    """An object in the namespace of the generated Secret; another namespace can't be named."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    name: Name = Field(
        default="", description="Name of the object, in the namespace of the generated Secret."
    )


class ServiceAccountLink(BaseModel):
    """A ServiceAccount in the namespace of the generated Secret to link it to."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    name: str = Field(
        description='Name of the ServiceAccount, in the namespace of the generated Secret, or "*" for all, '
        "new ones included.",
        json_schema_extra=_in_crd(maxLength=LONGEST_NAME),
    )
    uses: list[Annotated[str, Field(json_schema_extra=_in_crd(maxLength=LONGEST_TEXT))]] = Field(
        alias="for",
        json_schema_extra=_in_crd(maxItems=MOST_ENTRIES),
        description="What the link is for: pull (imagePullSecrets), mount (secrets), or both, as with "
        "oc secrets link --for.",
    )


class Spec(BaseModel):
    """The fields that all kinds have."""

    target_field: ClassVar[str]

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    generated_secret_name: str = Field(
        description="Name of the Secret that the operator creates, in the namespace of this resource."
    )
    region: str | None = Field(
        default=None,
        description="AWS region to request the token from. When absent, it is read from the registry's host "
        "name. Required for hosts that don't name it, such as a proxy in front of ECR.",
    )
    frequency: str | None = Field(
        default=None,
        description="The longest time between two refreshes, as a Go duration such as 10h or 90m. "
        f"{DEFAULT_FREQUENCY} when absent. Whatever the value, a token is refreshed before it expires, and "
        "calls to AWS are rate limited.",
        json_schema_extra=_absent(DEFAULT_FREQUENCY),
    )
    role_arn: Text | None = Field(
        default=None,
        description="ARN of an IAM role to assume before requesting the token, for another account or fewer "
        "permissions. From the operator's own identity, only roles that the operator's flag "
        "--permitted-roles or the namespace's annotation ecr.mobb.redhat.com/permitted-roles permits can be "
        "assumed.",
    )
    secret_labels: TextMap | None = Field(
        default=None,
        description="Labels to add to the generated Secret. Removed from it when removed here.",
    )
    secret_annotations: TextMap | None = Field(
        default=None,
        description="Annotations to add to the generated Secret. Removed from it when removed here.",
    )
    deletion_policy: Text | None = Field(
        default=None,
        description="Delete (the default): the generated Secret is deleted with this resource. Orphan: it "
        "is kept.",
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


class NamespaceIdentity(BaseModel):
    """Identities in the resource's own namespace, for the kinds that are in one."""

    service_account: Reference | None = Field(
        default=None,
        description="A ServiceAccount in this namespace to use in place of the operator's identity. Its "
        "token for the audience sts.amazonaws.com is exchanged for the role in role_arn, or for the one in "
        "its annotation eks.amazonaws.com/role-arn.",
    )
    aws_iam_secret: Reference | None = Field(
        default=None,
        description="A Secret in this namespace with AWS keys to use in place of the operator's identity: "
        "aws_access_key_id, aws_secret_access_key and, for temporary keys, aws_session_token. "
        "If role_arn is set, that role is assumed with them.",
    )


class PullSecretSpec(Spec):
    """A pull secret: a login for image pulls and pushes."""

    target_field = "ecr_registry"

    ecr_registry: str = Field(
        description="Registry host to log in to, such as 123456789012.dkr.ecr.us-east-2.amazonaws.com. "
        "Written verbatim as the key in the generated dockerconfigjson."
    )

    additional_registries: Texts | None = Field(
        default=None,
        description="More registry hosts to log in to with the same Secret, in any account and region. "
        "Each must be an ECR host, which names its own region, or a host in spec.region. A host that "
        "can't be used is reported and left out.",
    )

    include_logins_from: list[Reference] | None = Field(
        default=None,
        description="Secrets in the namespace of the generated Secret, of type "
        "kubernetes.io/dockerconfigjson or dockercfg, whose logins are copied into it, so that one Secret "
        "serves ECR and other registries. A change there is copied within 30 s. For the registries of this "
        "resource, its own logins are used. At most 64 KiB each, and 512 KiB together.",
        json_schema_extra=_in_crd(maxItems=MOST_ENTRIES),
    )

    secret_format: Text | None = Field(
        default=None,
        description="The form of the generated Secret. dockerconfigjson (the default): a pull secret. "
        "config.json: the same content in a Secret of type Opaque under the key config.json, for tools that "
        "mount it as Docker's configuration. basic-auth: a Secret of type kubernetes.io/basic-auth, for one "
        "registry only. A Secret whose type must change is deleted and created again.",
        json_schema_extra=_absent("dockerconfigjson"),
    )

    link_service_accounts: list[ServiceAccountLink] | None = Field(
        default=None,
        description="ServiceAccounts in the namespace of the generated Secret to link it to. A link is "
        "removed when it is removed here or this resource is deleted; links that others made are kept. "
        "Requires the RBAC rules in config/rbac/link-service-accounts.",
        json_schema_extra=_in_crd(maxItems=MOST_ENTRIES),
    )


class SecretSpec(NamespaceIdentity, PullSecretSpec):
    """A pull secret in the resource's own namespace."""


class NamespaceRequirement(BaseModel):
    """One requirement of a label selector, as in Kubernetes' own kinds."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    key: Text = Field(description="The label that the requirement is for.")
    operator: Text = Field(description="In, NotIn, Exists or DoesNotExist.")
    values: Texts | None = Field(
        default=None, description="For In and NotIn: the values of the label, at least one."
    )


class NamespaceLabels(BaseModel):
    """A label selector, as in Kubernetes' own kinds: every requirement must be met."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    matchLabels: TextMap | None = Field(default=None, description="Labels that a namespace must have.")
    matchExpressions: list[NamespaceRequirement] | None = Field(
        default=None,
        description="Requirements on the labels of a namespace.",
        max_length=MOST_ENTRIES,
    )


class Namespaces(BaseModel):
    """The namespaces that a ClusterSecret serves."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    selector: NamespaceLabels | None = Field(
        default=None, description="Serve namespaces with these labels. An empty selector is every namespace."
    )
    names: Texts | None = Field(
        default=None, description="Serve namespaces of these names too. * and ? are wildcards."
    )
    exclude: Texts | None = Field(
        default=None,
        description="Don't serve namespaces of these names, whatever selects them. * and ? are wildcards.",
    )


class ClusterSecretSpec(PullSecretSpec):
    """A pull secret in each of many namespaces, with the operator's identity or a role."""

    generated_secret_name: str = Field(
        description="Name of the Secret that the operator creates in each namespace that it serves."
    )
    role_arn: Text | None = Field(
        default=None,
        description="ARN of an IAM role to assume before requesting the token, for another account or fewer "
        "permissions. The operator's flag --permitted-roles must cover it.",
    )
    namespaces: Namespaces = Field(
        description="The namespaces to serve: those that selector or names select, less those that exclude "
        "names. At least one of selector and names is required. In a namespace that is no longer served, "
        "the generated Secret is deleted, unless deletion_policy is Orphan."
    )


class ArgoHelmRepoSecretSpec(NamespaceIdentity, Spec):
    """An Argo CD repository Secret."""

    target_field = "url"

    url: str = Field(
        description="Repository URL, with or without scheme and path, such as "
        "123456789012.dkr.ecr.us-east-2.amazonaws.com. Written verbatim into the generated Secret."
    )

    credential_scope: Text | None = Field(
        default=None,
        description="repository (the default): the login is for exactly this URL. repo-creds: it is for "
        "every repository under the URL.",
        json_schema_extra=_absent("repository"),
    )
    repo_type: Text | None = Field(
        default=None,
        description="How Argo CD treats the repository: helm (the default) or oci.",
        json_schema_extra=_absent("helm"),
    )
    project: Name | None = Field(
        default=None,
        description="The only Argo CD project that may use the repository. Any project when absent. Not "
        "valid with credential_scope: repo-creds, where Argo CD ignores it.",
    )


CLUSTER: Final = "ClusterSecret"
Kind = Literal["Secret", "ArgoHelmRepoSecret", "ClusterSecret"]
SPECS: Final[Mapping[str, type[Spec]]] = {
    "Secret": SecretSpec,
    "ArgoHelmRepoSecret": ArgoHelmRepoSecretSpec,
    CLUSTER: ClusterSecretSpec,
}
PLURALS: Final[Mapping[str, str]] = {
    "Secret": "secrets",
    "ArgoHelmRepoSecret": "argohelmreposecrets",
    CLUSTER: "clustersecrets",
}
SHORT_NAMES: Final[Mapping[str, str]] = {
    "Secret": "ecrsecret",
    "ArgoHelmRepoSecret": "argohelmrepo",
    CLUSTER: "ecrclustersecret",
}
KINDS: Final[tuple[str, ...]] = get_args(Kind)
NAMESPACED_KINDS: Final = tuple(kind for kind in KINDS if kind != CLUSTER)
