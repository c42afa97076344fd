"""What the operator may do on the API server and what it needs, who it is there, and which kinds are served.

Invariant: the rights in `NEEDS` that are required suffice for the operator to run, and none is superfluous.
"""

from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal

from ecr_operator.api.kinds import CLUSTER, GROUP, KINDS, NAMESPACED_KINDS, PLURALS
from ecr_operator.api.text import LONGEST_TEXT, mapping_in, mappings_in, text_in
from ecr_operator.election.lease import LEASE_NAME
from ecr_operator.kube import paths
from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import KubeClient

ROLE: Final = "config/rbac/role.yaml"
_SERVICE_ACCOUNT: Final = "config/rbac/service-account"
_LINK: Final = "config/rbac/link-service-accounts"
_LEASE: Final = "config/rbac/leader_election_role.yaml"


@dataclass(frozen=True, slots=True)
class Need:
    """Verbs on one resource of the API, and what for.

    Attributes:
        group: API group; empty for the core one.
        resource: plural, with its subresource after a slash.
        verbs: what has to be allowed.
        purpose: what it is for, to go on after "for".
        granted_by: the manifest that grants it.
        required: without it the operator does not work; else something that not everybody uses does not.
        place: in the namespaces that are served, in the operator's own, or in the cluster, for what is served
            only with all namespaces.
        name: of the one object that is meant; empty for any.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    purpose: str
    granted_by: str = ROLE
    required: bool = True
    place: Literal["served", "own", "cluster"] = "served"
    name: str = ""

    def __str__(self) -> str:
        plural, slash, subresource = self.resource.partition("/")
        return f"{plural}{f'.{self.group}' if self.group else ''}{slash}{subresource}"

    def rights(self, served: Collection[str], own: str) -> list["Right"]:
        """One right for each verb and namespace.

        Args:
            served: the namespaces that are served; an empty string is all.
            own: the operator's namespace.
        """
        places = {"served": served, "own": (own,), "cluster": ("",) if "" in served else ()}
        return [
            Right(self.group, self.resource, verb, namespace, self._name(verb, namespace))
            for namespace in places[self.place]
            for verb in self.verbs
        ]

    def _name(self, verb: str, namespace: str) -> str:
        # RBAC can't limit create by name; and a Role permits to read the one Namespace that it is in.
        if self.resource == "namespaces":
            return namespace
        return "" if verb == "create" else self.name


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource in one namespace: a question to the API server.

    Attributes:
        namespace: an empty one for all of them.
        name: of one object; empty for any.
    """

    group: str
    resource: str
    verb: str
    namespace: str
    name: str = ""

    def attributes(self) -> dict[str, str]:
        """As a SelfSubjectAccessReview asks for it."""
        resource, _, subresource = self.resource.partition("/")
        found = {
            "group": self.group,
            "resource": resource,
            "subresource": subresource,
            "verb": self.verb,
            "namespace": self.namespace,
            "name": self.name,
        }
        return {key: value for key, value in found.items() if value}


_READ: Final = ("get", "list", "watch")
_ACCOUNTS: Final = "serviceaccounts"
_NAMESPACED: Final = [PLURALS[kind] for kind in NAMESPACED_KINDS]


def _for_clusters(group: str, resource: str, *verbs: str) -> Need:
    return Need(group, resource, verbs, "ClusterSecrets", required=False, place="cluster")


NEEDS: Final[tuple[Need, ...]] = (
    *(Need(GROUP, plural, _READ, "the resources that it serves") for plural in _NAMESPACED),
    *(Need(GROUP, f"{plural}/status", ("patch",), "their status") for plural in _NAMESPACED),
    # An apply is a patch, and needs create where nothing is yet; delete is for Secrets that were
    # renamed or must be created again, and on OpenShift for setting an owner.
    Need("", "secrets", (*_READ, "create", "patch", "delete"), "the generated Secrets"),
    Need("events.k8s.io", "events", ("create",), "Events on changes of outcome", required=False),
    Need(
        "",
        "namespaces",
        ("get",),
        "role_arn by a namespace's annotation, and --ambient-credentials by label",
        required=False,
    ),
    _for_clusters(GROUP, PLURALS[CLUSTER], *_READ),
    _for_clusters(GROUP, f"{PLURALS[CLUSTER]}/status", "patch"),
    _for_clusters("", "namespaces", "list", "watch"),
    Need("", _ACCOUNTS, _READ, "spec.service_account", _SERVICE_ACCOUNT, required=False),
    Need("", f"{_ACCOUNTS}/token", ("create",), "spec.service_account", _SERVICE_ACCOUNT, required=False),
    Need("", _ACCOUNTS, (*_READ, "patch"), "spec.link_service_accounts", _LINK, required=False),
    Need(
        "coordination.k8s.io",
        "leases",
        ("get", "create", "update"),
        "--leader-elect",
        _LEASE,
        place="own",
        name=LEASE_NAME,
    ),
)


async def is_allowed(client: KubeClient, right: Right) -> bool:
    """Whether we have a right. Raises ApiError."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": right.attributes()},
    }
    answer = await client.request("POST", paths.ACCESS_REVIEW, body=body)
    return mapping_in(answer, "status").get("allowed") is True


async def username(client: KubeClient) -> str:
    """Our name on the server; empty where it gives none. Raises ApiError."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = await client.request("POST", paths.SELF_REVIEW, body=body)
    except ApiError as error:
        if error.code in (0, HTTPStatus.UNAUTHORIZED):
            raise
        return ""
    return text_in(mapping_in(mapping_in(answer, "status"), "userInfo"), "username", LONGEST_TEXT) or ""


async def server_version(client: KubeClient) -> str:
    """The server's version, such as `v1.36.3`. Raises ApiError."""
    answer = await client.request("GET", "/version")
    return text_in(answer, "gitVersion", LONGEST_TEXT) or "of an unknown version"


async def served_kinds(client: KubeClient) -> list[str]:
    """Those of our kinds that the server serves. Raises ApiError."""
    try:
        answer = await client.request("GET", paths.KINDS)
    except ApiError as error:
        if error.is_not_found:
            return []
        raise
    served = [entry.get("kind") for entry in mappings_in(answer, "resources")]
    return [kind for kind in KINDS if kind in served]
