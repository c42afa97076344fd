"""Users with some rights only."""

from pathlib import Path
from typing import Any

from lab.api import Json
from tests.cluster.scene import Scene

GROUP = "ecr.mobb.redhat.com"
_RBAC = "rbac.authorization.k8s.io"


def rule(group: str, resources: list[str], *verbs: str) -> Json:
    """Make a rule."""
    return {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}


VIEW = rule(GROUP, ["secrets", "argohelmreposecrets"], "get", "list", "watch")


async def user(scene: Scene, name: str, *rules: Json) -> Path:
    """Make a user of the scene's namespace with these rights in it alone; return the kubeconfig."""
    known_as = f"{name}-{scene.namespace}"
    place: dict[str, Any] = {
        "apiVersion": f"{_RBAC}/v1",
        "metadata": {"name": known_as, "namespace": scene.namespace},
    }
    subject = {"apiGroup": _RBAC, "kind": "User", "name": known_as}
    role = {"apiGroup": _RBAC, "kind": "Role", "name": known_as}
    await scene.create(
        {**place, "kind": "Role", "rules": list(rules)},
        {**place, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]},
    )
    return scene.plane.write_kubeconfig(known_as, namespace=scene.namespace)


def admin(scene: Scene) -> Path:
    """Write a kubeconfig with all rights, whose context is the scene's namespace."""
    return scene.plane.write_kubeconfig(
        f"admin-of-{scene.namespace}", groups=("system:masters",), namespace=scene.namespace
    )
