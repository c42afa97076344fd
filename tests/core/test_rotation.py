"""Rotation: which tokens changed keys make due, and when."""

from datetime import timedelta
from typing import Any

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.identity import OPERATOR, Identity, KeyDigest
from ecr_operator.api.outcome import Reason
from tests.builders import HOUR, NAMESPACE, permanent, relist, transient
from tests.core.world import World
from tests.fakes import settle

OLD = KeyDigest(id_hash="old", contents="1")
NEW = KeyDigest(id_hash="new", contents="2")
KEYS = Identity(source="iam_secret", namespace=NAMESPACE, name="keys")
DENIED = permanent(Reason.ACCESS_DENIED)
TWO_MINUTES = 120.0


@pytest.fixture
async def world() -> World:
    """An empty cluster; the operator has long-lived keys."""
    made = World()
    made.aws.keys[OPERATOR] = OLD
    made.rotation.operator_keys(OLD)
    return made


def rotate(world: World, now: KeyDigest) -> int:
    """Change the operator's keys, as the app does after a change of their file."""
    world.aws.keys[OPERATOR] = now
    world.tokens.drop_operator()
    return world.rotation.operator_keys(now)


def served(world: World, count: int = 20) -> list[Resource]:
    """Add resources with Secrets of the old keys."""
    found = [world.see(name=f"r{number}") for number in range(count)]
    for of in found:
        world.has_secret(of, age=HOUR, key_hash=OLD.id_hash)
    return found


def hashes(world: World, *of: Resource) -> set[str | None]:
    """The hashes on generated Secrets."""
    views = [world.cache.own_secret(each) for each in of]
    return {view.key_hash for view in views if view}


async def test_changed_keys_renew_all_within_two_minutes_spread_by_one_call(world: World) -> None:
    found = served(world)
    async with world.working():
        assert rotate(world, NEW) == len(found)
        await world.clock.advance(20)
        assert hashes(world, *found) == {"old", "new"}
        await world.clock.advance(TWO_MINUTES - 20)
    assert hashes(world, *found) == {"new"}
    assert len(world.aws.asked) == 1


async def test_wrong_keys_are_reported_on_all_with_one_call_and_no_write(world: World) -> None:
    found = served(world)
    async with world.working():
        world.aws.failing["us-east-2"] = DENIED
        rotate(world, NEW)
        await world.clock.advance(TWO_MINUTES)
        assert {world.condition(of, "Refreshed") for of in found} == {("False", "AccessDenied")}
        assert {world.condition(of) for of in found} == {("True", "Refreshed")}
        assert len(world.aws.asked) == 1
        assert not world.secrets.calls
        # Valid keys are tried at once after a refusal.
        world.aws.failing.clear()
        rotate(world, KeyDigest(id_hash="right", contents="3"))
        await settle()
        assert hashes(world, *found) == {"right"}
    assert len(world.aws.asked) == 2


async def test_an_event_does_not_postpone_a_rotation(world: World) -> None:
    found = served(world, 5)
    async with world.working():
        rotate(world, NEW)
        for of in found:
            world.queue.schedule_now(of.key)
        await world.clock.advance(TWO_MINUTES)
    assert hashes(world, *found) == {"new"}


async def test_a_rotation_stays_due_after_a_failed_call(world: World) -> None:
    (of,) = served(world, 1)
    async with world.working():
        world.aws.failing["us-east-2"] = transient(Reason.AWS_UNAVAILABLE)
        rotate(world, NEW)
        await world.clock.advance(TWO_MINUTES)
        world.aws.failing.clear()
        await world.clock.advance(TWO_MINUTES)
    assert hashes(world, of) == {"new"}


@pytest.mark.parametrize("now", [OLD, KeyDigest(id_hash="old", contents="1")], ids=["the same", "read again"])
async def test_unchanged_keys_renew_nothing(world: World, now: KeyDigest) -> None:
    found = served(world, 3)
    async with world.working():
        assert rotate(world, now) == 0
        await world.clock.advance(TWO_MINUTES)
    assert hashes(world, *found) == {"old"}
    assert not world.aws.asked


@pytest.mark.parametrize("by_term", [False, True], ids=["a start", "a new term"])
async def test_a_start_with_another_key_id_renews_once(world: World, *, by_term: bool) -> None:
    found = served(world)
    if by_term:
        world.rotation.operator_keys(NEW)
    else:
        world.restart()
        world.rotation.operator_keys(NEW)
        found = served(world)
    world.aws.keys[OPERATOR] = NEW
    async with world.working():
        assert not world.aws.asked
        await world.clock.advance(TWO_MINUTES)
    assert hashes(world, *found) == {"new"}
    assert len(world.aws.asked) == 1
    written = len(world.secrets.calls)
    async with world.working():
        await world.clock.advance(TWO_MINUTES)
    assert (len(world.aws.asked), len(world.secrets.calls)) == (1, written)


@pytest.mark.parametrize(
    ("key_hash", "now"), [("", NEW), ("old", KeyDigest())], ids=["no hash on it", "no long-lived keys now"]
)
async def test_a_start_without_a_hash_to_compare_renews_nothing(
    world: World, key_hash: str, now: KeyDigest
) -> None:
    of = world.see()
    world.has_secret(of, age=HOUR, key_hash=key_hash)
    world.rotation.operator_keys(now)
    async with world.working():
        await world.clock.advance(TWO_MINUTES)
    assert not world.aws.asked
    assert not world.secrets.calls


