"""Specs whose login can't be known: admitted, reported on that one resource, while all others go on.

What is wrong with a single field beside the login is in test_slips.
"""

from typing import Any

import pytest

from lab.api import ARGO_SECRETS, Json
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.scene import SECRET_WRITE, STATUS_WRITE, Scene

US_HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"

BAD = [
    pytest.param({"ecr_registry": ""}, "InvalidRegistry", "is empty", id="registry empty"),
    pytest.param({"ecr_registry": f" {US_HOST}"}, "InvalidRegistry", "space", id="registry with a space"),
    pytest.param({"ecr_registry": "   "}, "InvalidRegistry", "space", id="registry of spaces"),
    pytest.param(
        {"ecr_registry": US_HOST, "region": "eu-west-1"},
        "RegionMismatch",
        "us-east-1",
        id="host of another region",
    ),
    pytest.param(
        {"ecr_registry": "ecr.example.com", "region": None}, "InvalidSpec", "spec.region", id="no region"
    ),
    pytest.param(
        {"ecr_registry": "ecr.example.com", "region": "EU West"},
        "InvalidSpec",
        "spec.region",
        id="region that is none",
    ),
    pytest.param(
        {"generated_secret_name": "Not_A_Name"}, "InvalidSpec", "generated_secret_name", id="name in capitals"
    ),
    pytest.param(
        {"generated_secret_name": ""}, "InvalidSpec", "generated_secret_name", id="name that is empty"
    ),
    pytest.param(
        {"generated_secret_name": ".."}, "InvalidSpec", "generated_secret_name", id="name that is a path"
    ),
    pytest.param(
        {"generated_secret_name": "a/b"}, "InvalidSpec", "generated_secret_name", id="name with a slash"
    ),
]


@pytest.mark.parametrize(("spec", "reason", "words"), BAD)
async def test_a_bad_spec_is_told_on_its_resource_while_a_good_one_goes_on(
    scene: Scene, spec: dict[str, Any], reason: str, words: str
) -> None:
    await scene.create(ecr_secret("good"))
    async with scene.operator():
        await scene.ready("good")
        await scene.create(ecr_secret("bad", **spec))
        bad = await scene.told("bad", "False", reason, within=2)
        await _check_goes_on(scene, "good")
    assert words in reading.condition(bad, "Refreshed")["message"]
    assert bad["status"]["phase"] == "Failed"
    assert reading.verdict(bad, "Ready") == ("False", reason)
    assert reading.verdict(bad, "Stalled") == ("True", reason)
    assert not {"secretName", "expirationTime", "lastUpdatedTime"} & set(bad["status"])
    assert scene.writes("bad-login") == {}


async def _check_goes_on(scene: Scene, name: str) -> None:
    await scene.delete(f"{name}-login")
    await wait_for(lambda: scene.find_secret(f"{name}-login"), 1, f"{name}'s Secret made again")


async def test_a_bad_url_is_told_too(scene: Scene) -> None:
    await scene.create(argo_secret("bad", url="my registry"))
    async with scene.operator():
        bad = await scene.told("bad", "False", "InvalidRegistry", kind=ARGO_SECRETS)
    assert reading.verdict(bad, "Ready") == ("False", "InvalidRegistry")


async def test_bad_resources_that_were_there_before_cost_one_write_of_the_status_each(scene: Scene) -> None:
    specs: list[dict[str, Any]] = [dict(param.values[0]) for param in BAD]  # type: ignore[call-overload]
    for number, spec in enumerate(specs):
        await scene.create(ecr_secret(f"bad-{number}", **spec))
    await scene.create(ecr_secret("good"))
    async with scene.operator():
        await scene.ready("good")
        for number, param in enumerate(BAD):
            await scene.told(f"bad-{number}", "False", str(param.values[1]))
        await scene.writes_are({STATUS_WRITE: len(BAD) + 1, SECRET_WRITE: 1})


async def test_a_mended_spec_is_served_at_once(scene: Scene) -> None:
    await scene.create(ecr_secret("pull", region="eu-west-1", ecr_registry=US_HOST))
    async with scene.operator():
        await scene.told("pull", "False", "RegionMismatch")
        await scene.change("pull", {"region": "us-east-1"})
        (resource,) = await scene.ready("pull", within=1)
    assert reading.condition(resource, "Stalled") == {}
    assert reading.verdict(resource, "Ready") == ("True", "Refreshed")


async def test_a_frequency_that_turns_bad_is_told_while_the_token_is_kept_alive(scene: Scene) -> None:
    scene.aws.token_life = 6
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        await scene.change("pull", {"frequency": "often"})
        told = await scene.told("pull", "False", "InvalidSpec", within=1)
        assert (await scene.token("pull-login")).serial == 1
        await wait_for(lambda: _serial_is(scene, 2), 5, "a refresh by expiry")
        after = await _with_expiry(scene, (await scene.token("pull-login")).expires_at)
        assert sum(scene.writes().values()) == sum({SECRET_WRITE: 2, STATUS_WRITE: 3}.values())
    for resource in (told, after):
        assert reading.verdict(resource, "Ready") == ("True", "Refreshed")
        assert reading.verdict(resource, "Refreshed") == ("False", "InvalidSpec")
        assert resource["status"]["phase"] == "Updated"


async def _serial_is(scene: Scene, serial: int) -> bool:
    return (await scene.token("pull-login")).serial == serial


async def _with_expiry(scene: Scene, expires_at: float) -> Json:
    async def look() -> Json | None:
        resource = await scene.resource("pull")
        return resource if reading.epoch(resource["status"]["expirationTime"]) == int(expires_at) else None

    return await wait_for(look, 1, "a status that tells of the new token")


async def test_a_spec_that_turns_bad_leaves_the_secret_as_it_is(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        before = await scene.secret("pull-login")
        await scene.change("pull", {"ecr_registry": ""})
        resource = await scene.told("pull", "False", "InvalidRegistry", within=1)
        assert await scene.secret("pull-login") == before
    assert reading.verdict(resource, "Ready") == ("False", "InvalidRegistry")
