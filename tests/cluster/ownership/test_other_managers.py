"""A manager that writes what is ours is overruled, and named."""

import asyncio

from lab.api import SECRETS
from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.concurrent import waits
from tests.cluster.ownership.conflicts import secret_writes
from tests.cluster.scene import Scene

LOGIN = "pull-login"
FIGHTER = "secret-syncer"
# How long it goes on once it is reported.
FIGHT = 10.0
PAUSE = 0.2
SPOILED = {".dockerconfigjson": "eyJhdXRocyI6e319"}


class Fight:
    """Another manager that rewrites our data again and again.

    Attributes:
        lost: how often it found our data there again.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.lost = 0

    async def go_on(self) -> None:
        """Fight until cancelled."""
        while True:
            if (await self._scene.secret(LOGIN))["data"] != SPOILED:
                self.lost += 1
                await self._spoil()
            await asyncio.sleep(PAUSE)

    async def _spoil(self) -> None:
        path = SECRETS.path(LOGIN, self._scene.namespace)
        kind = "application/merge-patch+json"
        query = {"fieldManager": FIGHTER}
        await self._scene.api.request("PATCH", path, body={"data": SPOILED}, content_type=kind, query=query)


@waits
async def test_a_manager_that_fights_is_overruled_at_once_then_at_a_bounded_rate_and_named(
    scene: Scene,
) -> None:
    await scene.create(ecr_secret("pull"))
    fight = Fight(scene)
    async with scene.operator():
        await scene.ready("pull")
        scene.mark()
        fighting = asyncio.create_task(fight.go_on())
        contested = await scene.told("pull", "False", "FieldsContested")
        await asyncio.sleep(FIGHT)
        assert not fighting.done()
        fighting.cancel()
        # Again and again at first, and then at a bounded rate.
        assert fight.lost > 3
        assert len(secret_writes(scene)) <= 10
        assert FIGHTER in reading.condition(contested, "Refreshed")["message"]
        await scene.ready("pull", within=90)
        assert (await scene.token(LOGIN)).serial == 1
        assert len(secret_writes(scene)) <= 11
        assert scene.aws.count() == 1
    events = await _notes(scene, "FieldsContested")
    assert len(events) == 1
    assert FIGHTER in events[0]


async def _notes(scene: Scene, reason: str) -> list[str]:
    found = await scene.api.request("GET", f"/apis/events.k8s.io/v1/namespaces/{scene.namespace}/events")
    return [each["note"] for each in found["items"] if each["reason"] == reason]
