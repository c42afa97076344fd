"""Tokens are renewed before they die, as often as asked for, and never more often than is safe."""

import asyncio
import itertools
import time
from collections.abc import Sequence

import pytest

from lab.api import ARGO_SECRETS
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import Scene


async def test_a_secret_holds_a_live_token_at_every_moment_whatever_its_frequency(scene: Scene) -> None:
    scene.aws.token_life = 6
    frequencies = {"us-east-1": "10h", "us-east-2": "24h", "eu-west-1": "0s", "eu-central-1": "-1h"}
    names = list(frequencies)
    for region, frequency in frequencies.items():
        await scene.create(ecr_secret(region, region=region, frequency=frequency))
    await scene.create(argo_secret("charts", region="us-east-1"))
    async with scene.operator():
        await scene.ready(*names)
        await scene.ready("charts", kind=ARGO_SECRETS)
        seen = await _watch_closely(scene, [f"{name}-login" for name in [*names, "charts"]], 9.0)
    assert {name: len(serials) for name, serials in seen.items() if len(serials) < 3} == {}
    # One call serves all that are due about the same time.
    assert seen["us-east-1-login"] == seen["charts-login"]
    assert scene.aws.count(region="us-east-1") == len(seen["us-east-1-login"])
    # A quarter of the life.
    assert min(_intervals(scene, "eu-west-1") + _intervals(scene, "eu-central-1")) >= 6 / 4


async def _watch_closely(scene: Scene, secrets: Sequence[str], seconds: float) -> dict[str, list[int]]:
    """Look at Secrets all the time, check that what they hold is alive, and return the serials in order."""
    seen: dict[str, list[int]] = {name: [] for name in secrets}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name in secrets:
            asked_at = time.time()
            token = await scene.token(name)
            assert token.expires_at > asked_at, f"{name} holds a dead token"
            if token.serial not in seen[name]:
                seen[name].append(token.serial)
        await asyncio.sleep(0.1)
    return seen


def _intervals(scene: Scene, region: str) -> list[float]:
    times = [call.at for call in scene.aws.select(region=region)]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


async def test_a_frequency_is_kept_within_the_rate_that_is_safe(scene: Scene) -> None:
    # By expiry alone it would be 10 s; a quarter of the life is 4 s.
    scene.aws.token_life = 16
    await scene.create(
        *(ecr_secret(f"hasty-{number}", region="us-east-1", frequency="1s") for number in range(10)),
        ecr_secret("steady", region="us-east-2", frequency="5s"),
        ecr_secret("calm", region="eu-west-1", frequency="1h"),
    )
    async with scene.operator():
        await scene.ready("calm")
        await wait_for(lambda: scene.aws.count(region="us-east-2") == 2, 7, "a refresh after 5 s")
        await wait_for(lambda: scene.aws.count(region="us-east-1") == 3, 6, "a third call after 8 s")
    assert scene.aws.count(region="eu-west-1") == 1
    assert all(4 <= interval < 5 for interval in _intervals(scene, "us-east-1"))
    assert all(0.95 * 5 <= interval < 6.5 for interval in _intervals(scene, "us-east-2"))


async def test_a_refresh_shows_in_the_status_and_costs_two_writes(scene: Scene) -> None:
    scene.aws.token_life = 6
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        (before,) = await scene.ready("pull")
        await wait_for(lambda: scene.aws.count() == 2, 6, "the second call to AWS")

        async def moved() -> bool:
            return bool((await scene.resource("pull"))["status"] != before["status"])

        await wait_for(moved, 1.5, "a new status")
        assert sum(scene.writes().values()) == 4
    after = await scene.resource("pull")
    token = await scene.token("pull-login")
    assert token.serial == 2
    assert reading.epoch(after["status"]["lastUpdatedTime"]) == pytest.approx(token.issued_at, abs=2)
    assert reading.epoch(after["status"]["expirationTime"]) == int(token.expires_at)
    # Neither condition changed: no time of a change moves, and nobody is told.
    times = [
        [each["lastTransitionTime"] for each in told["status"]["conditions"]] for told in (before, after)
    ]
    assert times[0] == times[1]
    assert await scene.events("pull") == []
