"""A Secret of ours that can't be changed in place is replaced; one in deletion is renewed."""

from functools import partial

from lab.api import ARGO_SECRETS, Json
from lab.waiting import wait_for
from tests.cluster import admission
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership.conflicts import OURS
from tests.cluster.scene import Scene

SPOILED = {".dockerconfigjson": "eyJhdXRocyI6e319"}


async def test_a_secret_of_ours_that_is_sealed_or_held_in_deletion_keeps_a_live_token(scene: Scene) -> None:
    scene.aws.token_life = 15
    await scene.create(ecr_secret("sealed"), ecr_secret("spoiled"), ecr_secret("held"))
    async with scene.operator():
        await scene.ready("sealed", "spoiled", "held")
        before = await scene.patch_secret("sealed-login", {"immutable": True})
        await scene.patch_secret("spoiled-login", {"immutable": True, "data": SPOILED})
        await _hold(scene, ["example.com/hold"])
        await scene.delete("held-login")
        # What is spoiled is replaced at once, from the cached token.
        await scene.renewed("spoiled-login", 1)
        for name in ("sealed", "held"):
            await scene.renewed(f"{name}-login", 2)
        held, sealed = await scene.secrets("held-login", "sealed-login")
        assert held["metadata"]["deletionTimestamp"]
        assert sealed["metadata"]["uid"] != before["metadata"]["uid"]
        await _hold(scene, None)

        async def again() -> bool:
            found = await scene.find_secret("held-login")
            return found is not None and found["metadata"]["uid"] != held["metadata"]["uid"]

        await wait_for(again, what="the Secret created again")
        await scene.ready("sealed", "spoiled", "held")
        for secret in await scene.secrets("sealed-login", "spoiled-login", "held-login"):
            assert not secret.get("immutable")
            assert "deletionTimestamp" not in secret["metadata"]


async def _hold(scene: Scene, finalizers: list[str] | None) -> None:
    await scene.patch_secret("held-login", {"metadata": {"finalizers": finalizers}})


async def test_a_secret_of_ours_of_another_type_is_replaced_after_a_backup_or_a_change_of_the_spec(
    scene: Scene,
) -> None:
    types = {
        "pull": "kubernetes.io/dockerconfigjson",
        "charts": "Opaque",
        "changed": "kubernetes.io/basic-auth",
    }
    await scene.create(ecr_secret("pull"), argo_secret("charts"), ecr_secret("changed"))
    async with scene.operator():
        await scene.ready("pull", "changed")
        await scene.ready("charts", kind=ARGO_SECRETS)
    for name in ("pull", "charts"):
        owners = (await scene.secret(f"{name}-login"))["metadata"]["ownerReferences"]
        await scene.delete(f"{name}-login")
        await scene.create(_of_another_type(f"{name}-login", owners))
    await scene.change("changed", {"secret_format": "basic-auth"})
    async with scene.operator():
        for name, made in types.items():
            await wait_for(partial(_type_is, scene, name, made), what=f"type {made} of {name}")
            assert (await scene.token(f"{name}-login")).serial == 2
        await scene.ready("pull", "changed")
        await scene.ready("charts", kind=ARGO_SECRETS)


def _of_another_type(name: str, owners: list[Json]) -> Json:
    """Make a Secret as a restored backup may hold it: with our ownerReference and another type."""
    metadata = {"name": name, "labels": OURS, "ownerReferences": owners}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "example.com/restored"}


async def _type_is(scene: Scene, name: str, desired: str) -> bool:
    secret = await scene.find_secret(f"{name}-login")
    return secret is not None and secret["type"] == desired


async def test_a_policy_that_calls_secrets_immutable_has_none_of_ours_deleted(scene: Scene) -> None:
    scene.aws.token_life = 6
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        before = await scene.secret("pull-login")
        await admission.refuse_secrets(
            scene,
            ("UPDATE",),
            expression="object.data == oldObject.data",
            reason="Invalid",
            message="Secrets must be immutable: a field is immutable.",
        )
        await scene.told("pull", "False", "KubernetesRefused")
        after = await scene.secret("pull-login")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
