"""Tokens stay alive while AWS answers, expire to the second, and AWS is asked no more than needed."""

import asyncio
import time

import pytest

from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.concurrent import waits
from tests.cluster.scene import SECRET_WRITE, STATUS_WRITE, Scene

BROKEN, LIVELY = "eu-broken-1", "eu-lively-1"


@waits
async def test_ready_is_true_until_the_second_in_which_the_token_expires_and_the_outage_is_reported_once(
    scene: Scene,
) -> None:
    scene.aws.token_life = 12
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        scene.aws.fail("ServiceUnavailable", 503)
        scene.mark()
        before = await scene.secret("pull-login")
        expires = reading.token(before).expires_at
        while True:
            resource = await scene.resource("pull")
            # An answer may be late, too.
            if time.time() >= expires - 0.5:
                break
            assert reading.verdict(resource, "Ready") == ("True", "Refreshed")
            await asyncio.sleep(0.1)
        await wait_for(lambda: sum(call.at > expires for call in scene.aws.calls) >= 3, what="more calls")
        resource = await scene.resource("pull")
        assert await scene.secret("pull-login") == before
        # The failure, the expiry, and at most that AWS was being asked when it came.
        assert set(scene.writes()) == {STATUS_WRITE}
        assert 2 <= scene.writes()[STATUS_WRITE] <= 3
        scene.aws.clear()
        await scene.ready("pull")
    assert reading.verdict(resource, "Ready") == ("False", "TokenExpired")
    assert reading.verdict(resource, "Refreshed") == ("False", "AWSUnavailable")
    assert resource["status"]["phase"] == "Failed"
    changed = reading.epoch(reading.condition(resource, "Ready")["lastTransitionTime"])
    assert changed == pytest.approx(int(expires), abs=1)


@waits
async def test_many_resources_behind_a_denied_region_are_one_stream_of_retries_and_reported_once(
    scene: Scene,
) -> None:
    count = 120
    scene.aws.token_life = 18
    await scene.create(ecr_secret("lively", region=LIVELY))
    async with scene.operator():
        await scene.ready("lively")
        scene.aws.fail("AccessDeniedException", region=BROKEN)
        scene.mark()
        watch = asyncio.create_task(scene.stays_alive("lively-login", until=time.time() + 30))
        await scene.create(*(ecr_secret(f"r{number}", region=BROKEN) for number in range(count)))
        await wait_for(lambda: _reported(scene) == count, what="all reported")
        await watch
        assert _reported(scene) == count
    denied = scene.intervals(BROKEN)
    assert 1 <= len(denied) <= 6
    assert min(denied) >= 5
    served = scene.writes("lively-login")[SECRET_WRITE]
    # The safe interval is 4.5 s, the deadline at 12.
    assert 2 <= served <= 5
    assert scene.writes()[SECRET_WRITE] == served


def _reported(scene: Scene) -> int:
    """Count the statuses that were written since the mark, but for the lively one's."""
    return scene.writes()[STATUS_WRITE] - scene.writes("lively")[STATUS_WRITE]
