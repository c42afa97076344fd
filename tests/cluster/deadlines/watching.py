"""What the deadline tests see all the time that they last."""

import asyncio
import itertools
import time
from dataclasses import dataclass, field

from lab.api import ECR_SECRETS, SECRETS
from lab.aws_faults import Fault
from tests.cluster import reading
from tests.cluster.scene import Scene

SAMPLE = 0.1


@dataclass(slots=True, kw_only=True)
class InPattern(Fault):
    """An AWS error that hits calls by a pattern, repeated without end, and so the same in every run."""

    kind: str = "error"  # type: ignore[assignment]
    status: int = 503
    code: str = "ServiceUnavailable"
    pattern: str
    _calls: "itertools.count[int]" = field(default_factory=itertools.count)

    def hits(self, operation: str, region: str, access_key: str) -> bool:  # noqa: ARG002 - of a Fault
        """Say whether the pattern has an x for this call."""
        if self.region not in (None, region):
            return False
        return self.pattern[next(self._calls) % len(self.pattern)] == "x"


async def stays_alive(scene: Scene, *names: str, until: float) -> int:
    """Look at Secrets all the time until that epoch second: a live token in each; return how many serials."""
    serials: set[int] = set()
    while time.time() < until:
        # Before the question, since the answer may be older than its arrival.
        asked_at = time.time()
        found = {each["metadata"]["name"]: each for each in await scene.api.list(SECRETS, scene.namespace)}
        for name in names:
            token = reading.token(found[name])
            left = token.expires_at - asked_at
            assert left > 0, f"{name} holds a token that died {-left:.2f} s ago"
            serials.add(token.serial)
        await asyncio.sleep(SAMPLE)
    return len(serials)


async def first_ready_statuses(
    scene: Scene, name: str, until: float
) -> list[tuple[float, tuple[str | None, str | None]]]:
    """Look at a condition Ready all the time until that epoch second; return each new verdict and when."""
    seen: list[tuple[float, tuple[str | None, str | None]]] = []
    while time.time() < until:
        resource = await scene.api.get(ECR_SECRETS, name, scene.namespace)
        verdict = reading.verdict(resource, "Ready")
        if not seen or seen[-1][1] != verdict:
            seen.append((time.time(), verdict))
        await asyncio.sleep(SAMPLE)
    return seen


def intervals(scene: Scene, region: str | None = None) -> list[float]:
    """Seconds between the calls to AWS."""
    times = [call.at for call in scene.aws.select(region=region)]
    return [later - earlier for earlier, later in itertools.pairwise(times)]
