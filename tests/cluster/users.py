"""Users of a scene's namespace, with all rights or some."""

from pathlib import Path

from lab.api import Json
from tests.cluster.scene import Scene

GROUP = "ecr.mobb.redhat.com"
_RBAC = "rbac.authorization.k8s.io"


def rule(group: str, resources: list[str], *verbs: str) -> Json:
    """Make a rule."""
    return {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}


VIEW = rule(GROUP, ["secrets", "argohelmreposecrets"], "get", "list", "watch")


async def allow(scene: Scene, user: str, *rules: Json, name: str = "allowed") -> None:
    """Allow a user what the rules say, in the scene's namespace, by a Role and a RoleBinding of one name."""
    place: Json = {"apiVersion": f"{_RBAC}/v1", "metadata": {"name": name}}
    subject = {"apiGroup": _RBAC, "kind": "User", "name": user}
    role = {"apiGroup": _RBAC, "kind": "Role", "name": name}
    await scene.api.apply({**place, "kind": "Role", "rules": list(rules)}, scene.namespace)
    binding = {**place, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]}
    await scene.api.apply(binding, scene.namespace)


async def user(scene: Scene, name: str, *rules: Json) -> Path:
    """Make a user with these rights in the scene's namespace alone; return the kubeconfig."""
    known_as = f"{name}-{scene.namespace}"
    await allow(scene, known_as, *rules, name=known_as)
    return scene.plane.write_kubeconfig(known_as, namespace=scene.namespace)


async def user_everywhere(scene: Scene, name: str, *rules: Json) -> Path:
    """Make a user with these rights in the whole cluster; return the kubeconfig."""
    known_as = f"{name}-{scene.namespace}"
    place: Json = {"apiVersion": f"{_RBAC}/v1", "metadata": {"name": known_as}}
    subject = {"apiGroup": _RBAC, "kind": "User", "name": known_as}
    role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": known_as}
    await scene.api.apply({**place, "kind": "ClusterRole", "rules": list(rules)})
    await scene.api.apply({**place, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]})
    return scene.plane.write_kubeconfig(known_as, namespace=scene.namespace)


def admin(scene: Scene) -> Path:
    """Write a kubeconfig with all rights, whose context is the scene's namespace."""
    return scene.plane.write_kubeconfig(
        f"admin-of-{scene.namespace}", groups=("system:masters",), namespace=scene.namespace
    )
