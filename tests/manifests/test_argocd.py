"""The health of our kinds in Argo CD; Lua 5.1 is the version of Argo CD's own interpreter."""

from typing import Any

import pytest
import yaml
from lupa import lua51

from ecr_operator.api.kinds import GROUP, KINDS
from lab.api import ARGO_SECRETS, Json
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.manifests.installation import Installation
from tools import ROOT

FOLDER = ROOT / "config/argocd"
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


def resource(
    phase: str | None = None, ready: str = "", refreshed: str = "", *, generation: int = 1, **status: Any
) -> Json:
    """Make a resource with a phase and the status of two conditions."""
    conditions = [
        {"type": name, "status": value, "message": f"about {name}"}
        for name, value in (("Ready", ready), ("Refreshed", refreshed))
        if value
    ]
    found = {"phase": phase, "conditions": conditions, **status} if phase else None
    return {"metadata": {"name": "pull", "generation": generation}, "status": found}


def current(phase: str, ready: str, refreshed: str) -> Json:
    """Make a resource whose status is of the present spec."""
    return resource(phase, ready, refreshed, observedGeneration=1)


CHANGED_SPEC = resource("Updated", "True", generation=2, observedGeneration=1)
SEEN = {
    "no status yet": (resource(), "Progressing", "Waiting for the operator"),
    "a live token": (current("Updated", "True", "True"), "Healthy", "about Ready"),
    "a token that can't be renewed": (current("Updated", "True", "False"), "Healthy", "about Refreshed"),
    "a token that no client can use": (current("Updated", "False", "False"), "Degraded", "about Refreshed"),
    "no token": (current("Failed", "False", "False"), "Degraded", "about Refreshed"),
    "pending": (current("Pending", "False", "Unknown"), "Progressing", "about Refreshed"),
    "suspended": (current("Suspended", "True", "Unknown"), "Suspended", "about Refreshed"),
    "a changed spec": (CHANGED_SPEC, "Progressing", "Waiting for the operator to see the changed spec"),
    "a phase older than its conditions": (resource("Failed", "True", "True"), "Healthy", "about Ready"),
    "v0.6.0's CRDs, updated": (resource("Updated"), "Healthy", "Phase Updated"),
    "v0.6.0's CRDs, failed": (resource("Failed"), "Degraded", "Phase Failed"),
    "an unknown phase": (resource("Odd"), "Unknown", "Phase Odd"),
}


@pytest.mark.parametrize(("seen", "status", "message"), SEEN.values(), ids=SEEN)
def test_health(seen: Json, status: str, message: str) -> None:
    assert health(seen) == (status, message)


async def test_health_of_what_the_operator_writes(stage: Installation) -> None:
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
    status, message = health(await stage.resource("charts", ARGO_SECRETS))
    assert status == "Healthy"
    assert "expires at" in message


def test_the_patch_of_argocd_cm_has_the_check_for_each_kind() -> None:
    patch = yaml.safe_load((FOLDER / "argocd_cm_patch.yaml").read_text())
    assert patch["data"] == {f"resource.customizations.health.{GROUP}_{kind}": LUA for kind in KINDS}
