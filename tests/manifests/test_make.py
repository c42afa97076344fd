"""The targets of the Makefile that v0.6.0 had too, on a cluster of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane that finishes what is deleted."""
    with ControlPlane(controller_manager=True) as started:
        yield started


def make(plane: ControlPlane, *arguments: str) -> None:
    """Run make with this Python's environment, which it takes for complete."""
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
async def test_what_is_installed_and_deployed_goes_away_again(plane: ControlPlane) -> None:
    async with plane.api() as api:
        make(plane, "install")
        await api.crds_served(KINDS)
        make(plane, "deploy")
        proxy = next(image for image in await _images(api) if "kube-rbac-proxy" in image)
        assert await _images(api) == {proxy, "quay.io/rh-mobb/ecr-secret-operator:v1.0.0"}
        make(plane, "deploy", f"IMG={IMAGE}")
        assert await _images(api) == {proxy, IMAGE}
        make(plane, "undeploy")
        assert await api.find(NAMESPACES, NAMESPACE) is None
        assert await api.list(CRDS) == []
        make(plane, "install")
        await api.crds_served(KINDS)
        make(plane, "uninstall")
        make(plane, "uninstall")
        assert await api.list(CRDS) == []
