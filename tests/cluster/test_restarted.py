"""A restart costs nothing while the Secrets are alive, and loses nothing when they are not."""

import asyncio
from functools import partial

from lab.api import ARGO_SECRETS, ECR_SECRETS
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import QUIET, Scene

REGIONS = {"a": "us-east-1", "b": "us-east-1", "c": "eu-west-1"}


async def test_a_restart_costs_nothing_and_acts_on_what_changed_meanwhile(scene: Scene) -> None:
    await scene.create(*(ecr_secret(name, region=region) for name, region in REGIONS.items()))
    await scene.create(argo_secret("charts"))
    async with scene.operator() as operator:
        await scene.ready(*REGIONS)
        await scene.ready("charts", kind=ARGO_SECRETS)
        assert await operator.stop() == 0
    scene.mark()
    scene.aws.calls.clear()
    async with scene.operator():
        await scene.watching()
        await asyncio.sleep(QUIET)
        patch = {"metadata": {"labels": {"team": "blue"}, "annotations": {"note": "hello"}}}
        await scene.api.merge_patch(ECR_SECRETS, "a", patch, scene.namespace)
        await scene.writes_are({})
        # The one read is of the namespace in WATCH_NAMESPACE, whose absence would be reported.
        reads = [request.resource for request in scene.requests() if request.verb not in ("list", "watch")]
        assert reads == ["namespaces"]
        assert scene.aws.count() == 0
        # Nothing is cached yet, so repairs take one call for each region.
        for name in (*REGIONS, "charts"):
            await scene.delete(f"{name}-login")
        for name in (*REGIONS, "charts"):
            await scene.appears(f"{name}-login")
        assert sorted(call.region for call in scene.aws.calls) == ["eu-west-1", "us-east-1"]
    await scene.delete("a-login")
    await scene.change("b", {"generated_secret_name": "renamed"})
    async with scene.operator():
        await scene.ready("b")
        await scene.appears("a-login")
        await scene.gone("b-login")


async def test_an_operator_that_is_killed_at_its_work_leaves_nothing_that_the_next_cannot_finish(
    scene: Scene,
) -> None:
    names = [f"r{number}" for number in range(30)]
    await scene.create(*(ecr_secret(name) for name in names))
    async with scene.operator() as operator:
        await wait_for(partial(scene.find_secret, "r7-login"), what="some of the Secrets")
        await operator.kill()
    async with scene.operator():
        await scene.ready(*names)
    assert sum(scene.writes().values()) <= 2 * len(names) + len(names)
    assert scene.aws.count() <= 2
