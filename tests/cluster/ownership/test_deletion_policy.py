"""deletion_policy: with Orphan the Secret has no owner, and stays when its resource goes."""

from lab.api import ARGO_SECRETS, ECR_SECRETS
from lab.control_plane import ControlPlane
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership.conflicts import OURS, owner_reference
from tests.cluster.scene import SECRET_WRITE, STATUS_WRITE, Scene

# The collector may just have been started, and looks for new kinds every 30 s.
COLLECTED = 45.0


async def test_orphan_and_back_changes_the_owner_reference_and_nothing_else(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        (resource,) = await scene.ready("pull")
        before = await scene.secret("pull-login")
        for policy in ("Orphan", "Delete", "Orphan", None):
            scene.mark()
            await scene.change("pull", {"deletion_policy": policy})
            await scene.ready("pull", within=5)
            after = await scene.secret("pull-login")
            owners = after["metadata"].get("ownerReferences", [])
            assert owners == ([] if policy == "Orphan" else [owner_reference(resource)])
            assert after["metadata"]["labels"] == OURS
            assert (after["metadata"]["uid"], after["data"]) == (before["metadata"]["uid"], before["data"])
            await scene.writes_are({SECRET_WRITE: 1, STATUS_WRITE: 1})
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert scene.aws.count() == 1


async def test_an_orphan_is_known_after_a_restart_and_put_right_like_any_other(scene: Scene) -> None:
    await scene.create(ecr_secret("pull", deletion_policy="Orphan"))
    async with scene.operator():
        await scene.ready("pull")
    scene.mark()
    async with scene.operator():
        await scene.watching()
        await scene.writes_are({})
        assert scene.aws.count() == 1
        await scene.delete("pull-login")
        again = await wait_for(lambda: scene.find_secret("pull-login"), 5, "the Secret made again")
    assert "ownerReferences" not in again["metadata"]


async def test_an_orphan_stays_when_its_resource_goes_and_is_taken_back_when_it_comes_again(
    garbage_collector: ControlPlane, scene: Scene
) -> None:
    assert scene.plane is garbage_collector
    orphans = [ecr_secret("pull", deletion_policy="Orphan"), argo_secret("charts", deletion_policy="Orphan")]
    await scene.create(*orphans, ecr_secret("other"))
    async with scene.operator():
        await scene.ready("pull", "other")
        await scene.ready("charts", kind=ARGO_SECRETS)
        before = [await scene.secret(name) for name in ("pull-login", "charts-login")]
        for name, kind in {"pull": ECR_SECRETS, "charts": ARGO_SECRETS, "other": ECR_SECRETS}.items():
            await scene.delete(name, kind)
        await wait_for(lambda: _is_gone(scene, "other-login"), COLLECTED, "the collector at work")
        assert [await scene.secret(name) for name in ("pull-login", "charts-login")] == before
        await scene.create(*orphans)
        await scene.ready("pull", within=5)
        await scene.ready("charts", kind=ARGO_SECRETS, within=5)
    after = [await scene.secret(name) for name in ("pull-login", "charts-login")]
    assert [(each["metadata"]["uid"], each["data"]) for each in after] == [
        (each["metadata"]["uid"], each["data"]) for each in before
    ]
    assert scene.aws.count() == 1


async def _is_gone(scene: Scene, name: str) -> bool:
    return await scene.find_secret(name) is None
