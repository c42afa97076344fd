"""A restart costs nothing while the Secrets are alive, and loses nothing when they are not."""

import asyncio
from functools import partial

import pytest

from lab.api import ARGO_SECRETS, ECR_SECRETS
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import QUIET, Scene

NAMES = ("a", "b", "c")
REGIONS = ("us-east-1", "us-east-1", "eu-west-1")


@pytest.fixture
async def served(scene: Scene) -> Scene:
    """A stage where an operator did its work and is gone."""
    for name, region in zip(NAMES, REGIONS, strict=True):
        await scene.create(ecr_secret(name, region=region))
    await scene.create(argo_secret("charts"))
    async with scene.operator() as operator:
        await scene.ready(*NAMES)
        await scene.ready("charts", kind=ARGO_SECRETS)
        assert await operator.stop() == 0
    scene.mark()
    scene.aws.calls.clear()
    return scene


async def test_a_restart_with_everything_fresh_costs_no_call_to_aws_and_no_write(served: Scene) -> None:
    async with served.operator():
        await served.watching()
        await asyncio.sleep(QUIET)
        patch = {"metadata": {"labels": {"team": "blue"}, "annotations": {"note": "hello"}}}
        await served.api.merge_patch(ECR_SECRETS, "a", patch, served.namespace)
        await served.writes_are({})
    # The one read is of the namespace in WATCH_NAMESPACE, whose absence would be told.
    reads = [request.resource for request in served.requests() if request.verb not in ("list", "watch")]
    assert reads == ["namespaces"]
    assert served.aws.count() == 0


async def test_after_a_restart_a_repair_takes_one_call_to_aws_per_region(served: Scene) -> None:
    async with served.operator():
        await served.watching()
        for name in (*NAMES, "charts"):
            await served.delete(f"{name}-login")
        for name in (*NAMES, "charts"):
            await wait_for(partial(served.find_secret, f"{name}-login"), 2, f"{name}'s Secret")
    assert sorted(call.region for call in served.aws.calls) == ["eu-west-1", "us-east-1"]


async def test_what_was_changed_while_nobody_looked_is_acted_on_after_a_restart(served: Scene) -> None:
    await served.delete("a-login")
    await served.change("b", {"generated_secret_name": "renamed"})
    async with served.operator():
        await served.ready("b")
        await wait_for(lambda: served.find_secret("a-login"), 5, "the deleted Secret made again")
    assert await served.find_secret("b-login") is None


async def test_a_token_that_died_meanwhile_is_renewed_at_once(scene: Scene) -> None:
    scene.aws.token_life = 3
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        (before,) = await scene.ready("pull")
    await wait_for(lambda: _is_dead(scene), 4, "the token's end")
    scene.aws.token_life = 3600
    async with scene.operator():
        await wait_for(lambda: _serial_is(scene, 2), 10, "a new token")
        await scene.ready("pull")
    after = await scene.resource("pull")
    assert reading.verdict(before, "Ready") == reading.verdict(after, "Ready") == ("True", "Refreshed")


async def _is_dead(scene: Scene) -> bool:
    return (await scene.token("pull-login")).expires_at < scene.aws.keys.now()


async def _serial_is(scene: Scene, serial: int) -> bool:
    return (await scene.token("pull-login")).serial == serial


async def test_an_operator_that_is_killed_at_its_work_leaves_nothing_that_the_next_cannot_finish(
    scene: Scene,
) -> None:
    names = [f"r{number}" for number in range(30)]
    await scene.create(*(ecr_secret(name) for name in names))
    async with scene.operator() as operator:
        await wait_for(lambda: scene.find_secret("r7-login"), 10, "some of the Secrets")
        await operator.kill()
    async with scene.operator():
        await scene.ready(*names)
    assert sum(scene.writes().values()) <= 2 * len(names) + len(names)
    assert scene.aws.count() <= 2
