"""AWS is asked no more than is needed, whatever people write and however much is broken."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from lab.api import ECR_SECRETS
from lab.processes import temporary_folder
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.deadlines.watching import intervals, stays_alive
from tests.cluster.faults.backstage import acting, heavily, patiently
from tests.cluster.scene import SECRET_WRITE, STATUS_WRITE, Scene

BUSY = ("us-east-1", "us-east-2", "eu-west-1", "eu-central-1")
CALM, BROKEN, SILENT, LIVELY = "ap-south-1", "eu-broken-1", "eu-silent-1", "eu-lively-1"
# What two busy cores may add to a deadline.
LATE = 8.0
_AT_A_TIME = 16


async def _sow(scene: Scene, count: int, *regions: str, frequency: str = "10h") -> list[str]:
    """Create many resources over some regions, and return their names."""
    names = [f"{regions[number % len(regions)]}-{number}" for number in range(count)]
    turn = asyncio.Semaphore(_AT_A_TIME)

    async def create(number: int) -> None:
        async with turn:
            region = regions[number % len(regions)]
            await scene.create(ecr_secret(names[number], region=region, frequency=frequency))

    await asyncio.gather(*(create(number) for number in range(count)))
    return names


@heavily
async def test_200_resources_that_want_a_token_every_second_get_one_each_safe_interval(scene: Scene) -> None:
    # A quarter of a token's life is the safe interval: 10 s.
    scene.aws.token_life = 40
    count, seconds, interval = 200, 30, 10
    await _sow(scene, count, *BUSY, frequency="1s")
    await scene.create(ecr_secret("calm", region=CALM, frequency="13s"))
    async with acting(scene):
        await wait_for(lambda: _all_served(scene, count + 1), 30, "all served")
        await asyncio.sleep(scene.aws.calls[0].at + seconds - time.time())
        calls = Counter(call.region for call in scene.aws.calls if call.region != CALM)
        writes = sum(scene.writes().values())
    assert set(calls) == set(BUSY)
    assert max(calls.values()) <= 1 + seconds // interval
    assert min(min(intervals(scene, region)) for region in BUSY) >= interval
    # Everybody is as good as everybody else: the calm one gets its token in its time.
    assert all(0.95 * 13 <= gap < 13 + LATE for gap in intervals(scene, CALM))
    assert len(intervals(scene, CALM)) >= 1
    assert writes <= 2 * (sum(calls.values()) * count // len(BUSY) + 3)


async def _all_served(scene: Scene, count: int) -> bool:
    found = await scene.api.list(ECR_SECRETS, scene.namespace)
    return sum(reading.verdict(each, "Ready")[0] == "True" for each in found) == count


@heavily
async def test_500_resources_behind_a_denied_region_are_one_stream_of_retries_and_told_once(
    scene: Scene,
) -> None:
    count = 500
    scene.aws.token_life = 12
    await scene.create(ecr_secret("lively", region=LIVELY))
    async with acting(scene):
        await scene.ready("lively", within=30)
        scene.aws.fail("AccessDeniedException", region=BROKEN)
        scene.mark()
        watch = asyncio.create_task(stays_alive(scene, "lively-login", until=time.time() + 30))
        await _sow(scene, count, BROKEN)
        await wait_for(lambda: _told(scene) == count, 30, "all told")
        await watch
        assert _told(scene) == count
    denied = intervals(scene, BROKEN)
    assert 1 <= len(denied) <= 6
    assert min(denied) >= 5
    served = scene.writes("lively-login")[SECRET_WRITE]
    # The safe interval is 3 s, the deadline at 8.
    assert 3 <= served <= 5
    assert scene.writes()[SECRET_WRITE] == served
    scene.aws.clear()


def _told(scene: Scene) -> int:
    """How many statuses were written since the mark, but for the lively one's."""
    return scene.writes()[STATUS_WRITE] - scene.writes("lively")[STATUS_WRITE]


