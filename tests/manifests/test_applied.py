"""A real API server accepts the manifests, and a second apply changes nothing."""

import json
from copy import deepcopy
from pathlib import Path

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from lab.kubectl import kubectl
from tests.manifests.installation import CONFIG, EVERYTHING, NAMESPACE, apply, build, pick


@pytest.mark.parametrize("flags", [(), ("--server-side", "--force-conflicts")], ids=["client", "server"])
async def test_a_second_apply_changes_nothing(installed: ControlPlane, flags: tuple[str, ...]) -> None:
    await apply(installed, EVERYTHING, *flags)
    before = await _versions(installed)
    await apply(installed, EVERYTHING, *flags)
    assert await _versions(installed) == before
    assert await _on(installed, "diff", "-k", str(EVERYTHING)) == ""


async def _versions(plane: ControlPlane) -> dict[str, str]:
    """Return the versions of all objects of the installation."""
    found = json.loads(await _on(plane, "get", "-k", str(EVERYTHING), "-o", "json"))["items"]
    assert len(found) == len(build(EVERYTHING))
    return {
        f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["resourceVersion"] for each in found
    }


async def _on(plane: ControlPlane, *arguments: str) -> str:
    """Run kubectl; what is not 0 at its end fails, a difference that it found too."""
    return await kubectl(*arguments, kubeconfig=plane.kubeconfig, home=plane.folder)


@pytest.mark.parametrize("folder", ["namespaced", "namespaced/example", "crd", "samples"])
async def test_the_server_accepts_each_folder(installed: ControlPlane, admin: Api, folder: str) -> None:
    for namespace in ("team-a", "team-b"):
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        await admin.apply(manifest)
    said = await apply(installed, CONFIG / folder, "--server-side", "--dry-run=server", "--force-conflicts")
    assert said.count("serverside-applied") == len(build(CONFIG / folder))


@pytest.mark.parametrize("folder", [EVERYTHING, CONFIG / "namespaced"], ids=["default", "namespaced"])
async def test_restricted_pod_security_admits_the_pod_under_any_uid(admin: Api, folder: Path) -> None:
    enforced = (await admin.request("GET", f"/api/v1/namespaces/{NAMESPACE}"))["metadata"]["labels"]
    assert enforced["pod-security.kubernetes.io/enforce"] == "restricted"
    template = pick(build(folder), "Deployment")["spec"]["template"]
    metadata = {**template["metadata"], "generateName": "operator-", "namespace": NAMESPACE}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": deepcopy(template["spec"])}
    assert "runAsUser" not in str(pod)
    await admin.create(pod)
    pod["spec"]["securityContext"]["runAsUser"] = 1000690000
    await admin.create(pod)
