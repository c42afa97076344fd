"""What is ours but can't be changed in place is made anew; what is in deletion is kept fresh till it goes."""

import pytest

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Json, Resource
from lab.waiting import wait_for
from tests.cluster import admission
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership.conflicts import OURS
from tests.cluster.scene import Scene

LOGIN = "pull-login"
SPOILED = {".dockerconfigjson": "eyJhdXRocyI6e319"}


async def _serial_is(scene: Scene, serial: int) -> bool:
    secret = await scene.find_secret(LOGIN)
    return secret is not None and (await scene.token(LOGIN)).serial == serial


async def test_a_secret_of_ours_that_somebody_makes_immutable_is_replaced_when_its_token_is_due(
    scene: Scene,
) -> None:
    scene.aws.token_life = 6
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        before = await scene.api.merge_patch(SECRETS, LOGIN, {"immutable": True}, scene.namespace)
        await wait_for(lambda: _serial_is(scene, 2), 10, "the second token")
        await scene.ready("pull")
    after = await scene.secret(LOGIN)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert not after.get("immutable")


async def test_a_secret_of_ours_that_is_spoiled_and_sealed_in_one_go_is_replaced_at_once(
    scene: Scene,
) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        await scene.api.merge_patch(SECRETS, LOGIN, {"immutable": True, "data": SPOILED}, scene.namespace)
        await wait_for(lambda: _is_well(scene), 5, "the Secret made anew")
        await scene.ready("pull")
    assert scene.aws.count() == 1


async def _is_well(scene: Scene) -> bool:
    secret = await scene.find_secret(LOGIN)
    return secret is not None and secret["data"] != SPOILED and not secret.get("immutable")


@pytest.mark.parametrize(
    ("resource", "kind", "made"),
    [
        pytest.param(ecr_secret("pull"), ECR_SECRETS, "kubernetes.io/dockerconfigjson", id="Secret"),
        pytest.param(argo_secret("pull"), ARGO_SECRETS, "Opaque", id="ArgoHelmRepoSecret"),
    ],
)
async def test_a_secret_of_ours_that_was_made_again_with_another_type_is_replaced(
    scene: Scene, resource: Json, kind: Resource, made: str
) -> None:
    await scene.create(resource)
    async with scene.operator():
        await scene.ready("pull", kind=kind)
    owners = (await scene.secret(LOGIN))["metadata"]["ownerReferences"]
    await scene.delete(LOGIN)
    await scene.create(_of_another_type(owners))
    async with scene.operator():
        await wait_for(lambda: _type_is(scene, made), 20, f"a Secret of type {made}")
        await scene.ready("pull", kind=kind)
    assert (await scene.token(LOGIN)).serial == 2


def _of_another_type(owners: list[Json]) -> Json:
    """Make a Secret as a restored backup may hold it: with our ownerReference and a type of its own."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": LOGIN, "labels": OURS, "ownerReferences": owners},
        "type": "example.com/restored",
    }


async def _type_is(scene: Scene, desired: str) -> bool:
    secret = await scene.find_secret(LOGIN)
    return secret is not None and secret["type"] == desired


async def test_a_secret_of_ours_that_a_finalizer_holds_in_deletion_is_kept_fresh_and_made_again_after(
    scene: Scene,
) -> None:
    scene.aws.token_life = 6
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        await _hold(scene, ["example.com/hold"])
        await scene.delete(LOGIN)
        await wait_for(lambda: _serial_is(scene, 2), 10, "the second token")
        held = await scene.secret(LOGIN)
        assert held["metadata"]["deletionTimestamp"]
        await _hold(scene, None)
        again = await wait_for(lambda: scene.find_secret(LOGIN), 5, "the Secret made again")
        assert again["metadata"]["uid"] != held["metadata"]["uid"]
        await scene.ready("pull")
    assert "deletionTimestamp" not in again["metadata"]


async def _hold(scene: Scene, finalizers: list[str] | None) -> None:
    patch = {"metadata": {"finalizers": finalizers}}
    await scene.api.merge_patch(SECRETS, LOGIN, patch, scene.namespace)


async def test_a_policy_that_calls_secrets_immutable_has_none_of_ours_deleted(scene: Scene) -> None:
    scene.aws.token_life = 6
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        before = await scene.secret(LOGIN)
        await admission.enforce(scene, _sealing(scene.namespace))
        await scene.told("pull", "False", "KubernetesRefused")
        after = await scene.secret(LOGIN)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


def _sealing(name: str) -> Json:
    """Make a policy that refuses any change of a Secret's data, in the API server's own words."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["secrets"]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [
                {
                    "expression": "object.data == oldObject.data",
                    "reason": "Invalid",
                    "message": "Secrets must be immutable: a field is immutable.",
                }
            ],
        },
    }
