"""An admission webhook that overwrites our label removes a Secret from our watch; it is still renewed."""

import time
from contextlib import AbstractAsyncContextManager

from lab.api import ARGO_SECRETS, ECR_SECRETS, Json, Resource
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.concurrent import waits
from tests.cluster.label_webhook import overwriting
from tests.cluster.ownership.conflicts import OURS, secret_writes
from tests.cluster.scene import Scene

(LABEL,) = OURS
# A Secret that no watch shows is looked at every 30 s.
LOOKED_AT = 40.0
LOGINS = ("pull-login", "orphan-login", "charts-login")


def helm(scene: Scene) -> AbstractAsyncContextManager[None]:
    return overwriting(scene, LABEL, "Helm")


async def _contested(scene: Scene, name: str, kind: Resource = ECR_SECRETS) -> Json:
    found = await scene.told(name, "False", "FieldsContested", kind=kind)
    assert LABEL in reading.condition(found, "Refreshed")["message"]
    assert reading.verdict(found, "Ready") == ("True", "Refreshed")
    return found


@waits
async def test_an_overwritten_label_is_reported_once_and_tokens_are_renewed_with_one_write_each(
    scene: Scene,
) -> None:
    scene.aws.token_life = 15
    await scene.create(
        ecr_secret("pull"), ecr_secret("orphan", deletion_policy="Orphan"), argo_secret("charts")
    )
    async with helm(scene), scene.operator():
        await _contested(scene, "pull")
        await _contested(scene, "orphan")
        await _contested(scene, "charts", ARGO_SECRETS)
        scene.mark()
        start = scene.aws.count()
        await scene.stays_alive(*LOGINS, until=time.time() + 25)
        renewals = scene.aws.count() - start
        assert renewals >= 2
        assert len(secret_writes(scene)) <= 3 * (renewals + 1)
        await _contested(scene, "pull")
    assert (await scene.events("pull")).count("FieldsContested") == 1


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
