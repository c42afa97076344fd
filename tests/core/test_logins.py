"""Logins: several in one Secret, each from its own source, and none delayed by another."""

from typing import Any

from ecr_operator.api.desired import Resource
from ecr_operator.api.identity import Identity
from ecr_operator.api.outcome import Reason
from ecr_operator.api.parsing import REFRESH_REQUESTED
from tests.builders import NAMESPACE, cases, host, permanent, transient
from tests.core.world import World

HERE, THERE, FAR = host(), host("eu-west-1"), host("eu-central-1")
SAME = "210987654321.dkr.ecr.us-east-2.amazonaws.com"
GOOD = ("True", "Refreshed")
PARTLY = ("False", Reason.PARTLY_REFRESHED)


async def pair(world: World, *more: str) -> Resource:
    """A resource with logins here, there and for more."""
    return await world.apply(additional_registries=[THERE, *more])


async def test_one_call_per_source_serves_all_its_hosts(world: World) -> None:
    of = await pair(world, SAME)
    assert (list(world.auths()), len(world.aws.asked)) == ([HERE, THERE, SAME], 2)
    assert world.condition(of) == GOOD


@cases("then", {"an absent Secret": {"aws_iam_secret": {"name": "absent"}}, "a bad spec": {"spec": []}})
async def test_tokens_go_with_the_last_resource_of_an_identity(world: World, then: dict[str, Any]) -> None:
    absent = Identity(source="iam_secret", namespace=NAMESPACE, name="absent")
    world.aws.bases[absent] = permanent(Reason.CREDENTIALS_MISSING)
    of = await world.apply(aws_iam_secret={"name": "keys"})
    await world.change(of, **then)
    assert [identity.name for identity in world.aws.released] == ["keys"]
    world.see(name="shop", aws_iam_secret={"name": "keys"})
    await world.clock.advance(300)
    assert [source.identity.name for source in world.aws.asked] == ["keys", "keys"]


async def test_a_source_is_dropped_when_its_last_resource_has_another_region(world: World) -> None:
    keys: dict[str, Any] = {"aws_iam_secret": {"name": "keys"}}
    await world.change(await world.apply(**keys), ecr_registry=THERE, **keys)
    await world.apply(name="shop", **keys)
    await world.clock.advance(2)
    assert [source.region for source in world.aws.asked] == ["us-east-2", "eu-west-1", "us-east-2"]


async def test_a_source_without_an_answer_delays_the_others_by_two_seconds(world: World) -> None:
    await world.apply(name="shop")
    world.aws.hold()
    await pair(world)
    await world.clock.advance(2.5)
    assert list(world.auths()) == [HERE]
    world.aws.answer()


async def test_a_source_that_fails_is_reported_once_and_adds_its_login_later(world: World) -> None:
    world.aws.failing["eu-west-1"] = transient()
    of = await pair(world)
    assert list(world.auths()) == [HERE]
    assert THERE in world.message(of)
    written, emitted = len(world.resources.written), len(world.events.emitted)
    for _ in range(5):
        await world.clock.advance(60)
        assert world.condition(of) == GOOD, "the spec's first registry has its login"
        assert world.condition(of, "Refreshed") == PARTLY
    assert len(world.aws.asked) > 5
    assert (len(world.resources.written), len(world.events.emitted)) == (written, emitted)
    assert [call for call in world.secrets.calls if call.startswith("apply")] == ["apply team/web-pull"]
    del world.aws.failing["eu-west-1"]
    await world.clock.advance(60)
    assert (list(world.auths()), world.condition(of, "Refreshed")) == ([HERE, THERE], GOOD)
    assert Reason.REPAIRED not in [reason for _, reason in world.events.emitted]


async def test_a_login_whose_source_fails_keeps_its_token_until_that_expires(world: World) -> None:
    of = await pair(world)
    old = world.auths()
    world.aws.failing["eu-west-1"] = permanent()
    await world.clock.advance(10 * 60)
    assert (world.auths()[THERE] == old[THERE], world.auths()[HERE] == old[HERE]) == (True, False)
    assert (world.condition(of), world.condition(of, "Refreshed")) == (GOOD, PARTLY)
    await world.clock.advance(2 * 60)
    assert list(world.auths()) == [HERE]
    assert (world.condition(of), world.condition(of, "Refreshed")) == (GOOD, PARTLY)


async def test_an_expired_first_login_is_not_ready(world: World) -> None:
    of = await pair(world)
    world.aws.failing["us-east-2"] = permanent()
    await world.clock.advance(12 * 60)
    assert list(world.auths()) == [HERE, THERE]
    assert world.condition(of) == ("False", Reason.TOKEN_EXPIRED)
    assert world.status(of)["expirationTime"] == "2026-03-01T12:12:00Z"


async def test_each_login_expires_at_its_own_time(world: World) -> None:
    of = await pair(world, FAR)
    world.aws.failing["eu-west-1"] = permanent()
    await world.clock.advance(9 * 60)
    world.aws.failing["eu-central-1"] = permanent()
    for minutes, hosts in ((4, [HERE, FAR]), (8, [HERE])):
        await world.clock.advance(minutes * 60)
        assert (list(world.auths()), world.condition(of)) == (hosts, GOOD)


async def test_a_failed_write_is_retried_and_leads_to_no_repairs(world: World) -> None:
    of = await pair(world)
    world.secrets.failures = [transient(Reason.KUBERNETES_UNAVAILABLE)]
    await world.change(of, additional_registries=[THERE, SAME])
    await world.clock.advance(30)
    assert (list(world.auths()), world.condition(of)) == ([HERE, THERE, SAME], GOOD)
    writes = len(world.secrets.calls)
    await world.clock.advance(300)
    assert len(world.secrets.calls) == writes


async def test_a_new_request_retries_a_failed_source_once(world: World) -> None:
    world.aws.failing["us-east-2"] = permanent()
    await world.apply()
    calls = []
    for annotations in ({}, {REFRESH_REQUESTED: "now"}, {REFRESH_REQUESTED: "now", "else": "changed"}):
        await world.clock.advance(2)
        await world.apply(annotations=annotations)
        calls.append(len(world.aws.asked))
    assert calls == [1, 2, 2]
    await world.clock.advance(2)
    assert len(world.aws.asked) == 2
    del world.aws.failing["us-east-2"]
    asked = await world.apply(annotations={REFRESH_REQUESTED: "now, please"})
    assert world.condition(asked) == GOOD


async def test_a_source_that_answers_too_late_is_reported_once(world: World) -> None:
    world.aws.failing["eu-west-1"] = transient()
    of = await pair(world)
    written, asked = len(world.resources.written), len(world.aws.asked)
    for _ in range(16):
        world.aws.hold()
        await world.clock.advance(25)
        world.aws.answer()
        await world.clock.advance(5)
        assert world.condition(of, "Refreshed") == PARTLY
    assert len(world.aws.asked) > asked + 3
    assert len(world.resources.written) <= written + 1
