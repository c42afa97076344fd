"""The health of our kinds in Argo CD; Lua 5.1 is the version of Argo CD's own interpreter."""

from dataclasses import replace
from typing import Any

import pytest
import yaml
from lupa import lua51

from ecr_operator.api.kinds import CLUSTER, GROUP, KINDS
from ecr_operator.api.outcome import Outcome, Reason
from ecr_operator.core.cluster_outcome import Part, Verdict, gather
from ecr_operator.core.status import next_status
from lab.api import Json
from tests import builders
from tests.builders import outcome
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


def covered(*parts: Part) -> Outcome:
    """Return the outcome of a ClusterSecret in these namespaces."""
    reported = gather(builders.resource(CLUSTER), None, parts, builders.NOW).outcome
    assert reported
    return reported


GOOD = Part(namespace="a", verdict=Verdict(live=True), view=builders.view(builders.resource()))
FAILED = (Reason.ACCESS_DENIED, "no")
NOT_RENEWED = replace(GOOD, verdict=Verdict(live=True, failure=FAILED))
EMPTY = Part(namespace="b", verdict=Verdict(live=False, not_ready=FAILED, failure=FAILED), view=None)
WAITING = replace(EMPTY, verdict=Verdict(live=False, not_ready=(Reason.PENDING, "soon")))
WRITTEN = {
    "a live token": ("Secret", outcome(), "Healthy"),
    "a token that can't be renewed": (
        "Secret",
        outcome(Reason.ACCESS_DENIED, permanent=True),
        "Healthy",
    ),
    "no token": (
        "Secret",
        outcome(Reason.REGION_MISMATCH, fits=False, times=None, permanent=True),
        "Degraded",
    ),
    "suspended": ("Secret", outcome(Reason.SUSPENDED), "Suspended"),
    "pending": ("Secret", outcome(Reason.PENDING, fits=False, times=None), "Progressing"),
    "a live token everywhere": (CLUSTER, covered(GOOD), "Healthy"),
    "no namespace": (CLUSTER, covered(), "Healthy"),
    "a namespace where it can't be renewed": (CLUSTER, covered(GOOD, NOT_RENEWED), "Healthy"),
    "a namespace without a token": (CLUSTER, covered(GOOD, EMPTY), "Degraded"),
    "a namespace that waits": (CLUSTER, covered(GOOD, WAITING), "Progressing"),
}


@pytest.mark.parametrize(("kind", "reported", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_health_of_what_the_operator_writes(kind: str, reported: Outcome, expected: str) -> None:
    status = next_status(builders.resource(kind), reported, builders.NOW, None)
    said, message = health({"metadata": {"name": "pull", "generation": 1}, "status": status})
    assert (said, bool(message)) == (expected, True)


def test_the_patch_of_argocd_cm_has_the_check_for_each_kind() -> None:
    patch = yaml.safe_load((FOLDER / "argocd_cm_patch.yaml").read_text())
    assert patch["data"] == {f"resource.customizations.health.{GROUP}_{kind}": LUA for kind in KINDS}
