"""A generated Secret that somebody deletes or edits is put right, from the token at hand."""

import asyncio
import base64
from collections.abc import Awaitable, Callable

import pytest

from lab.api import ARGO_SECRETS, SECRETS, Json
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import QUIET, SECRET_WRITE, Scene

LIMIT = 1.0
LOGIN = "pull-login"
SPOILED = {".dockerconfigjson": base64.b64encode(b'{"auths":{}}').decode()}

Damage = Callable[[Scene], Awaitable[object]]


async def _patch(scene: Scene, patch: Json) -> Json:
    return await scene.api.merge_patch(SECRETS, LOGIN, patch, scene.namespace)


async def _patch_metadata(scene: Scene, patch: Json) -> Json:
    return await _patch(scene, {"metadata": patch})


async def _apply(scene: Scene, manager: str) -> Json:
    """Apply all that the operator applies, but with other data."""
    present = await scene.secret(LOGIN)
    kept = ("name", "labels", "annotations", "ownerReferences")
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {field: present["metadata"][field] for field in kept},
        "type": present["type"],
        "data": SPOILED,
    }
    return await scene.api.apply(manifest, scene.namespace, manager=manager)


async def deleted(scene: Scene) -> None:
    await scene.delete(LOGIN)


async def data_replaced_by_an_update(scene: Scene) -> None:
    await scene.api.replace({**await scene.secret(LOGIN), "data": SPOILED})


async def data_changed_by_a_merge_patch(scene: Scene) -> None:
    await _patch(scene, {"data": SPOILED})


async def data_changed_by_another_managers_forced_apply(scene: Scene) -> None:
    await _apply(scene, "somebody")


async def data_changed_by_an_apply_under_the_operators_name(scene: Scene) -> None:
    # Only the time of the entry tells it, and that has seconds.
    await asyncio.sleep(1.1)
    await _apply(scene, reading.MANAGER)


async def managed_by_label_removed(scene: Scene) -> None:
    await _patch_metadata(scene, {"labels": {"app.kubernetes.io/managed-by": None}})


async def managed_by_label_changed(scene: Scene) -> None:
    await _patch_metadata(scene, {"labels": {"app.kubernetes.io/managed-by": "Helm"}})


async def expiry_annotation_removed(scene: Scene) -> None:
    await _patch_metadata(scene, {"annotations": {reading.EXPIRES_AT: None}})


async def expiry_annotation_changed(scene: Scene) -> None:
    await _patch_metadata(scene, {"annotations": {reading.EXPIRES_AT: "2099-01-01T00:00:00.000000Z"}})


async def all_annotations_removed(scene: Scene) -> None:
    await _patch_metadata(scene, {"annotations": None})


async def owner_reference_removed(scene: Scene) -> None:
    await _patch_metadata(scene, {"ownerReferences": None})


async def managed_fields_wiped(scene: Scene) -> None:
    await _patch(scene, {"metadata": {"managedFields": [{}]}, "data": SPOILED})


DAMAGES = [
    deleted,
    data_replaced_by_an_update,
    data_changed_by_a_merge_patch,
    data_changed_by_another_managers_forced_apply,
    data_changed_by_an_apply_under_the_operators_name,
    managed_by_label_removed,
    managed_by_label_changed,
    expiry_annotation_removed,
    expiry_annotation_changed,
    all_annotations_removed,
    owner_reference_removed,
    managed_fields_wiped,
]


@pytest.mark.parametrize("damage", [pytest.param(each, id=each.__name__) for each in DAMAGES])
async def test_a_secret_is_put_right_within_a_second_and_without_aws(scene: Scene, damage: Damage) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        (before,) = await scene.ready("pull")
        await _damage_and_see_healed(scene, damage)
        assert scene.aws.count() == 1
        await wait_for(lambda: _told(scene, "Repaired"), 2, "an Event Repaired")
        after = await scene.resource("pull")
    assert after["status"]["lastUpdatedTime"] == before["status"]["lastUpdatedTime"]
    assert reading.verdict(after, "Ready") == ("True", "Refreshed")


async def _damage_and_see_healed(scene: Scene, damage: Damage) -> None:
    before = reading.essence(await scene.secret(LOGIN))
    await damage(scene)

    async def healed() -> bool:
        found = await scene.find_secret(LOGIN)
        return found is not None and reading.essence(found) == before

    await wait_for(healed, LIMIT, "the Secret as it was")


async def _told(scene: Scene, reason: str) -> bool:
    return reason in await scene.events("pull")


async def test_an_argo_secret_is_put_right_too(scene: Scene) -> None:
    await scene.create(argo_secret("pull"))
    async with scene.operator():
        await scene.ready("pull", kind=ARGO_SECRETS)
        labels = {"argocd.argoproj.io/secret-type": "cluster"}
        await _damage_and_see_healed(scene, lambda there: _patch_metadata(there, {"labels": labels}))
        await _damage_and_see_healed(scene, lambda there: _patch(there, {"data": {"enableOCI": None}}))
        await _damage_and_see_healed(scene, deleted)


async def test_a_secret_that_is_deleted_again_and_again_comes_back_each_time(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        for _ in range(5):
            await _damage_and_see_healed(scene, deleted)
    assert scene.aws.count() == 1


async def test_what_others_add_costs_no_write_and_survives_a_repair(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    theirs = {"labels": {"team": "blue"}, "annotations": {"reloader/match": "true"}}
    async with scene.operator():
        await scene.ready("pull")
        scene.mark()
        await _patch(scene, {"metadata": theirs, "data": {"extra": "dmFsdWU="}})
        await asyncio.sleep(QUIET)
        assert not scene.writes()
        await _damage_and_see_healed(scene, data_changed_by_a_merge_patch)
        await scene.writes_are({SECRET_WRITE: 1})
    secret = await scene.secret(LOGIN)
    assert secret["metadata"]["labels"]["team"] == "blue"
    assert secret["metadata"]["annotations"]["reloader/match"] == "true"
    assert secret["data"]["extra"] == "dmFsdWU="
