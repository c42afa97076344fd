"""What a resource says whose Secret is somebody else's, and what the operator did about it."""

from collections import Counter
from http import HTTPStatus

from lab import audit
from lab.api import ARGO_SECRETS, ECR_SECRETS, Json
from lab.audit import Request
from tests.cluster import reading
from tests.cluster.scene import Scene

OURS = {"app.kubernetes.io/managed-by": "ecr-secret-operator"}
ADOPT = "ecr.mobb.redhat.com/adopt"
# What stands in a conflict is looked at again every 30 s.
HEALED = 32.0
_WRITES = {"create", "update", "patch", "delete", "deletecollection"}


async def refused(scene: Scene, resource: Json, owner: str, within: float = 20) -> None:
    """Wait until a resource says that its Secret belongs to `owner`, and that a person must mend it."""
    kind = ECR_SECRETS if resource["kind"] == "Secret" else ARGO_SECRETS
    name = resource["metadata"]["name"]
    found = await scene.told(name, "False", "SecretConflict", kind=kind, within=within)
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


async def core_secrets(scene: Scene, *names: str) -> list[Json]:
    """Return core Secrets, whole."""
    return [await scene.secret(name) for name in names]


def accepted(scene: Scene) -> Counter[Request]:
    """Count the operator's writes since `mark` that the API server took; a refused one changed nothing."""
    return Counter(
        Request(entry["verb"], _resource(entry["objectRef"]), entry["objectRef"].get("subresource", ""))
        for entry in _taken(scene)
        if entry["objectRef"]["resource"] != "events"
    )


def secret_writes(scene: Scene) -> list[tuple[str, str]]:
    """Return verb and name of the writes of core Secrets that the API server took, in order of arrival."""
    taken = sorted(_taken(scene), key=lambda entry: str(entry["requestReceivedTimestamp"]))
    return [
        (entry["verb"], entry["objectRef"]["name"])
        for entry in taken
        if _resource(entry["objectRef"]) == "secrets"
    ]


def _taken(scene: Scene) -> list[Json]:
    return [
        entry
        for entry in audit.entries(scene.plane.audit_log, scene.since)
        if entry["user"]["username"] == scene.user
        and entry["verb"] in _WRITES
        and entry["responseStatus"]["code"] < HTTPStatus.BAD_REQUEST
    ]


def _resource(target: Json) -> str:
    return ".".join(filter(None, (target["resource"], target.get("apiGroup", ""))))
