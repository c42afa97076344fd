"""suspend: nothing is refreshed, repaired or deleted until it is taken back."""

import asyncio

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Json, Resource
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership.conflicts import accepted
from tests.cluster.scene import ARGO_STATUS_WRITE, STATUS_WRITE, Scene

NAMES = ("left", "edited", "deleted", "renamed", "charts")
SPOILED = {".dockerconfigjson": "eyJhdXRocyI6e319"}
LIFE = 8


def _kind(name: str) -> Resource:
    return ARGO_SECRETS if name == "charts" else ECR_SECRETS


async def _suspended(scene: Scene, name: str, ready: tuple[str, str], within: float = 5) -> Json:
    """Wait until a resource says that it is suspended, and whether its Secret serves."""

    async def so() -> Json | None:
        resource = await scene.resource(name, _kind(name))
        told = (resource["status"]["phase"], reading.verdict(resource, "Ready"))
        return resource if told == ("Suspended", ready) and reading.is_current(resource) else None

    return await wait_for(so, within, f"{name} Suspended, Ready {ready}")


async def _suspend_all(scene: Scene, *, suspend: bool) -> None:
    for name in NAMES:
        await scene.change(name, {"suspend": suspend}, _kind(name))


async def _disturb(scene: Scene) -> None:
    """Do to suspended resources what would call for a repair, a deletion and a refresh."""
    await scene.api.merge_patch(SECRETS, "edited-login", {"data": SPOILED}, scene.namespace)
    await scene.delete("deleted-login")
    await scene.change("renamed", {"generated_secret_name": "renamed-new"})
    request = {"metadata": {"annotations": {"ecr.mobb.redhat.com/refresh-requested-at": "now"}}}
    await scene.api.merge_patch(ECR_SECRETS, "left", request, scene.namespace)


async def test_while_suspended_nothing_is_refreshed_repaired_or_deleted_and_resuming_heals_all(
    scene: Scene,
) -> None:
    scene.aws.token_life = LIFE
    await scene.create(*(ecr_secret(name) for name in NAMES[:-1]), argo_secret("charts"))
    async with scene.operator():
        for name in NAMES:
            await scene.ready(name, kind=_kind(name))
        await _suspend_all(scene, suspend=True)
        for name in NAMES:
            await _suspended(scene, name, ("True", "Refreshed"))
        scene.mark()
        await _disturb(scene)
        left = await scene.secret("left-login")
        await _until_the_end_of(scene, left)
        for name in ("left", "charts"):
            await _suspended(scene, name, ("False", "TokenExpired"))
        await _is_undone(scene, left)
        scene.aws.token_life = 3600
        await _suspend_all(scene, suspend=False)
        await asyncio.gather(*(scene.ready(name, kind=_kind(name), within=8) for name in NAMES))
    await _is_healed(scene)


async def _until_the_end_of(scene: Scene, secret: Json) -> None:
    """Check that a suspended resource is Ready as long as its token lives, but for its last second."""
    expires_at = reading.token(secret).expires_at
    while (left := expires_at - 1 - scene.aws.keys.now()) > 0:
        assert reading.verdict(await scene.resource("left"), "Ready") == ("True", "Refreshed")
        await asyncio.sleep(min(left, 0.2))


async def _is_undone(scene: Scene, left: Json) -> None:
    """Check that the operator did nothing but tell."""
    assert set(accepted(scene)) <= {STATUS_WRITE, ARGO_STATUS_WRITE}
    assert scene.aws.count() == 1
    assert await scene.secret("left-login") == left
    assert (await scene.secret("edited-login"))["data"] == SPOILED
    assert await scene.find_secret("deleted-login") is None
    assert await scene.find_secret("renamed-login")
    assert await scene.find_secret("renamed-new") is None


async def _is_healed(scene: Scene) -> None:
    for name in ("left-login", "edited-login", "deleted-login", "renamed-new", "charts-login"):
        assert (await scene.token(name)).serial == 2
    assert await scene.find_secret("renamed-login") is None
    assert scene.aws.count() == 2


async def test_what_is_suspended_from_the_first_is_not_begun_and_says_so(scene: Scene) -> None:
    await scene.create(ecr_secret("pull", suspend=True))
    async with scene.operator():
        await wait_for(lambda: _phase_is(scene, "Suspended"), 20, "phase Suspended")
        assert await scene.find_secret("pull-login") is None
        await scene.change("pull", {"suspend": False})
        await scene.ready("pull", within=5)
    assert scene.aws.count() == 1


async def _phase_is(scene: Scene, phase: str) -> bool:
    return bool((await scene.resource("pull")).get("status", {}).get("phase") == phase)
