"""Two replicas and a rolling restart of both, as a Deployment does it: one new, one old away, and again."""

import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

from lab.api import Resource
from lab.bench_audit import AuditTail
from lab.bench_field import Field
from lab.bench_runs import Lab, Running, operator_at
from lab.waiting import wait_for

_LEASES: Final = Resource("coordination.k8s.io/v1", "leases")
_LEASE: Final = "bc9c1120.mobb.redhat.com"
_LONGEST: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """A rolling restart of two replicas where everything is fresh.

    Attributes:
        aws_calls: of all of them.
        writes: of all of them, to anything but the Lease.
        takeovers: seconds from a leader's SIGTERM until another held the Lease, one for each.
    """

    aws_calls: int
    writes: int
    takeovers: list[float]


async def rolling_restart(lab: Lab, field: Field, settle: float) -> Rolling:
    """Start two, then replace one after the other."""
    async with AsyncExitStack() as stack:
        deployment = _Deployment(lab, field, settle, stack)
        before = await lab.aws.calls()
        for name in ("old-1", "old-2"):
            await deployment.start(name)
        for number in ("1", "2"):
            await deployment.start(f"new-{number}")
            await deployment.stop(f"old-{number}")
        deployment.tail.read()
        return Rolling(
            aws_calls=await lab.aws.calls() - before,
            writes=deployment.tail.writes,
            takeovers=deployment.takeovers,
        )


class _Deployment:
    """Replicas by name, which the API server knows as one user."""

    def __init__(self, lab: Lab, field: Field, settle: float, stack: AsyncExitStack) -> None:
        self._lab = lab
        self._field = field
        self._settle = settle
        self._stack = stack
        self._user = f"replicas-{time.monotonic_ns()}"
        self._replicas: dict[str, Running] = {}
        self.tail = AuditTail(lab.plane.audit_log, self._user)
        self.takeovers: list[float] = []

    async def start(self, name: str) -> None:
        """Start a replica and wait until it is at rest."""
        env = {"POD_NAME": name, "POD_NAMESPACE": self._field.namespace}
        starting = operator_at(self._lab, self._field, "--leader-elect", user=self._user, env=env)
        self._replicas[name] = await self._stack.enter_async_context(starting)
        await self._replicas[name].at_rest(self._settle)

    async def stop(self, name: str) -> None:
        """Stop a replica, and note how long nobody led if it was the leader."""
        leads, replica = await self._holder() == name, self._replicas[name].process
        begun = time.monotonic()
        replica.signal(signal.SIGTERM)
        if leads:
            await wait_for(partial(self._is_led_by_another, name), _LONGEST, "another leader")
            self.takeovers.append(time.monotonic() - begun)
        await replica.wait()

    async def _is_led_by_another(self, name: str) -> bool:
        return await self._holder() not in ("", name)

    async def _holder(self) -> str:
        """The name of the replica that holds the Lease; empty for none."""
        lease = await self._lab.api.find(_LEASES, _LEASE, self._field.namespace)
        identity = str((lease or {}).get("spec", {}).get("holderIdentity") or "")
        return identity.rpartition("_")[0]
