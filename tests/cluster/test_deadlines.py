"""Tokens stay alive while AWS answers, expire to the second, and AWS is asked no more than needed."""

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest

from lab.api import ARGO_SECRETS, ECR_SECRETS
from lab.aws_faults import Fault
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.concurrent import busy, waits
from tests.cluster.scene import SECRET_WRITE, STATUS_WRITE, Scene

OHIO, IRELAND = "us-east-2", "eu-west-1"
HASTY = ("us-east-1", "us-east-2", "eu-west-1", "eu-central-1")
CALM, BROKEN, LIVELY = "ap-south-1", "eu-broken-1", "eu-lively-1"
OUTAGE = 8.0
# What two busy cores may add to a deadline.
LATE = 8.0
_AT_A_TIME = 16


@dataclass(slots=True, kw_only=True)
class InPattern(Fault):
    """An AWS error that hits calls by a pattern, repeated without end, and so the same in every run."""

    kind: str = "error"  # type: ignore[assignment]
    status: int = 503
    code: str = "ServiceUnavailable"
    pattern: str
    _calls: "itertools.count[int]" = field(default_factory=itertools.count)

    def hits(self, operation: str, region: str, access_key: str) -> bool:  # noqa: ARG002 - of a Fault
        """Whether the pattern has an x for this call."""
        if self.region not in (None, region):
            return False
        return self.pattern[next(self._calls) % len(self.pattern)] == "x"


def _intervals(scene: Scene, region: str) -> list[float]:
    times = [call.at for call in scene.aws.select(region=region)]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


@waits
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
            scene.stays_alive("a-login", "b-login", "c-login", until=time.time() + 88)
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


@waits
async def test_ready_is_true_until_the_second_in_which_the_token_expires_and_the_outage_is_reported_once(
    scene: Scene,
) -> None:
    scene.aws.token_life = 12
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull", within=30)
        scene.aws.fail("ServiceUnavailable", 503)
        scene.mark()
        before = await scene.secret("pull-login")
        expires = reading.token(before).expires_at
        while time.time() < expires - 0.5:
            assert reading.verdict(await scene.resource("pull"), "Ready") == ("True", "Refreshed")
            await asyncio.sleep(0.1)
        await wait_for(lambda: sum(call.at > expires for call in scene.aws.calls) >= 3, 60, "more calls")
        resource = await scene.resource("pull")
        assert await scene.secret("pull-login") == before
        # The failure, the expiry, and at most that AWS was being asked when it came.
        assert set(scene.writes()) == {STATUS_WRITE}
        assert 2 <= scene.writes()[STATUS_WRITE] <= 3
        scene.aws.clear()
        await scene.ready("pull", within=30)
    assert reading.verdict(resource, "Ready") == ("False", "TokenExpired")
    assert reading.verdict(resource, "Refreshed") == ("False", "AWSUnavailable")
    assert resource["status"]["phase"] == "Failed"
    changed = reading.epoch(reading.condition(resource, "Ready")["lastTransitionTime"])
    assert changed == pytest.approx(int(expires), abs=1)


async def _sow(scene: Scene, count: int, *regions: str, frequency: str = "10h") -> None:
    """Create many resources over some regions."""
    turn = asyncio.Semaphore(_AT_A_TIME)

    async def create(number: int) -> None:
        async with turn:
            region = regions[number % len(regions)]
            await scene.create(ecr_secret(f"{region}-{number}", region=region, frequency=frequency))

    await asyncio.gather(*(create(number) for number in range(count)))


@busy
async def test_200_resources_that_want_a_token_every_second_get_one_each_safe_interval(scene: Scene) -> None:
    # A quarter of a token's life is the safe interval: 10 s.
    scene.aws.token_life = 40
    count, seconds, interval = 200, 30, 10
    await _sow(scene, count, *HASTY, frequency="1s")
    await scene.create(ecr_secret("calm", region=CALM, frequency="13s"))
    async with scene.operator():
        await wait_for(lambda: _all_ready(scene, count + 1), 30, "all Ready")
        await asyncio.sleep(scene.aws.calls[0].at + seconds - time.time())
        calls = Counter(call.region for call in scene.aws.calls if call.region != CALM)
        writes = sum(scene.writes().values())
    assert set(calls) == set(HASTY)
    assert max(calls.values()) <= 1 + seconds // interval
    assert min(min(_intervals(scene, region)) for region in HASTY) >= interval
    # The calm one gets its token in its time.
    assert all(0.95 * 13 <= gap < 13 + LATE for gap in _intervals(scene, CALM))
    assert len(_intervals(scene, CALM)) >= 1
    assert writes <= 2 * (sum(calls.values()) * count // len(HASTY) + 3)


async def _all_ready(scene: Scene, count: int) -> bool:
    found = await scene.api.list(ECR_SECRETS, scene.namespace)
    return sum(reading.verdict(each, "Ready")[0] == "True" for each in found) == count


@busy
async def test_500_resources_behind_a_denied_region_are_one_stream_of_retries_and_reported_once(
    scene: Scene,
) -> None:
    count = 500
    scene.aws.token_life = 12
    await scene.create(ecr_secret("lively", region=LIVELY))
    async with scene.operator():
        await scene.ready("lively", within=30)
        scene.aws.fail("AccessDeniedException", region=BROKEN)
        scene.mark()
        watch = asyncio.create_task(scene.stays_alive("lively-login", until=time.time() + 30))
        await _sow(scene, count, BROKEN)
        await wait_for(lambda: _reported(scene) == count, 30, "all reported")
        await watch
        assert _reported(scene) == count
    denied = _intervals(scene, BROKEN)
    assert 1 <= len(denied) <= 6
    assert min(denied) >= 5
    served = scene.writes("lively-login")[SECRET_WRITE]
    # The safe interval is 3 s, the deadline at 8.
    assert 3 <= served <= 5
    assert scene.writes()[SECRET_WRITE] == served


def _reported(scene: Scene) -> int:
    """Count the statuses that were written since the mark, but for the lively one's."""
    return scene.writes()[STATUS_WRITE] - scene.writes("lively")[STATUS_WRITE]
