"""A new generated_secret_name: the new Secret is created before the old one is deleted, if that is ours."""

from lab.api import ARGO_SECRETS, SECRETS
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, core_secret, ecr_secret
from tests.cluster.ownership.conflicts import OURS, controller, owner_reference, secret_writes
from tests.cluster.scene import Scene

STILL_OURS = ("pull", "kept", "charts")
BY_NOW_OF_OTHERS = ("given", "replaced")


async def test_the_new_secret_is_created_before_the_old_one_is_deleted_unless_somebody_else_has_it(
    scene: Scene,
) -> None:
    await scene.create(
        *map(ecr_secret, ("pull", *BY_NOW_OF_OTHERS)),
        ecr_secret("kept", deletion_policy="Orphan"),
        argo_secret("charts"),
    )
    async with scene.operator():
        pull, *_ = await scene.ready("pull", "kept", *BY_NOW_OF_OTHERS)
        await scene.ready("charts", kind=ARGO_SECRETS)
    copied = core_secret("copied-login", labels=OURS, ownerReferences=[owner_reference(pull)])
    given = {"metadata": {"ownerReferences": [await controller(scene)]}}
    before = [await scene.patch_secret("given-login", given)]
    await scene.delete("replaced-login")
    before += [
        await scene.api.create(each, scene.namespace) for each in (core_secret("replaced-login"), copied)
    ]
    await scene.change("charts", {"generated_secret_name": "charts-new"}, ARGO_SECRETS)
    for name in ("pull", "kept", *BY_NOW_OF_OTHERS):
        await scene.change(name, {"generated_secret_name": f"{name}-new"})
    left = ("given-login", "replaced-login", "copied-login")
    expected = {f"{name}-new" for name in (*STILL_OURS, *BY_NOW_OF_OTHERS)} | {*left}

    async def so() -> bool:
        found = await scene.api.list(SECRETS, scene.namespace)
        return {each["metadata"]["name"] for each in found} == expected

    scene.mark()
    async with scene.operator():
        await wait_for(so, what="the new Secrets and not the old ones")
        await scene.ready("given", "replaced")
    assert await scene.secrets(*left) == before
    written = secret_writes(scene)
    for name in STILL_OURS:
        found = [write for write in written if write[1].startswith(name)]
        assert found == [("patch", f"{name}-new"), ("delete", f"{name}-login")]