@patiently
async def test_50_resources_behind_a_region_that_hangs_are_told_twice_and_slow_nobody(scene: Scene) -> None:
    count = 50
    scene.aws.token_life = 12
    await scene.create(ecr_secret("lively", region=LIVELY))
    async with acting(scene):
        await scene.ready("lively", within=30)
        scene.aws.hang(region=SILENT)
        scene.mark()
        watch = asyncio.create_task(stays_alive(scene, "lively-login", until=time.time() + 40))
        await _sow(scene, count, SILENT)
        # Each call is given up after 10 s; three of them.
        await wait_for(
            lambda: scene.aws.count(region=SILENT, outcome="gone") >= 3, 60, "three calls given up"
        )
        await watch
        told = _told(scene)
        scene.aws.clear()
        await wait_for(lambda: _all_served(scene, count + 1), 75, "all served in the end")
    # That AWS is being asked, and that it says nothing.
    assert told <= 2 * count


FILE = "[default]\nregion = us-east-1\naws_access_key_id = {0}\naws_secret_access_key = some-secret-key\n"
BAD, GOOD = "AKIABAD0000000000000", "AKIAGOOD000000000000"


@asynccontextmanager
async def _with_file(scene: Scene) -> AsyncIterator[Path]:
    """Run an operator whose keys are in the file that AWS_CONFIG_FILE names."""
    with temporary_folder("ecr-config-") as folder:
        file = folder / "config"
        file.write_text(FILE.format(BAD))
        env = {"AWS_CONFIG_FILE": str(file), "AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
        async with acting(scene, **env):
            yield file


@patiently
async def test_refused_keys_are_tried_again_slowly_and_new_ones_in_the_file_at_once(scene: Scene) -> None:
    scene.aws.keys.known = {GOOD: None}
    await scene.create(*(ecr_secret(name) for name in ("a", "b", "c")))
    async with _with_file(scene) as file:
        told = await scene.told("a", "False", "AccessDenied", within=30)
        await asyncio.sleep(6)
        refused = len(scene.aws.calls)
        file.write_text(FILE.format(GOOD))
        await scene.ready("a", "b", "c", within=2 + 2)
    assert refused <= 3
    assert "AWS_CONFIG_FILE" in reading.condition(told, "Refreshed")["message"] or str(file) in str(told)
    assert (await scene.token("a-login")).access_key == GOOD
    assert scene.aws.count(outcome="answered") == 1


@patiently
async def test_keys_that_are_revoked_while_a_token_lives_are_told_and_replaced_in_time(scene: Scene) -> None:
    scene.aws.token_life = 20
    scene.aws.keys.known = {BAD: None}
    await scene.create(ecr_secret("pull"))
    async with _with_file(scene) as file:
        await scene.ready("pull", within=30)
        scene.aws.keys.known = {GOOD: None}
        told = await scene.told("pull", "False", "AccessDenied", within=20)
        assert reading.verdict(told, "Ready") == ("True", "Refreshed")
        file.write_text(FILE.format(GOOD))
        await scene.ready("pull", within=2 + 2)
    assert (await scene.token("pull-login")).access_key == GOOD


@heavily
async def test_a_restart_with_200_fresh_secrets_costs_no_call_and_no_write(scene: Scene) -> None:
    count = 200
    await _sow(scene, count, *BUSY)
    async with acting(scene) as operator:
        await wait_for(lambda: _all_served(scene, count), 30, "all served")
        assert scene.aws.count() == len(BUSY)
        assert await operator.stop() == 0
    scene.mark()
    async with acting(scene):
        await scene.watching()
        await asyncio.sleep(3)
        assert not scene.writes()
    # The one read is of the namespace in WATCH_NAMESPACE, whose absence would be told.
    reads = [request.resource for request in scene.requests() if request.verb not in ("list", "watch")]
    assert reads == ["namespaces"]
    assert scene.aws.count() == len(BUSY)
