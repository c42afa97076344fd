"""secret_labels and secret_annotations: put on, changed and taken off again; reserved ones are refused."""

import asyncio

import pytest

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Json, Resource
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership.conflicts import OURS, core_secrets, secret_writes
from tests.cluster.scene import QUIET, Scene

LOGIN = "pull-login"
THEIRS = {"labels": {"team": "blue"}, "annotations": {"reloader/match": "true"}}
OF_THE_OPERATOR = "ecr.mobb.redhat.com/"


@pytest.mark.parametrize(
    ("resource", "kind", "fixed"),
    [
        pytest.param(ecr_secret("pull"), ECR_SECRETS, {}, id="Secret"),
        pytest.param(
            argo_secret("pull"),
            ARGO_SECRETS,
            {"argocd.argoproj.io/secret-type": "repository"},
            id="ArgoHelmRepoSecret",
        ),
    ],
)
async def test_labels_and_annotations_come_change_and_go_with_the_spec_beside_other_peoples(
    scene: Scene, resource: Json, kind: Resource, fixed: dict[str, str]
) -> None:
    await scene.create(resource)
    async with scene.operator():
        await scene.ready("pull", kind=kind)
        before = await scene.api.merge_patch(SECRETS, LOGIN, {"metadata": THEIRS}, scene.namespace)
        scene.mark()
        for desired in ({"a": "1", "example.com/b": "x"}, {"a": "2"}, {"c": "", "example.com/b": "y"}, {}):
            # In a merge patch, an empty object leaves what is there: the whole field has to go first.
            await scene.change("pull", {"secret_labels": None, "secret_annotations": None}, kind)
            await scene.change("pull", {"secret_labels": desired, "secret_annotations": desired}, kind)
            await scene.ready("pull", kind=kind, within=5)
            metadata = (await scene.secret(LOGIN))["metadata"]
            assert metadata["labels"] == {"team": "blue", **OURS, **fixed, **desired}
            assert _users(metadata["annotations"]) == {"reloader/match": "true", **desired}
    after = await scene.secret(LOGIN)
    assert (after["data"], after["metadata"]["uid"]) == (before["data"], before["metadata"]["uid"])
    assert {verb for verb, _ in secret_writes(scene)} == {"patch"}
    assert scene.aws.count() == 1


def _users(annotations: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if not key.startswith(OF_THE_OPERATOR)}


RESERVED = {
    "managed-by": "app.kubernetes.io/managed-by",
    "instance": "app.kubernetes.io/instance",
    "tracking": "argocd.argoproj.io/tracking-id",
    "type": "argocd.argoproj.io/secret-type",
    "core": "kubernetes.io/description",
    "k8s": "x.k8s.io/y",
    "own": "ecr.mobb.redhat.com/adopt",
}


async def test_reserved_labels_and_annotations_are_refused_and_leave_the_secret_as_it_was(
    scene: Scene,
) -> None:
    names = [f"{part}-{name}" for name in RESERVED for part in ("labels", "annotations")]
    await scene.create(*(ecr_secret(name) for name in names))
    async with scene.operator():
        await scene.ready(*names)
        before = await core_secrets(scene, *(f"{name}-login" for name in names))
        for name in names:
            part, _, reserved = name.partition("-")
            await scene.change(name, {f"secret_{part}": {RESERVED[reserved]: "x"}})
        for name in names:
            await _is_refused(scene, name)
        await asyncio.sleep(QUIET)
        assert await core_secrets(scene, *(f"{name}-login" for name in names)) == before
        await scene.change("labels-own", {"secret_labels": None})
        await scene.ready("labels-own", within=5)


async def _is_refused(scene: Scene, name: str) -> None:
    resource = await scene.told(name, "False", "InvalidSpec", within=5)
    part, _, reserved = name.partition("-")
    message = reading.condition(resource, "Refreshed")["message"]
    assert f"spec.secret_{part}" in message
    assert RESERVED[reserved] in message
    assert reading.verdict(resource, "Stalled") == ("True", "InvalidSpec")
