"""refresh-requested-at: a new value asks for a fresh token, within the rate that AWS is asked at."""

import asyncio
import itertools

from lab.api import ARGO_SECRETS, ECR_SECRETS, Json
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import Scene

REQUESTED = "ecr.mobb.redhat.com/refresh-requested-at"
# By expiry it would be 10 s until a token is renewed; a request may do so after a quarter of the life.
LIFE = 16
BOUND = LIFE / 4
KINDS = {"pull": ECR_SECRETS, "other": ECR_SECRETS, "charts": ARGO_SECRETS}


async def test_a_new_request_brings_a_fresh_token_to_all_by_one_call_and_never_faster_than_the_bound(
    scene: Scene,
) -> None:
    await _serve(scene)
    async with scene.operator():
        await _ready(scene)
        await _until_old_enough(scene)
        await _request(scene, "2026-01-01T00:00:00Z")
        await _serials_are(scene, 2, 5)
        for second in range(5):
            await _request(scene, f"2026-01-01T00:00:1{second}Z")
        await _serials_are(scene, 3, BOUND + 5)
    intervals = [later.at - earlier.at for earlier, later in itertools.pairwise(scene.aws.calls)]
    assert len(intervals) == 2
    assert min(intervals) >= BOUND


async def test_the_same_request_again_brings_nothing_also_after_a_restart(scene: Scene) -> None:
    await _serve(scene)
    scene.aws.token_life = 3600
    await _request(scene, "now")
    async with scene.operator():
        await _ready(scene)
        await _request(scene, "now")
        # A change that brings the resources up again.
        await _annotate(scene, {"labels": {"team": "blue"}})
        await asyncio.sleep(1)
    scene.mark()
    # An operator that has just started may ask AWS at once, and would if it thought the request not met.
    async with scene.operator():
        await scene.watching()
        await scene.writes_are({})
    assert scene.aws.count() == 1


async def _serve(scene: Scene) -> None:
    scene.aws.token_life = LIFE
    await scene.create(ecr_secret("pull"), ecr_secret("other"), argo_secret("charts"))


async def _ready(scene: Scene) -> None:
    for name, kind in KINDS.items():
        await scene.ready(name, kind=kind)


async def _until_old_enough(scene: Scene) -> None:
    """Wait until AWS may be asked again."""
    await asyncio.sleep(scene.aws.calls[-1].at + BOUND + 0.2 - scene.aws.keys.now())


async def _request(scene: Scene, value: str) -> None:
    await _annotate(scene, {"annotations": {REQUESTED: value}})


async def _annotate(scene: Scene, metadata: Json) -> None:
    for name, kind in KINDS.items():
        await scene.api.merge_patch(kind, name, {"metadata": metadata}, scene.namespace)


async def _serials_are(scene: Scene, serial: int, within: float) -> None:
    async def so() -> bool:
        return {(await scene.token(f"{name}-login")).serial for name in KINDS} == {serial}

    await wait_for(so, within, f"token {serial} in all Secrets")
