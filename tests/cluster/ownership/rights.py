"""A user that may do all that the operator does, but delete."""

from pathlib import Path

from tests.cluster.scene import Scene

_GROUP = "rbac.authorization.k8s.io"
_NAME = "unable-to-delete"


async def unable_to_delete(scene: Scene) -> Path:
    """Give the scene's user all rights in its namespace but that of deleting; return its kubeconfig.

    Without it a Secret can be created, but neither swept nor given another owner.
    """
    verbs = ["get", "list", "watch", "create", "patch", "update"]
    subject = {"apiGroup": _GROUP, "kind": "User", "name": scene.user}
    role = {"apiGroup": _GROUP, "kind": "Role", "name": _NAME}
    place = {"metadata": {"name": _NAME, "namespace": scene.namespace}, "apiVersion": f"{_GROUP}/v1"}
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": verbs}]
    await scene.create(
        {**place, "kind": "Role", "rules": rules},
        {**place, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]},
    )
    return scene.plane.write_kubeconfig(scene.user)
