"""The rights that the manifests give the operator: listed, granted to a group, compared with an audit log.

The roles are read from `config/rbac`, so that whatever runs as a member of the group has exactly what an
installation has, additions included, but everywhere.
"""

import functools
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import yaml

from lab import audit
from lab.api import Api, Json
from lab.control_plane import ControlPlane

OPERATORS = "operators-as-installed"

_FOLDER = Path(__file__).parents[1] / "config" / "rbac"
_GROUP = "rbac.authorization.k8s.io"
# Of the admission plugin OwnerReferencesPermissionEnforcement, for a right that a field of an object needs.
_OWNER_REFERENCES = "cannot set"


class Right(NamedTuple):
    """One verb on one resource, of one name where the rule names it."""

    group: str
    resource: str
    verb: str
    name: str = ""


def rights_in(role: Json) -> set[Right]:
    """Return all that a role allows on resources."""
    return {
        Right(*parts)
        for rule in role["rules"]
        for parts in product(
            rule.get("apiGroups", ()),
            rule.get("resources", ()),
            rule["verbs"],
            rule.get("resourceNames", [""]),
        )
    }


@functools.cache
def _cluster_roles() -> list[Json]:
    """Return the operator's roles, all of them cluster-wide."""
    files = [_FOLDER / "leader_election_role.yaml", *sorted(_FOLDER.rglob("role.yaml"))]
    found = [yaml.safe_load(file.read_text()) for file in files]
    named = [(role, f"as-installed-{role['metadata']['name']}") for role in found]
    return [{**role, "kind": "ClusterRole", "metadata": {"name": name}} for role, name in named]


async def grant(api: Api) -> None:
    """Give the group all that an installation gives the operator."""
    subject = {"apiGroup": _GROUP, "kind": "Group", "name": OPERATORS}
    for role in _cluster_roles():
        await api.apply(role)
        reference = {"apiGroup": _GROUP, "kind": "ClusterRole", "name": role["metadata"]["name"]}
        binding = {"apiVersion": f"{_GROUP}/v1", "kind": "ClusterRoleBinding", "metadata": role["metadata"]}
        await api.apply({**binding, "roleRef": reference, "subjects": [subject]})


def used(entries: Iterable[Json]) -> set[Right]:
    """Return the rights that requests used, each with and without the object's name."""
    return {right for entry in entries for right in _rights_for(entry)}


def refused(plane: ControlPlane, user: str, since: audit.Mark = audit.BEGINNING) -> list[Json]:
    """Return the entries of a user's requests that were refused for lack of a right."""
    return [entry for entry in audit.entries(plane.audit_log, since, user=user) if _is_refused(entry)]


def beyond(plane: ControlPlane, user: str, since: audit.Mark = audit.BEGINNING) -> list[str]:
    """Return what a member of the group was refused and the roles don't allow.

    An API server that has just started also refuses what they allow, until it has read them.
    """
    held = {right for role in _cluster_roles() for right in rights_in(role)}
    return [
        in_words(entry)
        for entry in refused(plane, user, since)
        if OPERATORS in entry["user"].get("groups", ())
        if _lacks_more_than_a_verb(entry) or not held & _rights_for(entry)
    ]


def in_words(entry: Json) -> str:
    """Return verb and path of a request."""
    return f"{entry['verb']} {entry['requestURI']}"


def _rights_for(entry: Json) -> set[Right]:
    target = entry.get("objectRef")
    if not target:
        return set()
    resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
    verbs = [entry["verb"]]
    # An apply that creates needs both rights; the log names one.
    if entry["verb"] == "patch" and entry["responseStatus"]["code"] == 201:
        verbs.append("create")
    group = target.get("apiGroup", "")
    return {Right(group, resource, verb, name) for verb in verbs for name in ("", target.get("name", ""))}


def _is_refused(entry: Json) -> bool:
    decision = entry.get("annotations", {}).get("authorization.k8s.io/decision")
    return bool(decision == "forbid" or _lacks_more_than_a_verb(entry))


def _lacks_more_than_a_verb(entry: Json) -> bool:
    return _OWNER_REFERENCES in entry.get("responseStatus", {}).get("message", "")
