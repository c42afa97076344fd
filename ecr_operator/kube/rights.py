"""The rights that the operator needs on the API server: one table.

Invariant: what is required suffices for the operator to run, and nothing in it is superfluous.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from ecr_operator.api.kinds import GROUP, PLURALS
from ecr_operator.election.lease import LEASE_NAME

ROLE: Final = "config/rbac/role.yaml"
_SERVICE_ACCOUNT: Final = "config/rbac/service-account"
_LINK: Final = "config/rbac/link-service-accounts"
_LEASE: Final = "config/rbac/leader_election_role.yaml"

# Where a right is needed: in the namespaces that are served, or in the operator's own.
Place = Literal["served", "own"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Verbs on one resource of the API, and what for.

    Attributes:
        group: API group; empty for the core one.
        resource: plural, with its subresource after a slash.
        verbs: what has to be allowed.
        purpose: what it is for, to go on after "to" or "for".
        granted_by: the manifest that grants it.
        required: without it the operator does not work; else something that not everybody uses does not.
        place: where it is needed.
        name: of the one object that is meant; empty for any.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    purpose: str
    granted_by: str = ROLE
    required: bool = True
    place: Place = "served"
    name: str = ""

    def __str__(self) -> str:
        plural, slash, subresource = self.resource.partition("/")
        return f"{plural}{f'.{self.group}' if self.group else ''}{slash}{subresource}"


@dataclass(frozen=True, slots=True, kw_only=True)
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


_OURS: Final = tuple(PLURALS.values())

NEEDS: Final[tuple[Need, ...]] = (
    *(
        Need(
            group=GROUP,
            resource=plural,
            verbs=("get", "list", "watch"),
            purpose="the resources that it serves",
        )
        for plural in _OURS
    ),
    *(
        Need(group=GROUP, resource=f"{plural}/status", verbs=("patch",), purpose="saying what came of it")
        for plural in _OURS
    ),
    Need(
        group="",
        resource="secrets",
        # An apply is a patch, and needs create where nothing is yet; delete is for renamed Secrets, and on
        # OpenShift for whoever gives a Secret an owner.
        verbs=("get", "list", "watch", "create", "patch", "delete"),
        purpose="the generated Secrets",
    ),
    Need(
        group="events.k8s.io",
        resource="events",
        verbs=("create",),
        purpose="Events on changes of outcome",
        required=False,
    ),
    Need(
        group="",
        resource="namespaces",
        verbs=("get",),
        purpose="role_arn by a namespace's annotation, and --ambient-credentials by label",
        required=False,
    ),
    Need(
        group="",
        resource="serviceaccounts",
        verbs=("get", "list", "watch"),
        purpose="spec.service_account",
        granted_by=_SERVICE_ACCOUNT,
        required=False,
    ),
    Need(
        group="",
        resource="serviceaccounts/token",
        verbs=("create",),
        purpose="spec.service_account",
        granted_by=_SERVICE_ACCOUNT,
        required=False,
    ),
    Need(
        group="",
        resource="serviceaccounts",
        verbs=("get", "list", "watch", "patch"),
        purpose="spec.link_service_accounts",
        granted_by=_LINK,
        required=False,
    ),
    Need(
        group="coordination.k8s.io",
        resource="leases",
        verbs=("get", "create", "update"),
        purpose="--leader-elect",
        granted_by=_LEASE,
        place="own",
        name=LEASE_NAME,
    ),
)


def rights(need: Need, served: Iterable[str], own: str) -> list[Right]:
    """The questions that a need comes to.

    Args:
        need: of the table.
        served: the namespaces that are served; an empty string is all.
        own: the operator's namespace.
    """
    namespaces = (own,) if need.place == "own" else served
    return [
        Right(
            group=need.group,
            resource=need.resource,
            verb=verb,
            namespace=namespace,
            name=_name(need, verb, namespace),
        )
        for namespace in namespaces
        for verb in need.verbs
    ]


def _name(need: Need, verb: str, namespace: str) -> str:
    # RBAC can't limit the making of objects by name; and a Role lets read the one Namespace that it is in.
    if need.resource == "namespaces":
        return namespace
    return "" if verb == "create" else need.name
