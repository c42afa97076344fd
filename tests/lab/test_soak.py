"""The soak's record: which Secrets may be left without an owner."""

# ruff: noqa: S106 - names of Secrets

import time

import pytest

from lab.api import ECR_SECRETS, Json
from lab.aws import token_in
from lab.soak_acts import Row, Stripped, World


def _secret(owner: str | None, uid: str = "s") -> Json:
    owners = [{"uid": owner, "controller": True}] if owner else []
    return {"metadata": {"name": "s19", "uid": uid, "ownerReferences": owners}}


def _world(*owners: str) -> World:
    world = World()
    for uid in owners:
        world.rows["secrets", uid] = Row(kind=ECR_SECRETS, name=uid, uid=uid, secret="s19", region="r")
    world.stripped["s"] = Stripped(owner="gone")
    return world


@pytest.mark.parametrize(
    ("living", "secret", "released"),
    [
        pytest.param(["other"], _secret(None), True, id="its resource was deleted"),
        pytest.param(["gone"], _secret(None), False, id="its resource exists and has to restore it"),
        pytest.param([], _secret(None, uid="another"), False, id="no act has removed its owner"),
        pytest.param([], _secret("gone"), False, id="the garbage collector has to delete it"),
    ],
)
def test_soak_only_a_secret_stripped_of_an_owner_that_was_deleted_is_left(
    living: list[str], secret: Json, *, released: bool
) -> None:
    assert _world(*living).is_released(secret) is released


def test_soak_an_owner_that_was_restored_has_to_stay() -> None:
    world = _world()
    world.saw([_secret("gone")], dict(world.stripped))
    assert not world.is_released(_secret(None))


def test_soak_a_list_from_before_a_removal_shows_nothing_restored() -> None:
    world = _world()
    before = dict(world.stripped)
    world.stripped["s"] = Stripped(owner="gone")
    world.saw([_secret("gone")], before)
    world.saw([_secret("gone")], {})
    assert world.is_released(_secret(None))


def test_soak_a_name_is_free_once_the_garbage_collector_has_seen_the_deletion() -> None:
    world, now = World(), time.monotonic()
    world.deleted["secrets", "r0"] = now - 100
    with world.without_api_server("stop"):
        pass
    world.deleted["secrets", "r1"] = time.monotonic()
    assert world.is_name_free("secrets", "r0")
    assert not world.is_name_free("secrets", "r1"), "it was deleted before the watches returned"
    world.troubles[-1].ended -= 50
    assert world.is_name_free("secrets", "r1")


def test_token_in_a_secret_with_bytes_that_are_not_text_finds_none() -> None:
    assert token_in({"data": {"theirs": "yv4="}}, "123456789012.dkr.ecr.us-east-1.amazonaws.com") is None
