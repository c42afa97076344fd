"""v0.6.0 as it is found on a cluster: its CRDs, its rights, and what it wrote."""

import base64
import json
import secrets
import time
from pathlib import Path
from typing import Final

import yaml

from lab.api import SECRETS, Json
from tests.cluster.scene import Scene

MANIFESTS: Final = list(yaml.safe_load_all(Path("tests/manifests/v0.6.0.yaml").read_text()))
LIFE = 12 * 3600
_MANAGER = "manager"  # the name of its binary


def crds() -> list[Json]:
    """Return its CRDs: strings in the spec, two fields in the status."""
    return [each for each in MANIFESTS if each["kind"] == "CustomResourceDefinition"]


def rights(user: str) -> list[Json]:
    """Return its ClusterRole and its leader-election Role, both bound to a user."""
    names = ("-manager-role", "-manager-rolebinding", "-election-role", "-election-rolebinding")
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
    return [
        each | ({"subjects": subjects} if "subjects" in each else {})
        for each in MANIFESTS
        if each["metadata"]["name"].endswith(names)
    ]


def new_password() -> str:
    """Return what stands for a token of AWS, as long as one."""
    return secrets.token_urlsafe(1350)


def login(password: str, username: str = "AWS") -> Json:
    """Return a host's entry in a docker config."""
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"username": username, "password": password, "auth": auth}


def docker_data(auths: Json) -> dict[str, str]:
    """Return the data of a Secret with these logins, written as Go writes JSON."""
    return encoded({".dockerconfigjson": json.dumps({"auths": auths}, separators=(",", ":"))})


def encoded(data: dict[str, str]) -> dict[str, str]:
    """Return data as the API has it."""
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}


def generated_secret(resource: Json, password: str) -> Json:
    """Return the Secret that it wrote for a resource: no ownerReference, no label of its own."""
    spec = resource["spec"]
    name = spec["generated_secret_name"]
    metadata: Json = {"name": name}
    if resource["kind"] == "Secret":
        kind = "kubernetes.io/dockerconfigjson"
        data = docker_data({spec["ecr_registry"]: login(password)})
    else:
        kind = "Opaque"
        metadata["labels"] = {"argocd.argoproj.io/secret-type": "repository"}
        keys = {"username": "AWS", "password": password, "url": spec["url"], "name": name}
        data = encoded({**keys, "type": "helm", "enableOCI": "true"})
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": data}


def status(age: float = 3600) -> Json:
    """Return the status that it wrote when it refreshed that many seconds ago."""
    return {"phase": "Updated", "lastUpdatedTime": _utc(time.time() - age)}


def _utc(epoch: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


async def left_behind(
    scene: Scene, resource: Json, secret: Json | None = None, said: Json | None = None
) -> Json:
    """Create a resource, its Secret and its status as it left them, or as given; return the Secret.

    It wrote Secret and status together, so both bear the same time.
    """
    await scene.create(resource)
    place = (await scene.api.resource_of(resource)).path(
        resource["metadata"]["name"], scene.namespace, "status"
    )
    await scene.api.request(
        "PATCH",
        place,
        body={"status": status() if said is None else said},
        content_type="application/merge-patch+json",
        query={"fieldManager": _MANAGER},
    )
    left = await created_by(scene, _MANAGER, secret or generated_secret(resource, new_password()))
    return await _written_at(scene, left, (said or status()).get("lastUpdatedTime"))


async def _written_at(scene: Scene, secret: Json, moment: str | None) -> Json:
    """Have a Secret bear the time of its last write in managedFields."""
    entries = [{**entry, "time": moment or entry["time"]} for entry in secret["metadata"]["managedFields"]]
    name = secret["metadata"]["name"]
    # The server takes new times only together with a change, which is undone at once.
    change = {"metadata": {"annotations": {"test": "x"}, "managedFields": entries}}
    await scene.api.merge_patch(SECRETS, name, change, scene.namespace)
    return await scene.api.merge_patch(SECRETS, name, {"metadata": {"annotations": None}}, scene.namespace)


async def created_by(scene: Scene, manager: str, secret: Json) -> Json:
    """Create a core Secret under the name of a field manager, and return it."""
    path = f"/api/v1/namespaces/{scene.namespace}/secrets"
    return await scene.api.request("POST", path, body=secret, query={"fieldManager": manager})
