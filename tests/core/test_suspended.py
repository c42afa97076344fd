"""suspend: whatever happens meanwhile, nothing is written until it is false; then all is made good."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from ecr_operator.api.desired import Resource
from tests.builders import cases
from tests.core.world import LIFE, World

GOOD: Final = ("True", "Refreshed")
REQUEST: Final = "ecr.mobb.redhat.com/refresh-requested-at"
RENAMED: Final = {"generated_secret_name": "new"}

Event = Callable[[World, Resource], Awaitable[object]]


async def delete(world: World, _: Resource) -> None:
    world.delete()


async def edit(world: World, _: Resource) -> None:
    world.change_secret()


async def rename(world: World, of: Resource) -> None:
    await world.change(of, suspend=True, **RENAMED)


async def request(world: World, of: Resource) -> None:
    await world.change(of, suspend=True, annotations={REQUEST: "now"})


@cases(
    "event, fields, tokens",
    {
        "its Secret is deleted": (delete, {}, 1),
        "its Secret is edited": (edit, {}, 1),
        "it is renamed": (rename, RENAMED, 1),
        "a token is requested": (request, {"annotations": {REQUEST: "now"}}, 2),
    },
)
async def test_a_suspended_resource_is_written_only_when_it_resumes(
    event: Event, fields: dict[str, Any], tokens: int
) -> None:
    world = World(life=LIFE)
    async with world.working():
        of = await world.change(await world.apply(), suspend=True)
        before = dict(world.secrets.manifests)
        await event(world, of)
        await world.clock.advance(200)
        assert (world.secrets.manifests, len(world.aws.asked)) == (before, 1)
        assert "delete team/web-pull" not in world.secrets.calls
        await world.change(of, **fields)
        await world.clock.advance(1)
        assert world.condition(of, "Refreshed") == GOOD
        assert list(world.secrets.metadata) == [("team", fields.get("generated_secret_name", "web-pull"))]
        assert len(world.aws.asked) == tokens


async def test_a_resource_that_is_created_suspended_gets_nothing_until_it_resumes() -> None:
    world = World()
    async with world.working():
        of = await world.apply(suspend=True)
        await world.clock.advance(60)
        assert (world.aws.asked, world.secrets.calls) == ([], [])
        assert world.status(of)["phase"] == "Suspended"
        await world.change(of)
        assert world.condition(of) == GOOD
