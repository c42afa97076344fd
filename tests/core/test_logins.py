"""Logins: several in one Secret, each from its own source, and none delayed by another."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from ecr_operator.api.identity import Identity
from ecr_operator.api.outcome import Reason
from tests.builders import NAMESPACE, permanent, transient
from tests.core.world import World

HERE = "123456789012.dkr.ecr.us-east-2.amazonaws.com"
SAME = "210987654321.dkr.ecr.us-east-2.amazonaws.com"
REQUEST = "ecr.mobb.redhat.com/refresh-requested-at"
FAR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
THERE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


# Virtual hours cost real time.
LIFE = timedelta(minutes=12)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An empty cluster."""
    made = World()
    async with made.working():
        yield made


def held(world: World) -> dict[str, Any]:
    """The logins in the Secret that was applied last."""
    manifest = world.secrets.manifests["web-pull"]
    text = base64.b64decode(manifest["data"][".dockerconfigjson"]).decode()
    auths: dict[str, Any] = json.loads(text)["auths"]
    return auths


async def test_one_call_per_source_serves_all_its_hosts(world: World) -> None:
    of = await world.apply(ecr_registry=HERE, additional_registries=[SAME, THERE])
    assert list(held(world)) == [HERE, SAME, THERE]
    assert len(world.aws.asked) == 2
    assert world.condition(of) == ("True", "Refreshed")


@pytest.mark.parametrize(
    "then", [{"aws_iam_secret": {"name": "absent"}}, {"spec": []}], ids=["an absent Secret", "a bad spec"]
)
async def test_tokens_of_an_identity_are_dropped_when_its_last_resource_names_another_or_none(
    world: World, then: dict[str, Any]
) -> None:
    absent = Identity(source="iam_secret", namespace=NAMESPACE, name="absent")
    world.aws.bases[absent] = permanent(Reason.CREDENTIALS_MISSING)
    await world.apply(aws_iam_secret={"name": "keys"})
    await world.apply(generation=2, **then)
    assert [identity.name for identity in world.aws.released] == ["keys"]
    world.see(name="shop", aws_iam_secret={"name": "keys"})
    await world.clock.advance(600)
    assert [source.identity.name for source in world.aws.asked] == ["keys", "keys"]


async def test_a_source_that_fails_is_reported_and_the_others_are_written(world: World) -> None:
    world.aws.failing["eu-west-1"] = permanent()
    of = await world.apply(ecr_registry=HERE, additional_registries=[THERE])
    assert list(held(world)) == [HERE]
    assert world.condition(of) == ("True", "Refreshed"), "the spec's first registry has its login"
    assert world.condition(of, "Refreshed") == ("False", Reason.PARTLY_REFRESHED)
    assert THERE in world.status(of)["conditions"][1]["message"]


async def test_a_source_that_recovers_adds_its_login_and_is_no_repair(world: World) -> None:
    world.aws.failing["eu-west-1"] = permanent()
    of = await world.apply(ecr_registry=HERE, additional_registries=[THERE])
    del world.aws.failing["eu-west-1"]
    await world.clock.advance(600)
    assert list(held(world)) == [HERE, THERE]
    assert world.condition(of) == ("True", "Refreshed")
    assert Reason.REPAIRED not in [reason for _, reason in world.events.emitted]


async def test_a_login_whose_source_fails_keeps_its_token(world: World) -> None:
    world.aws.life = LIFE
    of = await world.apply(ecr_registry=HERE, additional_registries=[THERE])
    old = held(world)
    world.aws.failing["eu-west-1"] = permanent()
    await world.clock.advance(10 * 60)
    assert held(world)[THERE] == old[THERE]
    assert held(world)[HERE] != old[HERE]
    assert world.condition(of) == ("True", "Refreshed")
    assert world.condition(of, "Refreshed") == ("False", Reason.PARTLY_REFRESHED)
    await world.clock.advance(2 * 60)
    assert list(held(world)) == [HERE], "without the expired one"
    assert world.condition(of) == ("True", "Refreshed"), "the spec's first registry has its login"
    assert world.condition(of, "Refreshed") == ("False", Reason.PARTLY_REFRESHED)


