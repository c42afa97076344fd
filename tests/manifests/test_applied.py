"""What a real API server makes of the manifests: it takes them, twice, and lets the pod in."""

import asyncio
from copy import deepcopy
from pathlib import Path

import pytest

from tests.lab.api import Api, ApiError, Json
from tests.lab.control_plane import ControlPlane
from tests.lab.kubectl import kubectl
from tests.manifests.installation import CONFIG, EVERYTHING, NAMESPACE, apply, build, pick


async def test_a_second_apply_changes_nothing(installed: ControlPlane) -> None:
    for flags in ((), ("--server-side", "--force-conflicts")):
        await apply(installed, EVERYTHING, *flags)
        said = await apply(installed, EVERYTHING, *flags)
        changed = [line for line in said.splitlines() if not line.endswith(("unchanged", "serverside-applied"))]
        assert changed == []
        await _no_diff(installed, EVERYTHING)


async def _no_diff(plane: ControlPlane, folder: Path) -> None:
    """See that kubectl finds no difference; it fails with the difference where there is one."""
    found = await kubectl("diff", "-k", str(folder), kubeconfig=plane.kubeconfig, home=plane.folder)
    assert found == ""


@pytest.mark.parametrize("folder", ["namespaced", "namespaced/example", "crd", "samples"])
async def test_the_server_takes_it(installed: ControlPlane, admin: Api, folder: str) -> None:
    for namespace in ("team-a", "team-b"):
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        await admin.apply(manifest)
    said = await apply(installed, CONFIG / folder, "--server-side", "--dry-run=server", "--force-conflicts")
    assert said.count("serverside-applied") == len(build(CONFIG / folder))


def _pod(folder: Path) -> Json:
    template = pick(build(folder), "Deployment")["spec"]["template"]
    metadata = {**template["metadata"], "generateName": "operator-", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.mark.parametrize("folder", [EVERYTHING, CONFIG / "namespaced"], ids=["default", "namespaced"])
async def test_restricted_pod_security_lets_the_pod_in_under_any_uid(admin: Api, folder: Path) -> None:
    enforced = (await admin.request("GET", f"/api/v1/namespaces/{NAMESPACE}"))["metadata"]["labels"]
    assert enforced["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = _pod(folder)
    assert "runAsUser" not in str(pod)
    await admin.create(pod)
    pod["spec"]["securityContext"]["runAsUser"] = 1000690000
    await admin.create(pod)


@pytest.mark.parametrize("missing", ["seccompProfile", "runAsNonRoot"])
async def test_and_would_not_without_what_it_asks_for(admin: Api, missing: str) -> None:
    pod = deepcopy(_pod(EVERYTHING))
    del pod["spec"]["securityContext"][missing]
    with pytest.raises(ApiError, match="violates PodSecurity"):
        await admin.create(pod)


async def test_users_get_their_rights_by_the_default_roles(installed: ControlPlane, admin: Api) -> None:
    # No controller aggregates here, so what it would do is read from the labels.
    roles = (await admin.request("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles"))["items"]
    for default, verbs in (("view", {"get", "list", "watch"}), ("edit", {"create", "delete", "patch", "update"})):
        (rule,) = next(
            each["aggregationRule"]["clusterRoleSelectors"] for each in roles if each["metadata"]["name"] == default
        )
        chosen = [each for each in roles if rule["matchLabels"].items() <= (each["metadata"].get("labels") or {}).items()]
        ours = [each for each in chosen if each["metadata"]["name"].startswith(NAMESPACE)]
        assert {resource for each in ours for resource in each["rules"][0]["resources"]} == {
            "secrets",
            "argohelmreposecrets",
        }
        assert all(verbs <= set(each["rules"][0]["verbs"]) for each in ours)
    await asyncio.sleep(0)
    assert installed.url
