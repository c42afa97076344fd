"""suspend: nothing is refreshed, repaired or deleted until suspend is false."""

import asyncio

from lab.api import ARGO_SECRETS, ECR_SECRETS, Json, Resource
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership.conflicts import accepted
from tests.cluster.scene import ARGO_STATUS_WRITE, STATUS_WRITE, Scene

NAMES = ("left", "edited", "deleted", "renamed", "charts")
LOGINS = ("left-login", "edited-login", "deleted-login", "renamed-new", "charts-login", "new-login")
SPOILED = {".dockerconfigjson": "eyJhdXRocyI6e319"}
LIFE = 18


def _kind(name: str) -> Resource:
    return ARGO_SECRETS if name == "charts" else ECR_SECRETS


async def _is_suspended(scene: Scene, name: str) -> bool:
    return bool((await scene.resource(name)).get("status", {}).get("phase") == "Suspended")


async def _suspended(scene: Scene, name: str, ready: tuple[str, str]) -> Json:
    """Wait until a resource reports that it is suspended, and whether its Secret is Ready."""

    async def so() -> Json | None:
        resource = await scene.resource(name, _kind(name))
        told = (resource["status"]["phase"], reading.verdict(resource, "Ready"))
        return resource if told == ("Suspended", ready) and reading.is_current(resource) else None

    return await wait_for(so, what=f"{name} Suspended, Ready {ready}")


async def _suspend_all(scene: Scene, *, suspend: bool) -> None:
    for name in NAMES:
        await scene.change(name, {"suspend": suspend}, _kind(name))


async def _disturb(scene: Scene) -> None:
    """Do to suspended resources what would call for a repair, a deletion and a refresh."""
    await scene.patch_secret("edited-login", {"data": SPOILED})
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
        await scene.create(ecr_secret("new", suspend=True))
        await wait_for(lambda: _is_suspended(scene, "new"), what="phase Suspended")
        scene.mark()
        await _disturb(scene)
        left = await scene.secret("left-login")
        await _until_the_end_of(scene, left)
        for name in ("left", "charts"):
            await _suspended(scene, name, ("False", "TokenExpired"))
        await _is_undone(scene, left)
        scene.aws.token_life = 3600
        await _suspend_all(scene, suspend=False)
        await scene.change("new", {"suspend": False})
        await asyncio.gather(*(scene.ready(name, kind=_kind(name)) for name in (*NAMES, "new")))
    await _is_healed(scene)


async def _until_the_end_of(scene: Scene, secret: Json) -> None:
    """Check that a suspended resource is Ready as long as its token lives, but for its last second."""
    expires_at = reading.token(secret).expires_at
    while (left := expires_at - 1 - scene.aws.keys.now()) > 0:
        assert reading.verdict(await scene.resource("left"), "Ready") == ("True", "Refreshed")
        await asyncio.sleep(min(left, 0.2))


async def _is_undone(scene: Scene, left: Json) -> None:
    """Check that the operator did nothing but report."""
    assert set(accepted(scene)) <= {STATUS_WRITE, ARGO_STATUS_WRITE}
    assert scene.aws.count() == 1
    assert await scene.secret("left-login") == left
    assert (await scene.secret("edited-login"))["data"] == SPOILED
    assert await scene.find_secret("deleted-login") is None
    assert await scene.find_secret("new-login") is None
    assert await scene.find_secret("renamed-login")
    assert await scene.find_secret("renamed-new") is None


async def _is_healed(scene: Scene) -> None:
    for name in LOGINS:
        assert (await scene.token(name)).serial == 2
    assert await scene.find_secret("renamed-login") is None
    assert scene.aws.count() == 2
