"""Others may put their own on our Secret; who writes what is ours is overruled, and named."""

import asyncio
import time

from lab.api import SECRETS
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.ownership.conflicts import secret_writes
from tests.cluster.scene import SECRET_WRITE, STATUS_WRITE, Scene

LOGIN = "pull-login"
FIGHTER = "secret-syncer"
FIGHT = 15.0
PAUSE = 0.2
SPOILED = {".dockerconfigjson": "eyJhdXRocyI6e319"}


async def test_what_others_add_survives_a_refresh_and_costs_no_write(scene: Scene) -> None:
    scene.aws.token_life = 6
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        scene.mark()
        await _add_theirs(scene)
        await wait_for(lambda: scene.aws.count() == 2, 8, "a refresh")
        await wait_for(lambda: scene.writes()[STATUS_WRITE] == 1, 2, "its status")
        assert scene.writes() == {SECRET_WRITE: 1, STATUS_WRITE: 1}
    secret = await scene.secret(LOGIN)
    assert reading.token(secret).serial == 2
    assert secret["metadata"]["labels"]["team"] == "blue"
    assert secret["metadata"]["annotations"]["reloader/match"] == "true"
    assert secret["data"]["extra"] == "dmFsdWU="


async def _add_theirs(scene: Scene) -> None:
    """Put a label, an annotation and a data key on the Secret: by a patch, and by another's apply."""
    theirs = {"metadata": {"annotations": {"reloader/match": "true"}}, "data": {"extra": "dmFsdWU="}}
    await scene.api.merge_patch(SECRETS, LOGIN, theirs, scene.namespace)
    labels = {"name": LOGIN, "labels": {"team": "blue"}}
    applied = {"apiVersion": "v1", "kind": "Secret", "metadata": labels}
    await scene.api.apply(applied, scene.namespace, manager="team")


class Fight:
    """Another manager that rewrites our data again and again.

    Attributes:
        lost: how often it found our data there again, by seconds since its start.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.lost: list[float] = []

    async def go_on(self, seconds: float) -> None:
        """Fight that long."""
        started = time.monotonic()
        while (now := time.monotonic() - started) < seconds:
            if (await self._scene.secret(LOGIN))["data"] != SPOILED:
                self.lost.append(now)
                await self._spoil()
            await asyncio.sleep(PAUSE)

    async def _spoil(self) -> None:
        path = SECRETS.path(LOGIN, self._scene.namespace)
        kind = "application/merge-patch+json"
        query = {"fieldManager": FIGHTER}
        await self._scene.api.request("PATCH", path, body={"data": SPOILED}, content_type=kind, query=query)


async def test_a_manager_that_fights_is_overruled_at_once_then_at_a_bounded_rate_and_named(
    scene: Scene,
) -> None:
    await scene.create(ecr_secret("pull"))
    fight = Fight(scene)
    async with scene.operator():
        await scene.ready("pull")
        scene.mark()
        await fight.go_on(FIGHT)
        # At once, again and again, in its first seconds; not much more often in all.
        assert len([at for at in fight.lost if at < 5]) > 3
        assert len(secret_writes(scene)) <= 10
        contested = await scene.told("pull", "False", "FieldsContested", within=5)
        assert FIGHTER in reading.condition(contested, "Refreshed")["message"]
        await scene.ready("pull", within=61)
        assert (await scene.token(LOGIN)).serial == 1
        assert len(secret_writes(scene)) <= 11
        assert scene.aws.count() == 1
    events = await _notes(scene, "FieldsContested")
    assert len(events) == 1
    assert FIGHTER in events[0]


async def _notes(scene: Scene, reason: str) -> list[str]:
    found = await scene.api.request("GET", f"/apis/events.k8s.io/v1/namespaces/{scene.namespace}/events")
    return [each["note"] for each in found["items"] if each["reason"] == reason]
