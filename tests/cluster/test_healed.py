"""A generated Secret that somebody deletes or edits is restored at once, from the cached token."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from functools import partial

from lab.api import ARGO_SECRETS, ECR_SECRETS, Json
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import QUIET, SECRET_WRITE, STATUS_WRITE, Scene

SPOILED = {".dockerconfigjson": base64.b64encode(b'{"auths":{}}').decode()}
LABEL = "app.kubernetes.io/managed-by"

Damage = Callable[[Scene, str], Awaitable[object]]


def _patch(patch: Json) -> Damage:
    return lambda scene, login: scene.patch_secret(login, patch)


def _metadata(patch: Json) -> Damage:
    return _patch({"metadata": patch})


async def _update(scene: Scene, login: str) -> None:
    await scene.api.replace({**await scene.secret(login), "data": SPOILED})


def _apply(manager: str) -> Damage:
    """Apply all that the operator applies, but with other data."""

    async def act(scene: Scene, login: str) -> None:
        present = await scene.secret(login)
        kept = ("name", "labels", "annotations", "ownerReferences")
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {field: present["metadata"][field] for field in kept},
            "type": present["type"],
            "data": SPOILED,
        }
        await scene.api.apply(manifest, scene.namespace, manager=manager)

    return act


DAMAGES: dict[str, Damage] = {
    "deleted": Scene.delete,
    "data-updated": _update,
    "data-patched": _patch({"data": SPOILED}),
    "data-applied-by-another": _apply("somebody"),
    "data-applied-under-our-name": _apply(reading.MANAGER),
    "label-removed": _metadata({"labels": {LABEL: None}}),
    "label-changed": _metadata({"labels": {LABEL: "Helm"}}),
    "expiry-removed": _metadata({"annotations": {reading.EXPIRES_AT: None}}),
    "expiry-changed": _metadata({"annotations": {reading.EXPIRES_AT: "2099-01-01T00:00:00.000000Z"}}),
    "annotations-removed": _metadata({"annotations": None}),
    "owner-removed": _metadata({"ownerReferences": None}),
    "managed-fields-removed": _patch({"metadata": {"managedFields": [{}]}, "data": SPOILED}),
}
DAMAGES_OF_ARGO: dict[str, Damage] = {
    "type-changed": _metadata({"labels": {"argocd.argoproj.io/secret-type": "cluster"}}),
    "key-removed": _patch({"data": {"enableOCI": None}}),
    "argo-deleted": Scene.delete,
}


async def test_a_damaged_secret_is_restored_without_aws(scene: Scene) -> None:
    await scene.create(*map(ecr_secret, DAMAGES), *map(argo_secret, DAMAGES_OF_ARGO))
    async with scene.operator():
        before = await scene.ready(*DAMAGES)
        await scene.ready(*DAMAGES_OF_ARGO, kind=ARGO_SECRETS)
        # Only the time of the entry tells an apply under the operator's own name, and that has seconds.
        await asyncio.sleep(1.1)
        await asyncio.gather(
            *(
                _is_restored(scene, f"{name}-login", act)
                for name, act in {**DAMAGES, **DAMAGES_OF_ARGO}.items()
            )
        )
        assert scene.aws.count() == 1
        for name in DAMAGES:
            await wait_for(lambda name=name: _is_reported(scene, name), what=f"an Event about {name}")  # type: ignore[misc]
        after = [await scene.resource(name) for name in DAMAGES]
    assert [each["status"] for each in after] == [each["status"] for each in before]


async def _is_restored(scene: Scene, login: str, damage: Damage) -> None:
    before = reading.essence(await scene.secret(login))
    await damage(scene, login)

    async def look() -> bool:
        found = await scene.find_secret(login)
        return found is not None and reading.essence(found) == before

    await wait_for(look, what=f"{login} as it was")


async def _is_reported(scene: Scene, name: str) -> bool:
    return "Repaired" in await scene.events(name)


async def test_what_others_add_costs_no_write_and_survives_repair_and_refresh(scene: Scene) -> None:
    # A new token may be requested a quarter of that after the first.
    scene.aws.token_life = 20
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        scene.mark()
        theirs = {"metadata": {"annotations": {"reloader/match": "true"}}, "data": {"extra": "dmFsdWU="}}
        await scene.patch_secret("pull-login", theirs)
        metadata = {"name": "pull-login", "labels": {"team": "blue"}}
        applied = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
        await scene.api.apply(applied, scene.namespace, manager="team")
        await asyncio.sleep(QUIET)
        assert not scene.writes()
        await _is_restored(scene, "pull-login", _patch({"data": SPOILED}))
        scene.aws.token_life = 3600
        request = {"metadata": {"annotations": {"ecr.mobb.redhat.com/refresh-requested-at": "now"}}}
        await scene.api.merge_patch(ECR_SECRETS, "pull", request, scene.namespace)
        await scene.renewed("pull-login", 2)
    assert scene.writes()[SECRET_WRITE] == 2
    secret = await scene.secret("pull-login")
    assert secret["metadata"]["labels"]["team"] == "blue"
    assert secret["metadata"]["annotations"]["reloader/match"] == "true"
    assert secret["data"]["extra"] == "dmFsdWU="


async def test_a_status_that_somebody_changes_is_written_anew_once(scene: Scene) -> None:
    changes: dict[str, Json | None] = {"wiped": None, "spoiled": {"phase": "Failed", "secretName": "other"}}
    await scene.create(*map(ecr_secret, changes))
    async with scene.operator():
        before = [_said(resource) for resource in await scene.ready(*changes)]
        scene.mark()
        for name, status in changes.items():
            await scene.api.merge_patch(ECR_SECRETS, name, {"status": status}, scene.namespace, "status")
        for name, said in zip(changes, before, strict=True):
            await wait_for(partial(_says, scene, name, said), 10, f"the status of {name}")
        await scene.writes_are({STATUS_WRITE: len(changes)})


async def _says(scene: Scene, name: str, said: Json) -> bool:
    return _said(await scene.resource(name)) == said


def _said(resource: Json) -> Json:
    """The status without the times of transitions."""
    status = resource.get("status", {})
    conditions = [{**each, "lastTransitionTime": ""} for each in status.get("conditions", ())]
    return {**status, "conditions": conditions}
