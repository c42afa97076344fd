"""The targets of the Makefile that v0.6.0 had too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecr_operator.api.kinds import PLURALS
from lab.api import CRDS, NAMESPACES, Resource
from lab.control_plane import ControlPlane
from tests.manifests.installation import NAMESPACE, ROOT

IMAGE = "registry.example.com:5000/team/ecr-secret-operator:test"
DEPLOYMENTS = Resource("apps/v1", "deployments")
# Seen once in some twenty runs: a namespace or CRD that took more than 90 s to go.
LONGEST = 150
KINDS = {f"{plural}.ecr.mobb.redhat.com" for plural in PLURALS.values()}


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


@pytest.mark.timeout(300)
async def test_undeploy_and_uninstall_remove_what_deploy_and_install_created(
    bare_plane: ControlPlane,
) -> None:
    async with bare_plane.api() as api:
        make(bare_plane, "install")
        await api.crds_served(KINDS)
        make(bare_plane, "uninstall")
        assert await api.list(CRDS) == []
        make(bare_plane, "deploy", f"IMG={IMAGE}")
        (found,) = await api.list(DEPLOYMENTS, NAMESPACE)
        assert IMAGE in {each["image"] for each in found["spec"]["template"]["spec"]["containers"]}
        make(bare_plane, "undeploy")
        assert await api.find(NAMESPACES, NAMESPACE) is None
        assert await api.list(CRDS) == []
        make(bare_plane, "uninstall")
