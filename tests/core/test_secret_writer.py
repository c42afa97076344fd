"""Another form of the Secret: made anew with the token that there is, or left; and an answer that is lost."""

# ruff: noqa: S106 - forms of Secrets

from ecr_operator.api.outcome import Reason
from tests.builders import cases, transient
from tests.core.world import DUE, World
from tests.fakes import settle

APPLY, DELETE = "apply team/web-pull", "delete team/web-pull"


@cases(
    "form, keys",
    {"config.json": ("config.json", {"config.json"}), "basic-auth": ("basic-auth", {"username", "password"})},
)
async def test_another_format_makes_the_secret_anew_without_a_call_to_aws(
    world: World, form: str, keys: set[str]
) -> None:
    of = await world.change(await world.apply(), secret_format=form)
    assert world.condition(of) == ("True", "Refreshed")
    assert world.secrets.manifests["web-pull"]["data"].keys() == keys
    assert world.secrets.calls == [APPLY, APPLY, DELETE, APPLY]
    assert len(world.aws.asked) == 1


async def test_a_format_that_admission_refuses_leaves_the_login_in_the_former_one(world: World) -> None:
    of = await world.apply()
    before = world.secrets.manifests["web-pull"]["data"]
    world.secrets.refused_type = "kubernetes.io/basic-auth"
    of = await world.change(of, secret_format="basic-auth")
    assert world.condition(of, "Refreshed") == ("False", "KubernetesRefused")
    assert ("team", "web-pull") in world.secrets.metadata
    assert world.secrets.manifests["web-pull"]["data"] == before
    world.queue.schedule_now(of.key)
    await world.clock.advance(29)
    assert world.secrets.calls.count(DELETE) == 1
    for _ in range(3):
        await world.clock.advance(DUE)
        assert world.expiry() > world.clock.now()
    assert len(world.aws.asked) <= 5


async def test_a_write_whose_answer_is_lost_is_not_taken_for_that_of_others(world: World) -> None:
    of = await world.apply()
    world.secrets.lost = [transient(Reason.KUBERNETES_UNAVAILABLE)]
    await world.clock.advance(DUE)
    assert world.condition(of, "Refreshed") == ("True", "Refreshed")
    assert Reason.REPAIRED not in [reason for _, reason in world.events.emitted]
    assert len(world.aws.asked) == 2


async def test_a_write_whose_answer_is_lost_is_not_made_again_once_the_watch_shows_it(world: World) -> None:
    of = await world.apply()
    world.secrets.lost = [transient(Reason.KUBERNETES_UNAVAILABLE, retry_after=30)]
    await world.clock.advance(10)
    world.delete()
    await settle()
    world.show_secret()
    await world.clock.advance(60)
    assert world.secrets.calls.count(APPLY) == 2
    assert world.condition(of, "Refreshed") == ("True", "Refreshed")
