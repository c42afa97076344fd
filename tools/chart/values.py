"""The chart's values: a model, with its defaults from the manifests, as values.yaml and as a JSON schema.

The operator's flags are values of the same name in camelCase, except those that the templates set themselves.
"""

import argparse
import json
import textwrap
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema

from ecr_operator.settings import flags
from tools import to_yaml
from tools.bundle.sources import IMAGE, Json, pick
from tools.chart.sources import Sources, component

# They go with the ports, the probes and the Lease of the templates; a pod has no kubeconfig.
SET_BY_TEMPLATES: Final = (
    "--kubeconfig",
    "--leader-elect",
    "--metrics-bind-address",
    "--health-probe-bind-address",
)
_WITHOUT_EFFECT: Final = "accepted for compatibility"
_WIDTH: Final = 100

Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Strings = dict[str, str]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class Image(_Part):
    """The operator's image."""

    repository: str = Field(IMAGE, min_length=1)
    tag: str = ""
    """Empty: v and the chart's appVersion."""
    digest: str = Field("", pattern="^(sha256:[0-9a-f]{64})?$")
    """Of the image, such as sha256:…; for installations that pull by digest."""
    pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""


class ServiceAccount(_Part):
    """The operator's ServiceAccount, ecr-secret-operator-controller-manager."""

    annotations: Strings = {}
    """For IRSA: eks.amazonaws.com/role-arn, with the role's ARN."""


class Credentials(_Part):
    """The Secret with the operator's AWS identity; it may be absent and can be created at any time."""

    secret_name: str = Field("aws-ecr-cloud-credentials", min_length=1)


class Rights(_Part):
    """Permissions for one field of the resources."""

    enabled: bool = False
    policy: bool = True
    """The admission policy that limits these permissions; needs Kubernetes 1.30."""


class Crds(_Part):
    """The CustomResourceDefinitions."""

    enabled: bool = True
    """Install and upgrade them with the chart; false if another installation does."""
    keep: bool = True
    """Keep them, all resources and their generated Secrets when the chart is uninstalled."""


class Proxy(_Part):
    """kube-rbac-proxy before the metrics. Without it they are plain HTTP, as always with `namespaces`."""

    enabled: bool = True
    image: str = Field(min_length=1)
    resources: Json


class Monitor(_Part):
    """An object for the Prometheus operator, whose CRDs it needs."""

    enabled: bool = False
    labels: Strings = {}
    """Those by which your Prometheus selects it."""


class Metrics(_Part):
    """How the metrics are served and scraped."""

    proxy: Proxy
    service_monitor: Monitor = Monitor()
    alerts: Monitor = Monitor()


class NetworkPolicy(_Part):
    """A NetworkPolicy for the operator, to adapt: it matches addresses and ports, not AWS' host names."""

    enabled: bool = False
    metrics_from: list[Json]
    """Who may scrape the metrics."""
    egress: list[Json]
    """What the operator reaches: DNS, the API server, AWS and the EKS Pod Identity agent."""


class Test(_Part):
    """What `helm test` checks."""

    parts: list[Literal["aws", "cluster"]] = Field(["aws", "cluster"], min_length=1)
    """Without aws: for an operator without an identity of its own. AWS is asked in AWS_REGION, from `env`."""


def _flag_fields() -> Iterator[tuple[str, Any]]:
    for action in flags.operator_parser()._actions:  # noqa: SLF001 - argparse has no other list of them
        name = action.option_strings[-1]
        words = action.help or ""
        if name in {"--help", "--version", *SET_BY_TEMPLATES} or words.startswith(_WITHOUT_EFFECT):
            continue
        yield (
            name.removeprefix("--").replace("-", "_"),
            (_type(action) | None, Field(None, description=words)),
        )


def _type(action: argparse.Action) -> Any:
    if action.metavar == "true":
        return bool
    if action.choices:
        return Literal[tuple(action.choices)]
    return list[str] if action.metavar == "GLOB,GLOB" else str


Flags = create_model("Flags", __base__=_Part, __doc__="The operator's flags.", **dict(_flag_fields()))


