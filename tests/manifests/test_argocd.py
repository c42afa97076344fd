"""Health of our kinds in Argo CD, told by its Lua; version 5.1 is what Argo CD's own interpreter speaks."""

from typing import Any

import pytest
import yaml
from lupa import lua51

from ecr_operator.api.kinds import GROUP
from lab.api import ARGO_SECRETS, CONFIG_MAPS, Json
from lab.kubectl import kubectl
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.manifests.installation import Installation
from tools.argocd import FOLDER, render

LUA = (FOLDER / "health.lua").read_text()
# All of Lua's library that a check has in Argo CD, as far as it matters here.
SANDBOX = "string, io, os, debug, package, require, dofile, loadfile, load, loadstring = nil"


def health(resource: Json) -> tuple[str, str]:
    """Run the check on a resource; return Argo CD's status and message."""
    runtime = lua51.LuaRuntime(unpack_returned_tuples=True)
    runtime.execute(SANDBOX)
    runtime.globals().obj = runtime.table_from(resource, recursive=True)
    said = runtime.execute(LUA)
    return said.status, said.message


def resource(phase: str | None = None, *conditions: Json, generation: int = 1, **status: Any) -> Json:
    """Make a resource of which only the status counts."""
    said = {"phase": phase, "conditions": list(conditions), **status} if phase else None
    return {"metadata": {"name": "pull", "generation": generation}, "status": said}


def ready(status: str, message: str = "about the token") -> Json:
    """Make the condition Ready."""
    return {"type": "Ready", "status": status, "message": message}


def refreshed(status: str, message: str = "about the refresh") -> Json:
    """Make the condition Refreshed."""
    return {"type": "Refreshed", "status": status, "message": message}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(resource(), ("Progressing", "Waiting for the operator"), id="no status yet"),
        pytest.param(
            resource("Updated", ready("True"), refreshed("True"), observedGeneration=1),
            ("Healthy", "about the token"),
            id="a live token",
        ),
        pytest.param(
            resource("Updated", ready("True"), refreshed("False"), observedGeneration=1),
            ("Healthy", "about the refresh"),
            id="a live token that can't be renewed",
        ),
        pytest.param(
            resource("Updated", ready("False"), refreshed("False"), observedGeneration=1),
            ("Degraded", "about the refresh"),
            id="a live token that no client can use",
        ),
        pytest.param(
            resource("Failed", ready("False"), refreshed("False"), observedGeneration=1),
            ("Degraded", "about the refresh"),
            id="no token",
        ),
        pytest.param(
            resource("Pending", ready("False"), refreshed("Unknown"), observedGeneration=1),
            ("Progressing", "about the refresh"),
            id="on its way",
        ),
        pytest.param(
            resource("Suspended", ready("True"), refreshed("Unknown"), observedGeneration=1),
            ("Suspended", "about the refresh"),
            id="suspended with a live token",
        ),
        pytest.param(
            resource("Updated", ready("True"), generation=2, observedGeneration=1),
            ("Progressing", "Waiting for the operator to see the changed spec"),
            id="a spec that the operator has not seen",
        ),
        pytest.param(
            resource("Failed", ready("True"), refreshed("True")),
            ("Healthy", "about the token"),
            id="a phase that is older than its conditions",
        ),
        pytest.param(resource("Updated"), ("Healthy", "Phase Updated"), id="under v0.6.0's CRDs, updated"),
        pytest.param(resource("Failed"), ("Degraded", "Phase Failed"), id="under v0.6.0's CRDs, failed"),
        pytest.param(resource("Odd"), ("Unknown", "Phase Odd"), id="a phase that nobody knows"),
    ],
)
def test_health(seen: Json, expected: tuple[str, str]) -> None:
    assert health(seen) == expected


async def test_what_the_operator_writes_is_understood(stage: Installation) -> None:
    assert health({**ecr_secret(), "status": None})[0] == "Progressing"
    wrong = ecr_secret("wrong", region="eu-west-1", ecr_registry=registry("us-east-1"))
    await stage.create(ecr_secret("pull"), argo_secret("charts"), wrong)
    async with stage.operator():
        await stage.ready("pull")
        await stage.ready("charts", kind=ARGO_SECRETS)
        await stage.told("wrong", "False", "RegionMismatch")
        await stage.change("pull", {"suspend": True})
        await stage.told("pull", "Unknown", "Suspended")
    said = {name: health(await stage.resource(name))[0] for name in ("pull", "wrong")}
    assert said == {"pull": "Suspended", "wrong": "Degraded"}
    charts = await stage.resource("charts", ARGO_SECRETS)
    assert health(charts)[0] == "Healthy"
    assert charts["status"]["expirationTime"] in health(charts)[1]


@pytest.mark.parametrize("name", sorted(render()))
def test_the_forms_that_argo_cd_takes_are_made_from_it(name: str) -> None:
    assert (FOLDER / name).read_text() == render()[name], "run make argocd"
    assert LUA.splitlines()[0] in str(yaml.safe_load(render()[name]))


async def test_a_patch_adds_it_to_a_running_argo_cd(stage: Installation) -> None:
    metadata = {"name": "argocd-cm", "namespace": stage.namespace}
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"url": "https://argo"}}
    await stage.create(theirs)
    file = str(FOLDER / "argocd_cm_patch.yaml")
    command = ("-n", stage.namespace, "patch", "configmap", "argocd-cm", "--patch-file", file)
    await kubectl(*command, kubeconfig=stage.plane.kubeconfig, home=stage.plane.folder)
    data = (await stage.api.get(CONFIG_MAPS, "argocd-cm", stage.namespace))["data"]
    assert data.pop("url") == "https://argo"
    assert data == dict.fromkeys(
        (
            f"resource.customizations.health.{GROUP}_Secret",
            f"resource.customizations.health.{GROUP}_ArgoHelmRepoSecret",
        ),
        LUA,
    )
