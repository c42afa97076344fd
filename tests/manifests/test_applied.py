"""A real API server accepts the manifests, and a second apply changes nothing."""

from copy import deepcopy
from pathlib import Path

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from lab.kubectl import kubectl
from tests.manifests.installation import CONFIG, EVERYTHING, NAMESPACE, apply, build, present
from tools.bundle.sources import pick


async def test_a_second_apply_changes_nothing(installed: ControlPlane, api: Api) -> None:
    before = await _versions(api)
    await apply(installed, EVERYTHING)
    assert await _versions(api) == before
    # Its exit code for a difference fails the test.
    command = ("diff", "-k", str(EVERYTHING))
    assert await kubectl(*command, kubeconfig=installed.kubeconfig, home=installed.folder) == ""
    server_side = ("--server-side", "--force-conflicts")
    await apply(installed, EVERYTHING, *server_side)
    before = await _versions(api)
    await apply(installed, EVERYTHING, *server_side)
    assert await _versions(api) == before


async def _versions(api: Api) -> list[str]:
    """Return the versions of all objects of the installation."""
    return [(await present(api, each))["metadata"]["resourceVersion"] for each in build(EVERYTHING)]


async def test_the_server_accepts_the_samples(installed: ControlPlane) -> None:
    said = await apply(installed, CONFIG / "samples", "--server-side", "--dry-run=server")
    assert said.count("serverside-applied") == len(build(CONFIG / "samples"))


@pytest.mark.parametrize("folder", [EVERYTHING, CONFIG / "namespaced"], ids=["default", "namespaced"])
@pytest.mark.usefixtures("installed")
async def test_restricted_pod_security_admits_the_pod_under_any_uid(api: Api, folder: Path) -> None:
    enforced = (await api.request("GET", f"/api/v1/namespaces/{NAMESPACE}"))["metadata"]["labels"]
    assert enforced["pod-security.kubernetes.io/enforce"] == "restricted"
    template = pick(build(folder), "Deployment")["spec"]["template"]
    metadata = {**template["metadata"], "generateName": "operator-", "namespace": NAMESPACE}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": deepcopy(template["spec"])}
    assert "runAsUser" not in str(pod)
    await api.create(pod)
    pod["spec"]["securityContext"]["runAsUser"] = 1000690000
    await api.create(pod)
