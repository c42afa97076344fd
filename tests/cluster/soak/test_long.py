"""The contract's figures that take minutes: `make soak` runs these tests, and `make test` does not."""

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS
from lab.aws import Call, Fault
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import Scene

OHIO, IRELAND = "us-east-2", "eu-west-1"
HASTY = ("us-east-1", "us-east-2", "eu-west-1", "eu-central-1")
CALM = "ap-south-1"
OUTAGE = 8.0
# What two busy cores may add to a deadline.
LATE = 8.0


@dataclass(slots=True, kw_only=True)
class InPattern(Fault):
    """An AWS error that hits calls by a pattern, repeated without end, and so the same in every run."""

    kind: str = "error"
    status: int = 503
    code: str = "ServiceUnavailable"
    pattern: str
    _calls: "itertools.count[int]" = field(default_factory=itertools.count)

    def hits(self, call: Call) -> bool:
        """Whether the pattern has an x for this call."""
        if self.region not in (None, call.region):
            return False
        return self.pattern[next(self._calls) % len(self.pattern)] == "x"


async def stays_alive(scene: Scene, *names: str, until: float) -> int:
    """Check until that epoch second that Secrets hold live tokens; return how many tokens were seen."""
    serials: set[int] = set()
    while time.time() < until:
        # Before the question, since the answer may be older than its arrival.
        asked_at = time.time()
        found = {each["metadata"]["name"]: each for each in await scene.api.list(SECRETS, scene.namespace)}
        for name in names:
            token = reading.token(found[name])
            left = token.expires_at - asked_at
            assert left > 0, f"{name} holds a token that expired {-left:.2f} s ago"
            serials.add(token.serial)
        await asyncio.sleep(0.1)
    return len(serials)


async def test_tokens_of_40_seconds_stay_live_through_failing_calls_and_an_outage(scene: Scene) -> None:
    scene.aws.token_life = 40
    await scene.create(
        ecr_secret("a", region=OHIO), ecr_secret("b", region=IRELAND), argo_secret("c", region=OHIO)
    )
    for region in (OHIO, IRELAND):
        # Three of ten, at worst two in a row.
        scene.aws.add(InPattern(pattern="..xx...x..", region=region))
    async with scene.operator():
        await scene.ready("a", "b", within=30)
        await scene.ready("c", kind=ARGO_SECRETS)
        watch = asyncio.create_task(
            stays_alive(scene, "a-login", "b-login", "c-login", until=time.time() + 88)
        )
        # The outage begins at the worst time: when the second tokens are due.
        await wait_for(lambda: scene.aws.count(outcome="answered") >= 4, 40, "the first renewal")
        await asyncio.sleep(5)
        status = (await scene.resource("a"))["status"]
        await asyncio.sleep(reading.epoch(status["nextRefreshTime"]) - time.time())
        outage = scene.aws.fail("ServiceUnavailable", 503)
        scene.aws.faults.insert(0, scene.aws.faults.pop())
        await asyncio.sleep(OUTAGE)
        scene.aws.faults.remove(outage)
        serials = await watch
    assert serials >= 6
    assert scene.aws.count(outcome="ServiceUnavailable") >= 8


async def test_200_resources_that_want_a_token_every_second_get_one_each_safe_interval(scene: Scene) -> None:
    # A quarter of a token's life is the safe interval: 10 s.
    scene.aws.token_life = 40
    count, seconds, interval = 200, 30, 10
    hasty = (ecr_secret(f"r{number}", region=HASTY[number % 4], frequency="1s") for number in range(count))
    await scene.create(*hasty, ecr_secret("calm", region=CALM, frequency="13s"))
    async with scene.operator():
        await wait_for(lambda: _all_ready(scene, count + 1), 30, "all Ready")
        await asyncio.sleep(scene.aws.calls[0].at + seconds - time.time())
        calls = Counter(call.region for call in scene.aws.calls if call.region != CALM)
        writes = sum(scene.writes().values())
    assert set(calls) == set(HASTY)
    assert max(calls.values()) <= 1 + seconds // interval
    assert min(min(scene.intervals(region)) for region in HASTY) >= interval
    # The calm one gets its token in its time.
    assert all(0.95 * 13 <= gap < 13 + LATE for gap in scene.intervals(CALM))
    assert len(scene.intervals(CALM)) >= 1
    assert writes <= 2 * (sum(calls.values()) * count // len(HASTY) + 3)


async def _all_ready(scene: Scene, count: int) -> bool:
    found = await scene.api.list(ECR_SECRETS, scene.namespace)
    return sum(reading.verdict(each, "Ready")[0] == "True" for each in found) == count