async def test_a_change_that_a_standby_saw_costs_it_nothing_as_leader(world: World) -> None:
    of = world.see()
    world.has_secret(of, age=HOUR, key_hash=OLD.id_hash)
    assert rotate(world, NEW) == 1
    world.has_secret(of, age=HOUR, key_hash=NEW.id_hash, version="11")
    async with world.working():
        await world.clock.advance(TWO_MINUTES)
    assert not world.aws.asked


async def test_a_token_near_its_expiry_is_rotated_sooner(world: World) -> None:
    world.aws.life = timedelta(minutes=10)
    found = [world.see(name=f"r{number}") for number in range(10)]
    for of in found:
        world.has_secret(of, age=timedelta(minutes=1), key_hash=OLD.id_hash)
    async with world.working():
        rotate(world, NEW)
        await world.clock.advance(10)
    assert hashes(world, *found) == {"new"}


async def test_keys_that_change_all_the_time_stay_within_the_rate_bound(world: World) -> None:
    served(world)
    async with world.working(16):
        for number in range(100):
            rotate(world, KeyDigest(id_hash=f"k{number}", contents=str(number)))
            await world.clock.advance(3)
    assert len(world.aws.asked) <= 10


class Named:
    """A cluster with a Secret of keys, and a resource that names it."""

    def __init__(self) -> None:
        self.world = World()
        self.store = self.world.named.store("iam_secret", "")
        self.of = self.world.see(aws_iam_secret={"name": "keys"})
        self.world.has_secret(self.of, age=HOUR, key_hash=OLD.id_hash)
        self.version = 5

    def shows(self, keys: KeyDigest | Any) -> None:
        """Change the Secret, and show it by the watch."""
        self.version += 1
        self.world.aws.keys[KEYS] = keys
        self.world.aws.bases[KEYS] = f"basis {self.version}"
        self.store.changed(self.raw())

    def lists(self, keys: KeyDigest) -> None:
        """Start the watch."""
        self.world.aws.keys[KEYS] = keys
        relist(self.store, [self.raw()])

    def raw(self) -> dict[str, Any]:
        """The Secret's metadata."""
        version = str(self.version)
        return {"metadata": {"namespace": NAMESPACE, "name": "keys", "uid": "u", "resourceVersion": version}}


@pytest.fixture
async def named() -> Named:
    return Named()


async def test_changed_keys_in_a_named_secret_renew_and_each_version_is_read_once(named: Named) -> None:
    world = named.world
    async with world.working():
        named.lists(OLD)
        await settle()
        named.lists(OLD)
        named.shows(OLD)
        await world.clock.advance(TWO_MINUTES)
        assert not world.aws.asked
        named.shows(NEW)
        await world.clock.advance(TWO_MINUTES)
    assert hashes(world, named.of) == {"new"}
    assert len(world.aws.asked) == 1
    assert world.aws.digested == [KEYS] * 3


async def test_keys_that_became_invalid_are_tried_and_session_keys_are_not(
    named: Named,
) -> None:
    world = named.world
    async with world.working():
        named.lists(OLD)
        await settle()
        world.aws.failing["us-east-2"] = permanent(Reason.CREDENTIALS_MISSING)
        named.shows(KeyDigest())
        await world.clock.advance(TWO_MINUTES)
        assert world.condition(named.of, "Refreshed") == ("False", "CredentialsMissing")
        world.aws.failing.clear()
        named.shows(KeyDigest())
        await settle()
        asked = len(world.aws.asked)
        for _ in range(3):
            named.shows(KeyDigest())
            await world.clock.advance(TWO_MINUTES)
    assert len(world.aws.asked) == asked


async def test_keys_that_changed_before_the_start_are_found_by_the_hash(named: Named) -> None:
    async with named.world.working():
        named.lists(NEW)
        await named.world.clock.advance(TWO_MINUTES)
    assert hashes(named.world, named.of) == {"new"}


async def test_keys_that_are_read_again_are_compared_with_each_resource(
    named: Named,
) -> None:
    world = named.world
    assert world.rotation.keys_read(NEW, NEW, [named.of.key]) == 0
    async with world.working():
        named.lists(NEW)
        await settle()
        named.shows(NEW)
        await world.clock.advance(TWO_MINUTES)
    assert hashes(world, named.of) == {"new"}


async def test_a_named_secret_is_read_again_after_a_transient_error(named: Named) -> None:
    world = named.world
    async with world.working():
        world.aws.keys[KEYS] = transient()
        relist(named.store, [named.raw()])
        await settle()
        world.aws.keys[KEYS] = NEW
        await world.clock.advance(TWO_MINUTES)
        assert hashes(world, named.of) == {"new"}
        named.shows(permanent(Reason.KUBERNETES_FORBIDDEN))
        await world.clock.advance(TWO_MINUTES)
    assert world.aws.digested == [KEYS] * 3


async def test_a_secret_is_read_when_a_resource_first_names_it(named: Named) -> None:
    world = named.world
    async with world.working():
        relist(named.store, [])
        named.world.aws.keys[Identity(source="iam_secret", namespace=NAMESPACE, name="other")] = NEW
        of = world.see(name="late", aws_iam_secret={"name": "other"})
        world.has_secret(of, age=HOUR, key_hash=OLD.id_hash)
        await world.clock.advance(TWO_MINUTES)
    assert hashes(world, of) == {"new"}