class Values(_Part):
    """Values of the chart of the ECR Secret Operator."""

    image: Image = Image()
    image_pull_secrets: list[Json] = []
    """To pull the images with, such as [{name: my-registry}]."""
    replicas: int = Field(1, ge=0)
    """Two or more are spread over nodes and zones, with a PodDisruptionBudget; one of them is active."""
    namespaces: list[Namespace] = Field([], json_schema_extra={"uniqueItems": True})
    """Empty: all. Otherwise only these are served, with a Role in each and nothing cluster-wide, and no
    ClusterSecret."""
    service_account: ServiceAccount = ServiceAccount()
    credentials: Credentials = Credentials()
    flags: Flags = Flags()
    """The operator's flags, as in docs/reference.md; those left out are not passed. There are:"""
    env: list[Json] = []
    """More variables of the operator, such as {name: HTTPS_PROXY, value: "http://proxy:3128"}."""
    volumes: list[Json] = []
    """More volumes of its pod, such as a ConfigMap for AWS_CA_BUNDLE."""
    volume_mounts: list[Json] = []
    service_account_tokens: Rights = Field(Rights(), description="Permissions for the field service_account.")
    service_account_links: Rights = Field(
        Rights(), description="Permissions for the field link_service_accounts."
    )
    secret_writes_policy: bool = False
    """A policy that limits the operator to its own Secrets; needs Kubernetes 1.30. See docs/security.md."""
    aggregate_roles: bool = False
    """Add Secret and ArgoHelmRepoSecret, not ClusterSecret, to the roles view, edit and admin; then also set
    flags.ambientCredentials. Without effect with `namespaces`."""
    crds: Crds = Crds()
    metrics: Metrics
    network_policy: NetworkPolicy
    resources: Json
    """Of the operator's container."""
    pod_annotations: Strings = {}
    pod_labels: Strings = {}
    priority_class_name: str = ""
    node_selector: Strings = {}
    tolerations: list[Json] = []
    affinity: Json = {}
    topology_spread_constraints: list[Json] = []
    """Empty: with two replicas or more they are spread over nodes and zones."""
    test: Test = Test()


def defaults(sources: Sources) -> Values:
    """Return the values with which the chart renders what the manifests hold."""
    containers = pick(sources.default, "Deployment")["spec"]["template"]["spec"]["containers"]
    proxy, manager = sorted(containers, key=lambda each: bool(each["name"] == "manager"))
    policy = component("network-policy", "network_policy.yaml")["spec"]
    return Values(
        resources=manager["resources"],
        metrics=Metrics(proxy=Proxy(image=proxy["image"], resources=proxy["resources"])),
        network_policy=NetworkPolicy(metrics_from=policy["ingress"][-1]["from"], egress=policy["egress"]),
    )


def values_file(values: Values) -> str:
    """Return values.yaml, with the descriptions as comments."""
    return "\n".join(_lines(values))


def _lines(part: BaseModel, depth: int = 0) -> Iterator[str]:
    indent = " " * depth
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        key = field.alias or name
        described = field.description or (isinstance(value, BaseModel) and type(value).__doc__) or ""
        yield from _comment(described, indent)
        if not isinstance(value, BaseModel):
            yield from (indent + line for line in to_yaml({key: value}).splitlines())
        elif value.model_dump(exclude_none=True):
            yield f"{indent}{key}:"
            yield from _lines(value, depth + 2)
        else:
            yield f"{indent}{key}: {{}}"
            yield from _unset(type(value), f"{indent}  ")
        if not depth:
            yield ""


def _unset(part: type[BaseModel], indent: str) -> Iterator[str]:
    for field in part.model_fields.values():
        form = ", a list" if "list" in str(field.annotation) else ""
        yield from _comment(f"{field.alias}{form}: {field.description}", indent)


def _comment(words: str, indent: str) -> Iterator[str]:
    start = f"{indent}# "
    return iter(
        textwrap.wrap(words, _WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False)
    )


class _Schema(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        """Leave out titles that repeat the name."""
        return False


def schema_file() -> str:
    """Return values.schema.json."""
    schema = Values.model_json_schema(schema_generator=_Schema)
    # Every value has a default, which null removes.
    for part in (schema, *schema["$defs"].values()):
        part.pop("required", None)
    # What Helm or a parent chart adds.
    schema["properties"] |= {"global": {"type": "object"}, "enabled": {"type": "boolean"}}
    draft = {"$schema": "http://json-schema.org/draft-07/schema#"}
    return json.dumps(draft | schema, indent=2, ensure_ascii=False) + "\n"
