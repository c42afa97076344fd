"""What v0.6.0 wrote is adopted with its token; what only looks like it is left alone."""

import asyncio
import time
from typing import Any

from lab.api import ARGO_SECRETS, ECR_SECRETS, Json
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.cluster.ownership import v060
from tests.cluster.ownership.conflicts import OURS, controller, core_secrets, owner_reference, refused
from tests.cluster.ownership.rights import unable_to_delete
from tests.cluster.scene import ARGO_STATUS_WRITE, QUIET, SECRET_WRITE, STATUS_WRITE, Scene

RESOURCES = {"pull": (ecr_secret("pull"), ECR_SECRETS), "charts": (argo_secret("charts"), ARGO_SECRETS)}


async def test_what_v060_wrote_is_adopted_with_its_token_and_without_aws(scene: Scene) -> None:
    before = {
        name: await v060.left_behind(scene, resource, said=v060.status(3600))
        for name, (resource, _) in RESOURCES.items()
    }
    resources = {name: await scene.resource(name, kind) for name, (_, kind) in RESOURCES.items()}
    scene.mark()
    async with scene.operator():
        for name, (_, kind) in RESOURCES.items():
            (adopted,) = await scene.ready(name, kind=kind)
            assert adopted["status"]["phase"] == "Updated"
            _is_adopted(resources[name], adopted["status"], before[name], await scene.secret(f"{name}-login"))
        await scene.writes_are({SECRET_WRITE: 2, STATUS_WRITE: 1, ARGO_STATUS_WRITE: 1})
    scene.mark()
    async with scene.operator():
        await scene.watching()
        await scene.writes_are({})
    assert scene.aws.count() == 0


def _is_adopted(resource: Json, status: Json, before: Json, after: Json) -> None:
    """Check that a Secret is what it was, and the resource's."""
    old, new = before["metadata"], after["metadata"]
    assert (after["data"], after["type"], new["uid"]) == (before["data"], before["type"], old["uid"])
    assert new["labels"] == {**old.get("labels", {}), **OURS}
    assert new["ownerReferences"] == [owner_reference(resource)]
    updated = resource["status"]["lastUpdatedTime"]
    assert status["lastUpdatedTime"] == updated
    assert reading.exact_epoch(new["annotations"][reading.ISSUED_AT]) == reading.epoch(updated)
    assert reading.exact_epoch(new["annotations"][reading.EXPIRES_AT]) == reading.epoch(updated) + v060.LIFE


async def test_an_adoption_is_told_by_an_event(scene: Scene) -> None:
    for resource, _ in RESOURCES.values():
        await v060.left_behind(scene, resource)
    async with scene.operator():
        await asyncio.gather(*(_event(scene, name) for name in RESOURCES))


async def _event(scene: Scene, name: str) -> None:
    async def told() -> bool:
        return await scene.events(name) == ["Adopted"]

    await wait_for(told, 20, f"an Event Adopted about {name}")


async def test_two_hundred_are_adopted_with_one_patch_each_and_none_of_their_tokens_changes(
    scene: Scene,
) -> None:
    resources = [ecr_secret(f"r{number}", region=_region(number)) for number in range(120)]
    resources += [argo_secret(f"a{number}", region=_region(number)) for number in range(80)]
    before = await asyncio.gather(*(v060.left_behind(scene, resource) for resource in resources))
    expected = {SECRET_WRITE: 200, STATUS_WRITE: 120, ARGO_STATUS_WRITE: 80}
    scene.mark()
    async with scene.operator():
        await wait_for(lambda: scene.writes() == expected, 40, f"the writes {expected}")
        await scene.writes_are(expected)
    after = await core_secrets(scene, *(secret["metadata"]["name"] for secret in before))
    assert [_kept(secret) for secret in after] == [_kept(secret) for secret in before]
    for kind in (ECR_SECRETS, ARGO_SECRETS):
        found = await scene.api.list(kind, scene.namespace)
        assert {reading.verdict(each, "Ready") for each in found} == {("True", "Refreshed")}
    assert scene.aws.count() == 0


