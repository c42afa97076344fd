"""The rights that the manifests give the operator, given to a group, and what was refused to it.

The roles are read from `config/rbac`, so that whatever runs as a member of the group has exactly what an
installation has, additions included, but everywhere.
"""

from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.lab import audit
from tests.lab.api import Api, Json
from tests.lab.control_plane import ControlPlane

OPERATORS = "operators-as-installed"

_FOLDER = Path(__file__).parents[2] / "config" / "rbac"
_GROUP = "rbac.authorization.k8s.io"
# An admission plugin's refusals, for rights that a field of an object needs, are none of RBAC's.
_OWNER_REFERENCES = "cannot set"


def roles() -> list[Json]:
    """Return the operator's roles, cluster-wide where they are for one namespace."""
    files = [_FOLDER / "leader_election_role.yaml", *sorted(_FOLDER.rglob("role.yaml"))]
    return [_cluster_wide(yaml.safe_load(file.read_text())) for file in files]


def _cluster_wide(role: Json) -> Json:
    name = f"as-installed-{role['metadata']['name']}"
    return {**role, "kind": "ClusterRole", "metadata": {"name": name}}


async def grant(api: Api) -> None:
    """Give the group all that an installation gives the operator."""
    subject = {"apiGroup": _GROUP, "kind": "Group", "name": OPERATORS}
    for role in roles():
        name = role["metadata"]["name"]
        await api.apply(role)
        await api.apply(
            {
                "apiVersion": f"{_GROUP}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": name},
                "subjects": [subject],
            }
        )


def refusals(plane: ControlPlane, user: str, *, group: str = OPERATORS, since: int = 0) -> list[str]:
    """Tell what a user of the group asked for and was refused for want of a right."""
    return [
        f"{entry['verb']} {entry['requestURI']}"
        for entry in _asked(plane, user, since)
        if group in entry["user"].get("groups", ()) and _is_refused(entry)
    ]


def _asked(plane: ControlPlane, user: str, since: int) -> Iterator[Json]:
    return (entry for entry in audit.entries(plane.audit_log, since) if entry["user"]["username"] == user)


def _is_refused(entry: Json) -> bool:
    said = entry.get("responseStatus", {}).get("message", "")
    decision = entry.get("annotations", {}).get("authorization.k8s.io/decision")
    return bool(decision == "forbid" or _OWNER_REFERENCES in said)
