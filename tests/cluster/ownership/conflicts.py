"""What a resource reports whose Secret belongs to somebody else, and what the operator wrote."""

from collections import Counter
from http import HTTPStatus
from pathlib import Path

from lab import audit
from lab.api import ARGO_SECRETS, ECR_SECRETS, Json, Resource
from lab.audit import Request
from tests.cluster import reading
from tests.cluster.scene import Scene
from tests.cluster.users import allow, rule

OURS = {"app.kubernetes.io/managed-by": "ecr-secret-operator"}
ADOPT = "ecr.mobb.redhat.com/adopt"
# What stands in a conflict is looked at again every 30 s.
HEALED = 60.0
_WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def kind_of(resource: Json) -> Resource:
    """Return the kind of one of our resources."""
    return ECR_SECRETS if resource["kind"] == "Secret" else ARGO_SECRETS


def kept(secret: Json) -> tuple[str, str, Json]:
    """Return what stays the same of a Secret that changes its owner."""
    return secret["metadata"]["uid"], secret["type"], secret["data"]


async def refused(scene: Scene, resource: Json, owner: str) -> None:
    """Wait until a resource reports that its Secret belongs to `owner`, and that it is stalled."""
    name = resource["metadata"]["name"]
    found = await scene.told(name, "False", "SecretConflict", kind=kind_of(resource))
    assert owner in reading.condition(found, "Refreshed")["message"]
    assert reading.verdict(found, "Ready") == ("False", "SecretConflict")
    assert reading.verdict(found, "Stalled") == ("True", "SecretConflict")
    assert found["status"]["phase"] == "Failed"


async def controller(scene: Scene, name: str = "chart") -> Json:
    """Create a ConfigMap and return the ownerReference of what it controls."""
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    return owner_reference(await scene.api.create(manifest, scene.namespace))


def owner_reference(owner: Json, *, is_controller: bool = True) -> Json:
    """Return the ownerReference of what an object owns."""
    names = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
    return {**names, "uid": owner["metadata"]["uid"], "controller": is_controller}


def accepted(scene: Scene) -> Counter[Request]:
    """Count the operator's writes since `mark` that the API server accepted."""
    return Counter(
        Request(entry["verb"], _resource(entry["objectRef"]), entry["objectRef"].get("subresource", ""))
        for entry in _taken(scene)
        if entry["objectRef"]["resource"] != "events"
    )


def secret_writes(scene: Scene) -> list[tuple[str, str]]:
    """Return verb and name of the writes of core Secrets that the API server accepted, in their order."""
    taken = sorted(_taken(scene), key=lambda entry: str(entry["requestReceivedTimestamp"]))
    return [
        (entry["verb"], entry["objectRef"]["name"])
        for entry in taken
        if _resource(entry["objectRef"]) == "secrets"
    ]


def _taken(scene: Scene) -> list[Json]:
    return [
        entry
        for entry in audit.entries(scene.plane.audit_log, scene.since, user=scene.user)
        if entry["verb"] in _WRITES and entry["responseStatus"]["code"] < HTTPStatus.BAD_REQUEST
    ]


def _resource(target: Json) -> str:
    return ".".join(filter(None, (target["resource"], target.get("apiGroup", ""))))


async def unable_to_delete(scene: Scene) -> Path:
    """Give the scene's user all rights in its namespace but that of deleting; return its kubeconfig.

    Without it a Secret can be created, but neither deleted nor given another owner.
    """
    await allow(scene, scene.user, rule("*", ["*"], "get", "list", "watch", "create", "patch", "update"))
    return scene.plane.write_kubeconfig(scene.user)
