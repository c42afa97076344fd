"""A Secret that is somebody else's is never changed by a byte, and the conflict heals by itself."""

import asyncio
from collections.abc import Awaitable, Callable

from lab.api import SECRETS, ApiError, Json
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, core_secret, ecr_secret
from tests.cluster.ownership import v060
from tests.cluster.ownership.conflicts import (
    ADOPT,
    HEALED,
    OURS,
    accepted,
    controller,
    core_secrets,
    owner_reference,
    refused,
)
from tests.cluster.scene import QUIET, STATUS_WRITE, Scene

HELD = {"finalizers": ["example.com/hold"]}
DOCKER = "kubernetes.io/dockerconfigjson"


async def test_foreign_secrets_of_every_form_stay_untouched_and_their_owner_is_named(scene: Scene) -> None:
    chart = await controller(scene)
    mine = await scene.api.create(ecr_secret("mine"), scene.namespace)
    forms = _forms(chart, mine)
    before = [await v060.created_by(scene, *form[:2]) for form in forms.values()]
    await scene.create(*(ecr_secret(name) for name in forms if name != "mine"))
    await scene.delete("deleting-login")
    before = await core_secrets(scene, *(each["metadata"]["name"] for each in before))
    async with scene.operator():
        for name, (_, _, owner) in forms.items():
            await refused(scene, ecr_secret(name), owner)
        await asyncio.sleep(QUIET)
    assert await core_secrets(scene, *(each["metadata"]["name"] for each in before)) == before
    assert set(accepted(scene)) == {STATUS_WRITE}
    assert scene.aws.count() == 1
    await scene.api.merge_patch(
        SECRETS, "deleting-login", {"metadata": {"finalizers": None}}, scene.namespace
    )


def _forms(chart: Json, mine: Json) -> dict[str, tuple[str, Json, str]]:
    """Return who made it, the Secret, and whose the operator is to say it is, by the resource's name."""
    metadata = mine["metadata"]
    claimed = {
        "ecr.mobb.redhat.com/owner": "Secret/claimed",
        "ecr.mobb.redhat.com/owner-uid": metadata["uid"],
    }
    not_controller = owner_reference(mine, is_controller=False)
    empty = {key: value for key, value in core_secret("empty-login").items() if key != "data"}
    return {
        "plain": ("helm", core_secret("plain-login"), "field manager helm"),
        "owned": ("helm", core_secret("owned-login", ownerReferences=[chart]), "ConfigMap chart"),
        "empty": ("helm", empty, "no owner"),
        "labelled": (
            "kubectl-edit",
            core_secret("labelled-login", labels=OURS),
            "field manager kubectl-edit",
        ),
        "claimed": (
            "kubectl-edit",
            core_secret("claimed-login", labels=OURS, annotations=claimed),
            "field manager kubectl-edit",
        ),
        "mine": ("me", core_secret("mine-login", ownerReferences=[not_controller]), "field manager me"),
        "typed": (
            "helm",
            {**core_secret("typed-login"), "type": DOCKER, "data": v060.docker_data({})},
            "field manager helm",
        ),
        "immutable": ("helm", {**core_secret("immutable-login"), "immutable": True}, "field manager helm"),
        "deleting": ("helm", core_secret("deleting-login", **HELD), "field manager helm"),
    }


async def _deleted(scene: Scene) -> None:
    await scene.delete("deleted-login")


async def _marked(scene: Scene) -> None:
    await _annotate(scene, "marked-login")


async def _marked_of_another_type(scene: Scene) -> None:
    await _annotate(scene, "other-type-login", "replace")


async def _released(scene: Scene) -> None:
    await scene.api.merge_patch(SECRETS, "held-login", {"metadata": {"finalizers": None}}, scene.namespace)


async def _immutable_deleted(scene: Scene) -> None:
    await scene.delete("immutable-login")


async def _annotate(scene: Scene, name: str, word: str = "true") -> None:
    patch = {"metadata": {"annotations": {ADOPT: word}}}
    await scene.api.merge_patch(SECRETS, name, patch, scene.namespace)


