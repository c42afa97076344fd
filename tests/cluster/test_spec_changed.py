"""A change of the spec is acted on at once, at no more cost than it needs."""

from lab.api import ARGO_SECRETS, ECR_SECRETS
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.cluster.ownership.conflicts import OURS, kept, owner_reference, secret_writes
from tests.cluster.scene import Scene


async def test_a_change_of_the_spec_is_acted_on_at_once(scene: Scene) -> None:
    await scene.create(*map(ecr_secret, ("region", "registry", "often")), argo_secret("charts"))
    other = registry().replace("123456789012", "210987654321")
    async with scene.operator():
        await scene.ready("region", "registry", "often")
        await scene.ready("charts", kind=ARGO_SECRETS)
        before = await scene.secret("often-login")
        await scene.change("registry", {"ecr_registry": other})
        await scene.change("charts", {"url": f"{registry()}/charts"}, ARGO_SECRETS)
        await scene.change("often", {"frequency": "4h"})
        _, often = await scene.ready("registry", "often")
        await scene.ready("charts", kind=ARGO_SECRETS)
        assert scene.aws.count() == 1
        await scene.change("region", {"region": "eu-west-1", "ecr_registry": registry("eu-west-1")})
        (region,) = await scene.ready("region")
    data = reading.decoded(await scene.secret("registry-login"))[".dockerconfigjson"]
    assert data.startswith(f'{{"auths":{{"{other}":')
    assert reading.decoded(await scene.secret("charts-login"))["url"] == f"{registry()}/charts"
    # Another frequency moves the next refresh and leaves the Secret alone.
    status = often["status"]
    hours = (reading.epoch(status["nextRefreshTime"]) - reading.epoch(status["lastUpdatedTime"])) / 3600
    assert 3.79 < hours <= 4
    assert await scene.secret("often-login") == before
    secret = await scene.secret("region-login")
    assert reading.token(secret).region == "eu-west-1"
    assert registry() not in reading.decoded(secret)[".dockerconfigjson"]
    assert region["status"]["observedGeneration"] == 2


CHANGES: list[tuple[dict[str, str], str | None]] = [
    ({"a": "1", "example.com/b": "x"}, "Orphan"),
    ({"a": "2"}, "Delete"),
    ({}, "Orphan"),
    ({}, None),
]


async def test_labels_annotations_and_owner_follow_the_spec_beside_other_peoples(scene: Scene) -> None:
    kinds = {"pull": ECR_SECRETS, "charts": ARGO_SECRETS}
    fixed = {"pull": {}, "charts": {"argocd.argoproj.io/secret-type": "repository"}}
    theirs = {"labels": {"team": "blue"}, "annotations": {"reloader/match": "true"}}
    await scene.create(ecr_secret("pull"), argo_secret("charts"))
    async with scene.operator():
        resources = [(await scene.ready(name, kind=kind))[0] for name, kind in kinds.items()]
        before = [await scene.patch_secret(f"{name}-login", {"metadata": theirs}) for name in kinds]
        scene.mark()
        for desired, policy in CHANGES:
            spec = {"secret_labels": desired, "secret_annotations": desired, "deletion_policy": policy}
            for (name, kind), resource in zip(kinds.items(), resources, strict=True):
                # In a merge patch, an empty object leaves what is there: the whole field has to go first.
                await scene.change(name, dict.fromkeys(spec), kind)
                await scene.change(name, spec, kind)
                await scene.ready(name, kind=kind)
                metadata = (await scene.secret(f"{name}-login"))["metadata"]
                assert metadata["labels"] == {"team": "blue", **OURS, **fixed[name], **desired}
                assert _users(metadata["annotations"]) == {"reloader/match": "true", **desired}
                owners = [] if policy == "Orphan" else [owner_reference(resource)]
                assert metadata.get("ownerReferences", []) == owners
    after = await scene.secrets("pull-login", "charts-login")
    assert [kept(each) for each in after] == [kept(each) for each in before]
    assert {verb for verb, _ in secret_writes(scene)} == {"patch"}
    assert scene.aws.count() == 1


def _users(annotations: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if not key.startswith("ecr.mobb.redhat.com/")}
