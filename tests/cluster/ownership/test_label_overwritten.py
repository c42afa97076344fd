"""An admission webhook that overwrites our label removes a Secret from our watch; it is still renewed."""

from contextlib import AbstractAsyncContextManager

from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.concurrent import waits
from tests.cluster.label_webhook import overwriting
from tests.cluster.ownership.conflicts import OURS
from tests.cluster.scene import Scene

(LABEL,) = OURS
# A Secret that no watch shows is looked at every 30 s.
LOOKED_AT = 60.0


def helm(scene: Scene) -> AbstractAsyncContextManager[None]:
    return overwriting(scene, LABEL, "Helm")


async def _contested(scene: Scene, name: str) -> None:
    found = await scene.told(name, "False", "FieldsContested")
    assert LABEL in reading.condition(found, "Refreshed")["message"]
    assert reading.verdict(found, "Ready") == ("True", "Refreshed")


@waits
async def test_an_overwritten_label_costs_no_write_while_nothing_is_due_and_hides_no_deletion(
    scene: Scene,
) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        async with helm(scene):
            # What begins later shows with the next write.
            await scene.change("pull", {"secret_labels": {"team": "blue"}})
            await _contested(scene, "pull")
            scene.mark()
            await scene.writes_are({})
            await scene.delete("pull-login")
            await scene.appears("pull-login", LOOKED_AT)
            await _contested(scene, "pull")
    assert scene.aws.count() == 1
    scene.mark()
    # Nor does a restart.
    async with scene.operator():
        await scene.watching()
        await scene.writes_are({})
        await scene.change("pull", {"secret_labels": {"team": "green"}})
        await scene.ready("pull")
        assert (await scene.secret("pull-login"))["metadata"]["labels"] == {**OURS, "team": "green"}
        await scene.delete("pull-login")
        await scene.appears("pull-login")
