"""Replicas of the operator, each known to the API server by a name of its own, and what each of them did."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from lab import audit
from lab.api import Json, Resource
from lab.fault_proxy import FaultProxy
from lab.operator import OperatorProcess
from lab.waiting import LONG, wait_for
from tests.cluster.scene import Scene

LEASES = Resource("coordination.k8s.io/v1", "leases")
LEASE = "bc9c1120.mobb.redhat.com"

# v0.6.0's timings in seconds, and what processes on a busy machine need on top.
LEASE_DURATION = 15.0
RETRY_PERIOD = 2.0
SLACK = 5.0

_READING = {"get", "list", "watch"}


def user_of(scene: Scene, name: str) -> str:
    """Return the name under which the API server knows a replica."""
    return f"{scene.user}-{name}"


@asynccontextmanager
async def replica(scene: Scene, name: str) -> AsyncIterator[OperatorProcess]:
    """Run one; its Lease is in the namespace of its kubeconfig's context, the scene's."""
    kubeconfig = scene.plane.write_kubeconfig(
        user_of(scene, name), groups=("system:masters",), namespace=scene.namespace
    )
    async with scene.operator(
        "--leader-elect", env={"KUBECONFIG": str(kubeconfig), "POD_NAME": name}
    ) as process:
        yield process


@asynccontextmanager
async def slow_replica(scene: Scene, name: str) -> AsyncIterator[OperatorProcess]:
    """Run one whose writes take a while, so that it can be caught in the middle of them."""
    user = scene.plane.write_kubeconfig(user_of(scene, name), groups=("system:masters",))
    async with FaultProxy(user) as proxy, behind(proxy, scene, name) as process:
        proxy.delay("patch", 0.6)
        yield process


def behind(
    proxy: FaultProxy, scene: Scene, name: str = "ours"
) -> AbstractAsyncContextManager[OperatorProcess]:
    """Run one behind a proxy."""
    env = {"KUBECONFIG": str(proxy.kubeconfig), "POD_NAME": name, "POD_NAMESPACE": scene.namespace}
    return scene.operator("--leader-elect", env=env)


async def lease(scene: Scene) -> Json:
    """Return the Lease's spec; empty if there is none."""
    found = await scene.api.find(LEASES, LEASE, scene.namespace)
    return found["spec"] if found else {}


async def leads(scene: Scene, name: str, within: float = LONG) -> None:
    """Wait until a replica holds the Lease."""

    async def look() -> bool:
        return str((await lease(scene)).get("holderIdentity", "")).startswith(f"{name}_")

    await wait_for(look, within, f"{name} to lead")


async def stands_by(process: OperatorProcess, within: float = LONG) -> None:
    """Wait until a replica says that it stands by."""
    await wait_for(lambda: "standing by" in process.log.read_text(), within, "a standby")


def writes_of(scene: Scene, name: str) -> list[dict[str, Any]]:
    """Return what a replica wrote since `mark`, as the audit log has it, without Events and the Lease."""
    return [
        entry
        for entry in audit.entries(scene.plane.audit_log, scene.since, user=user_of(scene, name))
        if entry["verb"] not in _READING
        and entry.get("objectRef", {}).get("resource") not in ("leases", "events")
    ]


async def hold_lease(scene: Scene, holder: str) -> None:
    """Write the Lease as v0.6.0 does to acquire or renew it."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    times = {"acquireTime": now, "renewTime": now, "leaseDurationSeconds": 15, "leaseTransitions": 3}
    manifest = {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": {"name": LEASE}}
    await scene.api.apply({**manifest, "spec": {"holderIdentity": holder, **times}}, scene.namespace)
