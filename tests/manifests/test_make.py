"""The targets of the Makefile that v0.6.0 had too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.api import CRDS, NAMESPACES, Api
from lab.control_plane import ControlPlane
from tests.manifests.installation import NAMESPACE, ROOT

IMAGE = "registry.example.com:5000/team/ecr-secret-operator:test"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
# Seen once in some twenty runs: a namespace or CRD that took more than 90 s to go.
LONGEST = 150
KINDS = {"argohelmreposecrets.ecr.mobb.redhat.com", "secrets.ecr.mobb.redhat.com"}


def make(plane: ControlPlane, *arguments: str) -> None:
    """Run make with the packages of this Python."""
    installed = Path(sys.prefix) / ".installed"
    subprocess.run(
        ["make", "-o", installed, f"VENV={sys.prefix}", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(plane.folder), "KUBECONFIG": str(plane.kubeconfig)},
        check=True,
        timeout=LONGEST,
    )


async def _images(api: Api) -> set[str]:
    (found,) = (await api.request("GET", DEPLOYMENTS))["items"]
    return {each["image"] for each in found["spec"]["template"]["spec"]["containers"]}


@pytest.mark.timeout(300)
async def test_undeploy_and_uninstall_remove_what_deploy_and_install_created() -> None:
    with ControlPlane(controller_manager=True) as plane:
        async with plane.api() as api:
            make(plane, "install")
            await api.crds_served(KINDS)
            make(plane, "deploy", f"IMG={IMAGE}")
            assert IMAGE in await _images(api)
            make(plane, "deploy")
            assert "quay.io/rh-mobb/ecr-secret-operator:v1.0.0" in await _images(api)
            make(plane, "undeploy")
            assert await api.find(NAMESPACES, NAMESPACE) is None
            assert await api.list(CRDS) == []
            make(plane, "install")
            await api.crds_served(KINDS)
            make(plane, "uninstall")
            make(plane, "uninstall")
            assert await api.list(CRDS) == []
