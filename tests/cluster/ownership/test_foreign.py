"""A Secret that belongs to somebody else is never changed by a byte, and the conflict ends by itself."""

import asyncio
from collections.abc import Awaitable, Callable

from lab.api import ApiError, Json
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, core_secret, ecr_secret
from tests.cluster.concurrent import waits
from tests.cluster.ownership import v060
from tests.cluster.ownership.conflicts import (
    ADOPT,
    HEALED,
    OURS,
    accepted,
    controller,
    owner_reference,
    refused,
)
from tests.cluster.scene import QUIET, STATUS_WRITE, Scene

HELD = {"finalizers": ["example.com/hold"]}
DOCKER = "kubernetes.io/dockerconfigjson"


async def test_foreign_secrets_of_every_form_stay_untouched_and_their_owner_is_named(scene: Scene) -> None:
    mine = await scene.api.create(ecr_secret("mine"), scene.namespace)
    forms = _forms(await controller(scene), mine)
    logins = [f"{name}-login" for name in forms]
    for manager, secret, _ in forms.values():
        await v060.created_by(scene, manager, secret)
    await scene.create(*(ecr_secret(name) for name in forms if name != "mine"), ecr_secret("renamed"))
    await scene.delete("deleting-login")
    await v060.created_by(scene, "helm", core_secret("taken"))
    logins.append("taken")
    before = await scene.secrets(*logins)
    async with scene.operator():
        for name, (_, _, owner) in forms.items():
            await refused(scene, ecr_secret(name), owner)
        await asyncio.sleep(QUIET)
        await scene.ready("renamed")
        own = await scene.secret("renamed-login")
        scene.mark()
        # A rename onto a foreign Secret touches neither it nor the old one.
        await scene.change("renamed", {"generated_secret_name": "taken"})
        await refused(scene, ecr_secret("renamed"), "field manager helm")
        assert await scene.secret("renamed-login") == own
        assert await scene.secrets(*logins) == before
        assert set(accepted(scene)) <= {STATUS_WRITE}
        # One that names another Secret is out of the conflict at once.
        await scene.change("plain", {"generated_secret_name": "free"})
        await scene.ready("plain")
    assert await scene.secrets(*logins) == before
    assert scene.aws.count() == 1
    await scene.patch_secret("deleting-login", {"metadata": {"finalizers": None}})


def _forms(chart: Json, mine: Json) -> dict[str, tuple[str, Json, str]]:
    """Return who made it, the Secret, and the owner that is to be reported, by the resource's name."""
    claimed = {
        "ecr.mobb.redhat.com/owner": "Secret/claimed",
        "ecr.mobb.redhat.com/owner-uid": mine["metadata"]["uid"],
    }
    not_controller = owner_reference(mine, is_controller=False)
    empty = {key: value for key, value in core_secret("empty-login").items() if key != "data"}
    typed = {**core_secret("typed-login"), "type": DOCKER, "data": v060.docker_data({})}
    # v0.6.0's very form, without its status.
    old = v060.generated_secret(ecr_secret("old"), v060.new_password())
    return {
        "plain": ("helm", core_secret("plain-login"), "field manager helm"),
        "owned": ("helm", core_secret("owned-login", ownerReferences=[chart]), "ConfigMap chart"),
        "empty": ("helm", empty, "no owner"),
        "labelled": ("edit", core_secret("labelled-login", labels=OURS), "field manager edit"),
        "claimed": (
            "edit",
            core_secret("claimed-login", labels=OURS, annotations=claimed),
            "field manager edit",
        ),
        "mine": ("me", core_secret("mine-login", ownerReferences=[not_controller]), "field manager me"),
        "typed": ("helm", typed, "field manager helm"),
        "old": ("manager", old, "field manager manager"),
        "immutable": ("helm", {**core_secret("immutable-login"), "immutable": True}, "field manager helm"),
        "deleting": ("helm", core_secret("deleting-login", **HELD), "field manager helm"),
    }


def _annotate(name: str, word: str) -> Callable[[Scene], Awaitable[object]]:
    return lambda scene: scene.patch_secret(name, {"metadata": {"annotations": {ADOPT: word}}})


ENDED_BY: dict[str, Callable[[Scene], Awaitable[object]]] = {
    "deleted": lambda scene: scene.delete("deleted-login"),
    "labelled": lambda scene: scene.delete("labelled-login"),
    "immutable": lambda scene: scene.delete("immutable-login"),
    "marked": _annotate("marked-login", "true"),
    "other-type": _annotate("other-type-login", "replace"),
    "held": lambda scene: scene.patch_secret("held-login", {"metadata": {"finalizers": None}}),
}


@waits
async def test_a_conflict_ends_when_the_secret_is_deleted_or_marked_for_adoption(scene: Scene) -> None:
    marked = {**core_secret("marked-login", labels={"team": "blue"}), "type": DOCKER}
    marked["data"] = {**v060.docker_data({}), "extra": "dmFsdWU="}
    plain = (core_secret("deleted-login"), core_secret("labelled-login", labels=OURS))
    await scene.create(marked, *plain, core_secret("held-login", **HELD), core_secret("other-type-login"))
    await scene.create({**core_secret("immutable-login"), "immutable": True})
    await scene.create(*map(ecr_secret, ENDED_BY))
    await scene.delete("held-login")
    before = await scene.secret("marked-login")
    async with scene.operator():
        for name in ENDED_BY:
            await scene.told(name, "False", "SecretConflict")
        await asyncio.gather(*(end(scene) for end in ENDED_BY.values()))
        # The watch shows this one.
        await scene.ready("labelled", within=HEALED / 3)
        await scene.ready(*ENDED_BY, within=HEALED)
    for name in ENDED_BY:
        assert (await scene.token(f"{name}-login")).serial == 1
        assert not (await scene.secret(f"{name}-login")).get("immutable")
    # Adopted where it stood, with what others had put on it.
    after = await scene.secret("marked-login")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["labels"] == {"team": "blue", **OURS}
    assert after["data"]["extra"] == "dmFsdWU="


async def test_secrets_that_appear_in_a_race_with_the_operator_stay_untouched(scene: Scene) -> None:
    slow = [
        *(ecr_secret(f"s{number}") for number in range(5)),
        *(argo_secret(f"a{number}") for number in range(5)),
    ]
    scene.aws.hang()
    await scene.create(*slow)
    async with scene.operator():
        await wait_for(lambda: scene.aws.count() == 1, what="the call to AWS")
        names = [f"{each['metadata']['name']}-login" for each in slow]
        foreign = [await v060.created_by(scene, "helm", core_secret(name)) for name in names]
        scene.aws.release()
        for each in slow:
            await refused(scene, each, "field manager helm")
        raced = await asyncio.gather(*(_race(scene, f"r{number}", number / 1000) for number in range(60)))
        for number, secret in enumerate(raced):
            expected = ("False", "SecretConflict") if secret else ("True", "Refreshed")
            await scene.told(f"r{number}", *expected)
    first = [secret for secret in raced if secret]
    assert first
    foreign += first
    assert await scene.secrets(*(each["metadata"]["name"] for each in foreign)) == foreign
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