HEALED_BY: dict[str, Callable[[Scene], Awaitable[None]]] = {
    "deleted": _deleted,
    "marked": _marked,
    "other-type": _marked_of_another_type,
    "held": _released,
    "immutable": _immutable_deleted,
}


async def test_a_conflict_heals_by_itself_when_the_secret_is_deleted_or_marked_for_adoption(
    scene: Scene,
) -> None:
    marked = {**core_secret("marked-login", labels={"team": "blue"}), "type": DOCKER}
    marked["data"] = {**v060.docker_data({}), "extra": "dmFsdWU="}
    held = core_secret("held-login", **HELD)
    await scene.create(marked, held, core_secret("deleted-login"), core_secret("other-type-login"))
    await scene.create({**core_secret("immutable-login"), "immutable": True})
    await scene.create(*(ecr_secret(name) for name in HEALED_BY))
    await scene.delete("held-login")
    (before,) = await core_secrets(scene, "marked-login")
    async with scene.operator():
        for name in HEALED_BY:
            await scene.told(name, "False", "SecretConflict")
        await asyncio.gather(*(heal(scene) for heal in HEALED_BY.values()))
        await asyncio.gather(*(scene.ready(name, within=HEALED) for name in HEALED_BY))
    for name in HEALED_BY:
        assert (await scene.token(f"{name}-login")).serial == 1
        assert not (await scene.secret(f"{name}-login")).get("immutable")
    await _is_kept(scene, before)


async def _is_kept(scene: Scene, before: Json) -> None:
    """Check that a Secret was adopted where it stood, with what others had put on it."""
    after = await scene.secret(before["metadata"]["name"])
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["labels"] == {"team": "blue", **OURS}
    assert after["data"]["extra"] == "dmFsdWU="


async def test_a_resource_that_names_another_secret_is_out_of_the_conflict_at_once(scene: Scene) -> None:
    foreign = await scene.api.create(core_secret("pull-login"), scene.namespace)
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.told("pull", "False", "SecretConflict")
        await scene.change("pull", {"generated_secret_name": "free"})
        await scene.ready("pull", within=5)
    assert await scene.secret("pull-login") == foreign
    assert (await scene.token("free")).serial == 1


async def test_secrets_that_appear_while_aws_is_being_asked_stay_untouched(scene: Scene) -> None:
    names = [f"r{number}" for number in range(10)]
    scene.aws.hang()
    await scene.create(*(ecr_secret(name) for name in names[:5]), *(argo_secret(name) for name in names[5:]))
    async with scene.operator():
        await wait_for(lambda: scene.aws.count() == 1, 20, "the call to AWS")
        before = [await v060.created_by(scene, "helm", core_secret(f"{name}-login")) for name in names]
        scene.aws.release()
        for name in names[:5]:
            await refused(scene, ecr_secret(name), "field manager helm")
        for name in names[5:]:
            await refused(scene, argo_secret(name), "field manager helm")
    assert await core_secrets(scene, *(f"{name}-login" for name in names)) == before


async def test_secrets_made_in_a_race_with_the_operator_stay_untouched(scene: Scene) -> None:
    await scene.create(ecr_secret("first"))
    async with scene.operator():
        await scene.ready("first")
        raced = await asyncio.gather(*(_race(scene, f"r{number}", number / 1000) for number in range(60)))
        foreign = {f"r{number}": secret for number, secret in enumerate(raced) if secret}
        assert foreign
        for number, secret in enumerate(raced):
            await scene.told(
                f"r{number}", *(("False", "SecretConflict") if secret else ("True", "Refreshed"))
            )
    found = {name: await scene.secret(f"{name}-login") for name in foreign}
    assert found == foreign
    assert scene.aws.count() == 1


async def _race(scene: Scene, name: str, head_start: float) -> Json | None:
    """Create a resource, and somebody else's Secret of the same name; return the Secret if it was first."""

    async def foreign() -> Json | None:
        await asyncio.sleep(head_start)
        try:
            return await v060.created_by(scene, "helm", core_secret(f"{name}-login"))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            return None

    secret, _ = await asyncio.gather(foreign(), scene.create(ecr_secret(name)))
    return secret