async def test_an_expired_first_login_is_not_ready(world: World) -> None:
    world.aws.life = LIFE
    of = await world.apply(ecr_registry=HERE, additional_registries=[THERE])
    world.aws.failing["us-east-2"] = permanent()
    await world.clock.advance(12 * 60)
    assert list(held(world)) == [HERE, THERE]
    assert world.condition(of) == ("False", Reason.TOKEN_EXPIRED)
    assert world.status(of)["expirationTime"] == "2026-03-01T12:12:00Z"


async def test_each_login_expires_at_its_own_time(world: World) -> None:
    world.aws.life = LIFE
    of = await world.apply(ecr_registry=HERE, additional_registries=[THERE, FAR])
    world.aws.failing["eu-west-1"] = permanent()
    await world.clock.advance(9 * 60)
    world.aws.failing["eu-central-1"] = permanent()
    await world.clock.advance(4 * 60)
    assert list(held(world)) == [HERE, FAR]
    assert world.condition(of) == ("True", "Refreshed")
    await world.clock.advance(8 * 60)
    assert list(held(world)) == [HERE]
    assert world.condition(of) == ("True", "Refreshed")


async def test_a_failed_write_is_retried_and_leads_to_no_repairs(world: World) -> None:
    of = await world.apply(ecr_registry=HERE, additional_registries=[THERE])
    world.secrets.failures = [transient(Reason.KUBERNETES_UNAVAILABLE)]
    world.see(generation=2, ecr_registry=HERE, additional_registries=[THERE, SAME], status=world.status(of))
    await world.clock.advance(30)
    assert list(held(world)) == [HERE, THERE, SAME]
    assert world.condition(of) == ("True", "Refreshed")
    writes = len(world.secrets.calls)
    await world.clock.advance(3600)
    assert len(world.secrets.calls) == writes


async def test_a_new_request_retries_a_failed_source_once(world: World) -> None:
    world.aws.failing["us-east-2"] = permanent()
    await world.apply()
    await world.clock.advance(2)
    assert len(world.aws.asked) == 1
    await world.apply(annotations={REQUEST: "now"})
    assert len(world.aws.asked) == 2
    world.see(annotations={REQUEST: "now", "else": "changed"})
    await world.clock.advance(2)
    assert len(world.aws.asked) == 2
    del world.aws.failing["us-east-2"]
    asked = await world.apply(annotations={REQUEST: "now, please"})
    assert world.condition(asked) == ("True", "Refreshed")


async def test_a_source_that_fails_is_reported_and_written_once_for_all_retries(
    world: World,
) -> None:
    world.aws.failing["eu-west-1"] = transient()
    of = await world.apply(ecr_registry=HERE, additional_registries=[THERE])
    assert world.condition(of, "Refreshed") == ("False", Reason.PARTLY_REFRESHED)
    written, emitted = len(world.resources.written), len(world.events.emitted)
    for _ in range(10):
        await world.clock.advance(60)
        assert world.condition(of) == ("True", "Refreshed")
    assert len(world.aws.asked) > 5
    assert (len(world.resources.written), len(world.events.emitted)) == (written, emitted)
    assert [call for call in world.secrets.calls if call.startswith("apply")] == ["apply team/web-pull"]


async def test_a_source_that_answers_too_late_is_reported_once(world: World) -> None:
    world.aws.failing["eu-west-1"] = transient()
    of = await world.apply(ecr_registry=HERE, additional_registries=[THERE])
    written, asked = len(world.resources.written), len(world.aws.asked)
    for _ in range(20):
        world.aws.hold()
        await world.clock.advance(25)
        world.aws.answer()
        await world.clock.advance(5)
        assert world.condition(of, "Refreshed") == ("False", Reason.PARTLY_REFRESHED)
    assert len(world.aws.asked) > asked + 3
    assert len(world.resources.written) <= written + 1
