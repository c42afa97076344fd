"""A change of the spec removes from a Secret what the operator applied, and nothing else."""

from lab.api import ARGO_SECRETS, ECR_SECRETS
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership.conflicts import OURS, kept, owner_reference, secret_writes
from tests.cluster.scene import Scene

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
