"""Tokens stay alive while they can, and are told dead at the right second when they can't."""

import asyncio
import time

import pytest

from lab.api import ARGO_SECRETS
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.deadlines.watching import InPattern, first_ready_statuses, stays_alive
from tests.cluster.faults.backstage import acting, patiently
from tests.cluster.scene import STATUS_WRITE, Scene

OHIO, IRELAND = "us-east-2", "eu-west-1"
OUTAGE = 8.0
WINDOW = 60.0
MOST_EVENTS = 4


@patiently
async def test_tokens_of_40_seconds_stay_live_through_failing_calls_and_an_outage(scene: Scene) -> None:
    scene.aws.token_life = 40
    await scene.create(
        ecr_secret("a", region=OHIO), ecr_secret("b", region=IRELAND), argo_secret("c", region=OHIO)
    )
    for region in (OHIO, IRELAND):
        # Three of ten, at worst two in a row.
        scene.aws.add(InPattern(pattern="..xx...x..", region=region))
    async with acting(scene):
        await scene.ready("a", "b", within=30)
        await scene.ready("c", kind=ARGO_SECRETS)
        watch = asyncio.create_task(
            stays_alive(scene, "a-login", "b-login", "c-login", until=time.time() + 88)
        )
        # The outage begins at the worst time: when the second tokens are due.
        await wait_for(lambda: _answered(scene) >= 4, 40, "the first renewal")
        await asyncio.sleep(5)
        await asyncio.sleep(await _due(scene, "a") - time.time())
        outage = scene.aws.fail("ServiceUnavailable", 503)
        scene.aws.faults.insert(0, scene.aws.faults.pop())
        await asyncio.sleep(OUTAGE)
        scene.aws.faults.remove(outage)
        serials = await watch
    assert serials >= 6
    assert scene.aws.count(outcome="ServiceUnavailable") >= 8


async def _due(scene: Scene, name: str) -> float:
    """When the next refresh is due, in epoch seconds."""
    return reading.epoch((await scene.resource(name))["status"]["nextRefreshTime"])


def _answered(scene: Scene) -> int:
    return scene.aws.count(outcome="answered")


@patiently
async def test_ready_is_true_until_the_very_second_in_which_the_token_dies(scene: Scene) -> None:
    scene.aws.token_life = 12
    await scene.create(ecr_secret("pull"))
    async with acting(scene):
        await scene.ready("pull", within=30)
        scene.aws.fail("ServiceUnavailable", 503)
        dies = (await scene.token("pull-login")).expires_at
        (_, first), (when, second) = await first_ready_statuses(scene, "pull", dies + 2)
        resource = await scene.resource("pull")
    assert (first, second) == (("True", "Refreshed"), ("False", "TokenExpired"))
    assert dies <= when <= dies + 1.5
    changed = reading.epoch(reading.condition(resource, "Ready")["lastTransitionTime"])
    assert changed == pytest.approx(int(dies), abs=1)
    assert resource["status"]["phase"] == "Failed"


@patiently
async def test_a_long_outage_is_told_once_and_again_when_the_token_has_died(scene: Scene) -> None:
    scene.aws.token_life = 4
    await scene.create(ecr_secret("pull"))
    async with acting(scene):
        await scene.ready("pull", within=30)
        scene.aws.fail("ServiceUnavailable", 503)
        scene.mark()
        dies = (await scene.token("pull-login")).expires_at
        await wait_for(lambda: _since(scene, dies) >= 3, 60, "three calls after the token's death")
        await asyncio.sleep(1)
        resource = await scene.resource("pull")
        events = await scene.events("pull")
    assert reading.verdict(resource, "Ready") == ("False", "TokenExpired")
    assert reading.verdict(resource, "Refreshed") == ("False", "AWSUnavailable")
    # The failure, the death, and at most that AWS was being asked when it came.
    assert set(scene.writes()) == {STATUS_WRITE}
    assert 2 <= scene.writes()[STATUS_WRITE] <= 3
    assert 1 <= len(events) <= 3


def _since(scene: Scene, epoch: float) -> int:
    return sum(call.at > epoch for call in scene.aws.calls)


@patiently
async def test_outcomes_that_change_all_the_time_make_a_few_events_a_minute(scene: Scene) -> None:
    scene.aws.token_life = 4
    await scene.create(ecr_secret("pull"))
    scene.aws.add(InPattern(pattern=".x"))
    async with acting(scene):
        await scene.ready("pull", within=30)
        await wait_for(lambda: scene.aws.count() >= 16, 60, "eight tokens and eight failures")
        events = await scene.events("pull")
    assert 1 <= len(events) <= MOST_EVENTS


@patiently
async def test_a_wrong_clock_is_named_while_the_token_lives_on(scene: Scene) -> None:
    scene.aws.token_life = 15
    await scene.create(ecr_secret("pull"))
    async with acting(scene):
        await scene.ready("pull", within=30)
        scene.aws.keys.clock_offset = -600
        told = await scene.told("pull", "False", "AccessDenied", within=15)
        assert reading.verdict(told, "Ready") == ("True", "Refreshed")
        scene.aws.keys.clock_offset = 0
        await scene.ready("pull")
    message = reading.condition(told, "Refreshed")["message"]
    assert "clock" in message
    assert "expires at" in message
    assert scene.aws.count(outcome="InvalidSignatureException") >= 1


@patiently
async def test_a_token_near_its_end_is_tried_for_often_whoever_else_asks(scene: Scene) -> None:
    scene.aws.token_life = 24
    await scene.create(ecr_secret("old"))
    async with acting(scene) as operator:
        await scene.ready("old", within=30)
        assert await operator.stop() == 0
    scene.aws.fail("AccessDeniedException")
    async with acting(scene):
        # A new resource has no token to lose: it is refused, and may wait long for another try.
        await scene.create(ecr_secret("new"))
        await scene.told("new", "False", "AccessDenied", within=30)
        await asyncio.sleep(await _due(scene, "old") + 1 - time.time())
        scene.aws.clear()
        dies = (await scene.token("old-login")).expires_at
        await stays_alive(scene, "old-login", until=dies + 1)
        await scene.ready("old", "new", within=25)


# Seconds that a token lives; after DOWN seconds without an operator all but one are overdue or dead.
LIVES = {"fresh": 3600.0, "last": 71.5, "next": 58.0, "first": 53.5, "dead": 12.0}
DOWN = 48.0


@patiently
async def test_after_a_restart_the_dead_come_first_then_what_is_nearest_to_its_end(scene: Scene) -> None:
    async with acting(scene) as operator:
        for name, life in LIVES.items():
            scene.aws.token_life = life
            await scene.create(ecr_secret(name, region=_region(name)))
            await scene.ready(name, within=30)
        assert await operator.stop() == 0
    fresh = await scene.secret("fresh-login")
    await asyncio.sleep((await scene.token("dead-login")).issued_at + DOWN - time.time())
    scene.mark()
    scene.aws.calls.clear()
    async with acting(scene):
        await wait_for(lambda: _answered(scene) >= 4, 20, "four calls")
        await scene.ready(*LIVES)
    assert [call.region for call in scene.aws.calls] == [
        _region(name) for name in ("dead", "first", "next", "last")
    ]
    assert await scene.secret("fresh-login") == fresh
    assert not scene.writes("fresh")


def _region(name: str) -> str:
    return f"eu-{name}-1"
