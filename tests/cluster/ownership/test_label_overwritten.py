"""An admission that overwrites our label takes a Secret out of our watch, and not out of our care."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from lab.api import ARGO_SECRETS, ECR_SECRETS, Json, Resource
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.label_webhook import overwriting
from tests.cluster.ownership.conflicts import OURS, secret_writes
from tests.cluster.scene import Scene

(LABEL,) = OURS
# One that no watch shows is looked at every 30 s.
LOOKED_AT = 32.0
LOGINS = ("pull-login", "orphan-login", "charts-login")


def helm(scene: Scene) -> AbstractAsyncContextManager[None]:
    return overwriting(scene, LABEL, "Helm")


@pytest.fixture
async def overwritten(scene: Scene) -> AsyncIterator[Scene]:
    """A stage where every Secret that bears our label becomes Helm's as it is written."""
    async with helm(scene):
        yield scene


async def _contested(scene: Scene, name: str, kind: Resource = ECR_SECRETS) -> Json:
    found = await scene.told(name, "False", "FieldsContested", kind=kind)
    assert LABEL in reading.condition(found, "Refreshed")["message"]
    assert reading.verdict(found, "Ready") == ("True", "Refreshed")
    return found


async def test_it_is_reported_once_and_the_token_is_renewed_in_time_with_one_write_a_renewal(
    overwritten: Scene,
) -> None:
    overwritten.aws.token_life = 6
    await overwritten.create(
        ecr_secret("pull"), ecr_secret("orphan", deletion_policy="Orphan"), argo_secret("charts")
    )
    async with overwritten.operator():
        await _contested(overwritten, "pull")
        await _contested(overwritten, "orphan")
        await _contested(overwritten, "charts", ARGO_SECRETS)
        overwritten.mark()
        start, left = overwritten.aws.count(), []
        end = time.monotonic() + 12
        while time.monotonic() < end:
            tokens = [await overwritten.token(name) for name in LOGINS]
            left.append(min(token.expires_at for token in tokens) - time.time())
            await asyncio.sleep(0.2)
        renewals = overwritten.aws.count() - start
        assert renewals >= 2
        assert min(left) > 0
        assert len(secret_writes(overwritten)) <= 3 * (renewals + 1)
        await _contested(overwritten, "pull")
    assert (await overwritten.events("pull")).count("FieldsContested") == 1


async def test_while_nothing_is_due_it_costs_no_write_and_a_restart_costs_none_either(
    overwritten: Scene,
) -> None:
    await overwritten.create(ecr_secret("pull"))
    async with overwritten.operator():
        await _contested(overwritten, "pull")
        overwritten.mark()
        await overwritten.writes_are({})
    overwritten.mark()
    async with overwritten.operator():
        await overwritten.watching()
        await overwritten.writes_are({})
    assert overwritten.aws.count() == 1


async def test_what_begins_later_shows_with_the_next_write_and_a_deletion_within_half_a_minute(
    scene: Scene,
) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        async with helm(scene):
            await scene.change("pull", {"secret_labels": {"team": "blue"}})
            await _contested(scene, "pull")
            await scene.delete("pull-login")
            await wait_for(lambda: scene.find_secret("pull-login"), LOOKED_AT, "the Secret made again")
            await _contested(scene, "pull")
    assert scene.aws.count() == 1


async def test_once_it_has_ended_the_next_write_brings_the_label_back(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        async with helm(scene):
            await _contested(scene, "pull")
        await scene.change("pull", {"secret_labels": {"team": "blue"}})
        await scene.ready("pull", within=5)
        assert (await scene.secret("pull-login"))["metadata"]["labels"] == {**OURS, "team": "blue"}
        await scene.delete("pull-login")
        await wait_for(lambda: scene.find_secret("pull-login"), 1, "the Secret repaired")
