"""An admission webhook that overwrites our label removes a Secret from our watch; it is still renewed."""

from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.label_webhook import overwriting
from tests.cluster.ownership.conflicts import OURS
from tests.cluster.scene import Scene

(LABEL,) = OURS


async def test_an_overwritten_label_is_reported_and_costs_no_write_also_after_a_restart(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with overwriting(scene, LABEL, "Helm"):
        async with scene.operator():
            found = await scene.told("pull", "False", "FieldsContested")
            assert LABEL in reading.condition(found, "Refreshed")["message"]
            assert reading.verdict(found, "Ready") == ("True", "Refreshed")
        scene.mark()
        async with scene.operator():
            await scene.watching()
            await scene.writes_are({})
            # One that no watch shows is found all the same.
            await scene.delete("pull-login")
            await scene.change("pull", {"secret_labels": {"team": "green"}})
            await scene.appears("pull-login")
    assert scene.aws.count() == 2