def _region(number: int) -> str:
    return ("us-east-1", "us-east-2", "eu-west-1", "eu-central-1")[number % 4]


def _kept(secret: Json) -> tuple[Any, ...]:
    return secret["metadata"]["uid"], secret["type"], secret["data"]


async def test_an_adopted_token_stays_until_it_is_due_and_one_that_is_dead_is_renewed_at_once(
    scene: Scene,
) -> None:
    # The shortest interval for a token of 12 h is 5 minutes, whatever the frequency; without jitter.
    issued_at = int(time.time()) - 288
    said = {**v060.status(), "lastUpdatedTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(issued_at))}
    young = await v060.left_behind(scene, ecr_secret("young", frequency="1s"), said=said)
    dead = [
        await v060.left_behind(scene, resource, said=v060.status(v060.LIFE + 60))
        for resource in (ecr_secret("dead", region="eu-west-1"), argo_secret("gone", region="eu-west-1"))
    ]
    async with scene.operator():
        for secret in dead:
            await _is_renewed(scene, secret)
        await _is_renewed(scene, young)
        await scene.ready("young", "dead")
        await scene.ready("gone", kind=ARGO_SECRETS)
    (call,) = scene.aws.select(region="us-east-1")
    assert call.at - issued_at >= 300
    assert scene.aws.count() == 2


async def _is_renewed(scene: Scene, before: Json) -> None:
    """Wait until a Secret holds another token."""
    name = before["metadata"]["name"]

    async def renewed() -> bool:
        return bool((await scene.secret(name))["data"] != before["data"])

    await wait_for(renewed, 25, f"another token in {name}")


async def test_an_adoption_that_kubernetes_refuses_is_made_up_for_when_it_is_allowed(scene: Scene) -> None:
    before = {name: await v060.left_behind(scene, resource) for name, (resource, _) in RESOURCES.items()}
    masters = scene.kubeconfig
    # Who may not delete a Secret may not give it an owner either.
    scene.kubeconfig = await unable_to_delete(scene)
    async with scene.operator():
        await wait_for(lambda: scene.requests()[SECRET_WRITE] >= 2, 20, "refused adoptions")
        await asyncio.sleep(QUIET)
    scene.kubeconfig = masters
    await _is_adopted_late(scene, before)


async def test_a_missing_right_to_give_a_secret_an_owner_is_told_as_one(scene: Scene) -> None:
    await v060.left_behind(scene, ecr_secret("pull"))
    scene.kubeconfig = await unable_to_delete(scene)
    async with scene.operator() as operator:
        await wait_for(lambda: '"level": "warning"' in operator.log.read_text(), 20, "a warning")
        first = next(line for line in operator.log.read_text().splitlines() if "warning" in line)
    assert '"KubernetesForbidden"' in first
    assert "Add the missing rule to its role" in first


async def _is_adopted_late(scene: Scene, before: dict[str, Json]) -> None:
    """See Secrets adopted with the tokens that v0.6.0 left in them."""
    async with scene.operator():
        for name, (_, kind) in RESOURCES.items():
            await scene.ready(name, kind=kind)
    for name, secret in before.items():
        assert _kept(await scene.secret(f"{name}-login")) == _kept(secret)
    assert scene.aws.count() == 0


async def test_a_resource_that_is_suspended_through_the_upgrade_is_adopted_when_it_resumes(
    scene: Scene,
) -> None:
    before: dict[str, Json] = {}
    for name, (resource, _) in RESOURCES.items():
        spec = {**resource["spec"], "suspend": True}
        before[name] = await v060.left_behind(scene, {**resource, "spec": spec})
    async with scene.operator():
        await scene.watching()
        await asyncio.sleep(QUIET)
    for name, (_, kind) in RESOURCES.items():
        assert _kept(await scene.secret(f"{name}-login")) == _kept(before[name])
        await scene.change(name, {"suspend": False}, kind)
    await _is_adopted_late(scene, before)


HOST = registry()
PASSWORD = v060.new_password()


def _secret(resource: Json, **changes: Any) -> Json:
    return {**v060.generated_secret(resource, PASSWORD), **changes}


def _almost() -> dict[str, tuple[Json, Json]]:
    """Return a resource and a Secret that v0.6.0 did not write for it, by what tells them apart."""
    auths = {
        "another-host": {registry("us-west-2"): v060.login(PASSWORD)},
        "two-logins": {HOST: v060.login(PASSWORD), "quay.io": v060.login("x")},
        "another-user": {HOST: v060.login(PASSWORD, "bob")},
        "email-too": {HOST: {**v060.login(PASSWORD), "email": "not@val.id"}},
        "empty-password": {HOST: v060.login("")},
        "no-login": {},
    }
    found = {name: _with_data(name, v060.docker_data(logins)) for name, logins in auths.items()}
    one = v060.docker_data({HOST: v060.login(PASSWORD)})
    found["another-key"] = _with_data("another-key", {**one, "extra": "dmFsdWU="})
    found["not-auths"] = _with_data("not-auths", v060.encoded({".dockerconfigjson": "{}"}))
    found["another-type"] = (ecr_secret("another-type"), _secret(ecr_secret("another-type"), type="Opaque"))
    return found


def _with_data(name: str, data: dict[str, str]) -> tuple[Json, Json]:
    return ecr_secret(name), _secret(ecr_secret(name), data=data)


def _almost_for_argo() -> dict[str, tuple[Json, Json]]:
    keys = {
        "another-url": {"url": f"https://{HOST}"},
        "another-name": {"name": "charts"},
        "project-too": {"project": "default"},
        "not-for-oci": {"enableOCI": "false"},
    }
    found: dict[str, tuple[Json, Json]] = {}
    for name, changes in keys.items():
        secret = _secret(argo_secret(name))
        found[name] = (argo_secret(name), {**secret, "data": {**secret["data"], **v060.encoded(changes)}})
    labels = {"argocd.argoproj.io/secret-type": "repo-creds"}
    metadata = {"name": "another-label-login", "labels": labels}
    found["another-label"] = (
        argo_secret("another-label"),
        _secret(argo_secret("another-label"), metadata=metadata),
    )
    return found


async def test_a_secret_that_differs_from_what_v060_wrote_in_anything_is_foreign(scene: Scene) -> None:
    chart = await controller(scene)
    cases = {**_almost(), **_almost_for_argo()}
    owned = {"name": "owned-login", "ownerReferences": [chart]}
    cases["owned"] = (ecr_secret("owned"), _secret(ecr_secret("owned"), metadata=owned))
    before = {name: await v060.left_behind(scene, *pair) for name, pair in cases.items()}
    async with scene.operator():
        for name, (resource, _) in cases.items():
            await refused(scene, resource, "ConfigMap chart" if name == "owned" else "field manager manager")
        await asyncio.sleep(QUIET)
    assert {name: await scene.secret(f"{name}-login") for name in cases} == before
    assert scene.aws.count() == 0


async def test_a_secret_in_v060s_form_is_foreign_where_the_status_is_not_v060s(scene: Scene) -> None:
    statuses: dict[str, Json] = {
        "none": {},
        "failed": {**v060.status(), "phase": "Failed"},
        "untimed": {"phase": "Updated"},
        "observed": {**v060.status(), "observedGeneration": 1},
    }
    before = {
        name: await v060.left_behind(scene, ecr_secret(name), said=said) for name, said in statuses.items()
    }
    async with scene.operator():
        for name in statuses:
            await refused(scene, ecr_secret(name), "field manager manager")
        await asyncio.sleep(QUIET)
    assert {name: await scene.secret(f"{name}-login") for name in statuses} == before
