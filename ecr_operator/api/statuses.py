"""The status of the custom resources, as users read it.

The CRDs and docs/reference.md are generated from these models, as from kinds.
Leaves out: what a status has when (core.status).
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field, StringConstraints

from ecr_operator.api.kinds import CLUSTER, Name, Namespaces

MOST_FAILING: Final = 20  # namespaces that a status lists
CONDITIONS: Final[Mapping[str, str]] = {
    "Ready": "the generated Secret holds a live token for the spec's registry or URL, and some client can "
    "use it.",
    "Refreshed": "the last attempt succeeded.",
    "Stalled": "someone has to change something; retries alone will not succeed.",
}

Time = Annotated[str, StringConstraints(), Field(json_schema_extra={"format": "date-time"})]


class Condition(BaseModel):
    """One condition, by the Kubernetes API conventions."""

    type: str = Field(description="Ready, Refreshed or Stalled.", min_length=1, max_length=316)
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    observedGeneration: int | None = Field(
        default=None, description="The generation of the spec that the condition was set for.", ge=0
    )
    lastTransitionTime: Time = Field(description="When the condition's status last changed.")
    reason: str = Field(description="The reason, in one word.", max_length=1024)
    message: str = Field(description="What happened and what to do about it.", max_length=32768)


class Status(BaseModel):
    """What the operator reports. Every time is UTC."""

    phase: str | None = Field(default=None, description="Updated, Failed, Pending or Suspended.")
    lastUpdatedTime: Time | None = Field(
        default=None, description="When the token in the generated Secret was fetched from AWS."
    )
    observedGeneration: int | None = Field(
        default=None, description="The generation of the spec that this status was set for."
    )
    secretName: str | None = Field(default=None, description="Name of the generated Secret, once it exists.")
    expirationTime: Time | None = Field(
        default=None, description="When the token in the generated Secret expires."
    )
    nextRefreshTime: Time | None = Field(default=None, description="When the token will be refreshed next.")
    conditions: list[Condition] | None = Field(
        default=None,
        description=" ".join(f"{name}: {meaning}" for name, meaning in CONDITIONS.items()),
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


class ServedNamespaces(BaseModel):
    """How many namespaces a ClusterSecret serves."""

    served: int = Field(description="Namespaces that it serves.", ge=0)
    ready: int = Field(description="Those whose generated Secret has a live token.", ge=0)


class FailingNamespace(BaseModel):
    """A namespace in which the last attempt failed."""

    namespace: Name = Field(description="Name of the namespace.")
    reason: str = Field(description="The reason, in one word.", max_length=1024)
    message: str = Field(description="What happened and what to do about it.", max_length=32768)


class ClusterStatus(Status):
    """What the operator reports of a ClusterSecret: of all its namespaces together."""

    expirationTime: Time | None = Field(
        default=None, description="When the first of the tokens in the generated Secrets expires."
    )
    namespaces: ServedNamespaces | None = Field(
        default=None, description="How many namespaces are served, and in how many the Secret is ready."
    )
    observedNamespaces: Namespaces | None = Field(
        default=None,
        description="The last valid value of spec.namespaces, which counts while the present one is not "
        "valid. Absent if it is larger than 4 KiB.",
    )
    readyNamespaces: str | None = Field(
        default=None, description="The same as ready/served, for the column of kubectl.", max_length=32
    )
    failing: list[FailingNamespace] | None = Field(
        default=None,
        description="The namespaces in which the last attempt failed, by name; the first 20 of them.",
        max_length=MOST_FAILING,
    )
    failingCount: int | None = Field(
        default=None, description="How many namespaces fail, including those that are not listed.", ge=0
    )


STATUSES: Final[Mapping[str, type[Status]]] = {
    "Secret": Status,
    "ArgoHelmRepoSecret": Status,
    CLUSTER: ClusterStatus,
}
