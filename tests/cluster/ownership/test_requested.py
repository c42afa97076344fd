"""refresh-requested-at: a new value asks for a fresh token, within the rate at which AWS is asked."""

import asyncio
import itertools

from lab.api import ARGO_SECRETS, ECR_SECRETS, Json
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import Scene

REQUESTED = "ecr.mobb.redhat.com/refresh-requested-at"
# By expiry it would be 16 s until a token is renewed; a request may do so after a quarter of the life.
LIFE = 24
BOUND = LIFE / 4
KINDS = {"pull": ECR_SECRETS, "other": ECR_SECRETS, "charts": ARGO_SECRETS}


async def test_a_request_brings_a_fresh_token_to_all_by_one_call_once_and_within_the_bound(
    scene: Scene,
) -> None:
    scene.aws.token_life = LIFE
    await scene.create(ecr_secret("pull"), ecr_secret("other"), argo_secret("charts"))
    async with scene.operator():
        for name, kind in KINDS.items():
            await scene.ready(name, kind=kind)
        await asyncio.sleep(scene.aws.calls[-1].at + BOUND + 0.2 - scene.aws.keys.now())
        await _annotate(scene, {"annotations": {REQUESTED: "first"}})
        for name in KINDS:
            await scene.renewed(f"{name}-login", 2)
        scene.aws.token_life = 3600
        for number in range(5):
            await _annotate(scene, {"annotations": {REQUESTED: f"second-{number}"}})
        for name, kind in KINDS.items():
            await scene.renewed(f"{name}-login", 3)
            await scene.ready(name, kind=kind)
        # The same request once more, and a change that enqueues the resources.
        await _annotate(scene, {"annotations": {REQUESTED: "second-4"}, "labels": {"team": "blue"}})
        await asyncio.sleep(1)
    intervals = [later.at - earlier.at for earlier, later in itertools.pairwise(scene.aws.calls)]
    assert len(intervals) == 2
    assert min(intervals) >= BOUND
    scene.mark()
    # An operator that has just started may ask AWS at once, and would for a request that counts as new.
    async with scene.operator():
        await scene.watching()
        await scene.writes_are({})
    assert scene.aws.count() == 3


async def _annotate(scene: Scene, metadata: Json) -> None:
    for name, kind in KINDS.items():
        await scene.api.merge_patch(kind, name, {"metadata": metadata}, scene.namespace)
