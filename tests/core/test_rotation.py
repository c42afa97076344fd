"""Rotation: which tokens changed keys make due, and when."""

from datetime import timedelta
from typing import Any

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.identity import OPERATOR, Identity, KeyDigest
from ecr_operator.api.outcome import Reason
from tests.builders import HOUR, NAMESPACE, cases, permanent, relist, transient
from tests.core.world import World
from tests.fakes import settle

OLD = KeyDigest(id_hash="old", contents="1")
NEW = KeyDigest(id_hash="new", contents="2")
KEYS = Identity(source="iam_secret", namespace=NAMESPACE, name="keys")
OTHER = Identity(source="iam_secret", namespace=NAMESPACE, name="other")
TWO_MINUTES = 120.0


class Rotating(World):
    """A cluster; the operator has long-lived keys, and a resource may name a Secret of keys."""

    def __init__(self) -> None:
        super().__init__()
        self.aws.keys[OPERATOR] = OLD
        self.rotation.operator_keys(OLD)
        self.named_secrets = self.named.store("iam_secret", "")
        self.version = 5

    def rotate(self, now: KeyDigest) -> int:
        """Change the operator's keys, as the app does after a change of their file."""
        self.aws.keys[OPERATOR] = now
        self.tokens.drop_operator()
        return self.rotation.operator_keys(now)

    def served(self, count: int = 20, age: timedelta = HOUR, **spec: Any) -> list[Resource]:
        """Add resources with Secrets of the old keys."""
        found = [self.see(name=f"r{number}", **spec) for number in range(count)]
        for of in found:
            self.has_secret(of, age=age, key_hash=OLD.id_hash)
        return found

    def hashes(self, *of: Resource) -> set[str | None]:
        """The hashes on generated Secrets."""
        return {view.key_hash for view in map(self.cache.own_secret, of) if view}

    async def work(self, seconds: float = TWO_MINUTES) -> None:
        """Let the workers work for a while."""
        async with self.working():
            await self.clock.advance(seconds)

    def naming(self) -> Resource:
        """Add a resource that names a Secret of keys."""
        of = self.see(aws_iam_secret={"name": "keys"})
        self.has_secret(of, age=HOUR, key_hash=OLD.id_hash)
        return of

    def raw(self) -> dict[str, Any]:
        """The metadata of the Secret of keys."""
        version = str(self.version)
        return {"metadata": {"namespace": NAMESPACE, "name": "keys", "uid": "u", "resourceVersion": version}}

    async def changes(self, keys: Any, seconds: float = TWO_MINUTES) -> None:
        """Change the Secret of keys, and show it by the watch."""
        self.version += 1
        self.aws.keys[KEYS] = keys
        self.aws.bases[KEYS] = f"basis {self.version}"
        self.named_secrets.changed(self.raw())
        await self.clock.advance(seconds)

    async def lists(self, keys: Any) -> None:
        """Start the watch of Secrets of keys."""
        self.aws.keys[KEYS] = keys
        relist(self.named_secrets, [self.raw()])
        await settle()


@pytest.fixture
async def world() -> Rotating:
    """A cluster without workers."""
    return Rotating()


async def test_changed_keys_renew_all_within_two_minutes_spread_by_one_call(world: Rotating) -> None:
    found = world.served()
    async with world.working():
        assert world.rotate(NEW) == len(found)
        for of in found[:5]:
            world.queue.schedule_now(of.key)  # an event does not postpone it
        await world.clock.advance(20)
        assert world.hashes(*found) == {"old", "new"}
        await world.clock.advance(TWO_MINUTES - 20)
    assert (world.hashes(*found), len(world.aws.asked)) == ({"new"}, 1)


async def test_wrong_keys_are_reported_on_all_with_one_call_and_no_write(world: Rotating) -> None:
    found = world.served()
    async with world.working():
        world.aws.failing["us-east-2"] = permanent()
        world.rotate(NEW)
        await world.clock.advance(TWO_MINUTES)
        assert {world.condition(of, "Refreshed") for of in found} == {("False", "AccessDenied")}
        assert {world.condition(of) for of in found} == {("True", "Refreshed")}
        assert (len(world.aws.asked), world.secrets.calls) == (1, [])
        # Valid keys are tried at once after a refusal.
        world.aws.failing.clear()
        world.rotate(KeyDigest(id_hash="right", contents="3"))
        await settle()
    assert (world.hashes(*found), len(world.aws.asked)) == ({"right"}, 2)


async def test_a_rotation_stays_due_after_a_failed_call(world: Rotating) -> None:
    (of,) = world.served(1)
    async with world.working():
        world.aws.failing["us-east-2"] = transient()
        world.rotate(NEW)
        await world.clock.advance(TWO_MINUTES)
        world.aws.failing.clear()
        await world.clock.advance(TWO_MINUTES)
    assert world.hashes(of) == {"new"}


async def test_unchanged_keys_renew_nothing(world: Rotating) -> None:
    found = world.served(3)
    async with world.working():
        assert world.rotate(KeyDigest(id_hash="old", contents="1")) == 0
        await world.clock.advance(TWO_MINUTES)
    assert (world.hashes(*found), world.aws.asked) == ({"old"}, [])


@pytest.mark.parametrize("by_term", [False, True], ids=["a start", "a new term"])
async def test_a_start_with_another_key_id_renews_once(world: Rotating, *, by_term: bool) -> None:
    found = world.served()
    if not by_term:
        world.restart()
    world.rotation.operator_keys(NEW)
    if not by_term:
        found = world.served()
    world.aws.keys[OPERATOR] = NEW
    await world.work()
    assert (world.hashes(*found), len(world.aws.asked)) == ({"new"}, 1)
    written = len(world.secrets.calls)
    await world.work()
    assert (len(world.aws.asked), len(world.secrets.calls)) == (1, written)


@cases("key_hash, now", {"no hash on it": ("", NEW), "no long-lived keys now": ("old", KeyDigest())})
async def test_a_start_without_a_hash_renews_nothing(world: Rotating, key_hash: str, now: KeyDigest) -> None:
    world.has_secret(world.see(), age=HOUR, key_hash=key_hash)
    world.rotation.operator_keys(now)
    await world.work()
    assert (world.aws.asked, world.secrets.calls) == ([], [])


async def test_a_change_that_a_standby_saw_costs_it_nothing_as_leader(world: Rotating) -> None:
    (of,) = world.served(1)
    assert world.rotate(NEW) == 1
    world.has_secret(of, age=HOUR, key_hash=NEW.id_hash, version="11")
    await world.work()
    assert world.aws.asked == []


async def test_changed_keys_in_a_named_secret_renew_and_each_version_is_read_once(world: Rotating) -> None:
    of = world.naming()
    async with world.working():
        await world.lists(OLD)
        await world.lists(OLD)
        await world.changes(OLD)
        assert world.aws.asked == []
        await world.changes(NEW)
    assert (world.hashes(of), len(world.aws.asked)) == ({"new"}, 1)
    assert world.aws.digested == [KEYS] * 3


async def test_keys_that_became_invalid_are_tried_and_session_keys_are_not(world: Rotating) -> None:
    of = world.naming()
    async with world.working():
        await world.lists(OLD)
        world.aws.failing["us-east-2"] = permanent(Reason.CREDENTIALS_MISSING)
        await world.changes(KeyDigest())
        assert world.condition(of, "Refreshed") == ("False", "CredentialsMissing")
        world.aws.failing.clear()
        await world.changes(KeyDigest(), 0)
        asked = len(world.aws.asked)
        for _ in range(3):
            await world.changes(KeyDigest())
    assert len(world.aws.asked) == asked


@pytest.mark.parametrize("again", [False, True], ids=["listed", "read again"])
async def test_keys_that_changed_before_the_start_are_found(world: Rotating, *, again: bool) -> None:
    of = world.naming()
    assert world.rotation.keys_read(NEW, NEW, [of.key]) == 0
    async with world.working():
        await world.lists(NEW)
        await (world.changes(NEW) if again else world.clock.advance(TWO_MINUTES))
    assert world.hashes(of) == {"new"}


async def test_a_named_secret_is_read_again_after_a_transient_error(world: Rotating) -> None:
    of = world.naming()
    async with world.working():
        await world.lists(transient())
        world.aws.keys[KEYS] = NEW
        await world.clock.advance(TWO_MINUTES)
        assert world.hashes(of) == {"new"}
        await world.changes(permanent(Reason.KUBERNETES_FORBIDDEN))
    assert world.aws.digested == [KEYS] * 3


async def test_a_secret_is_read_when_a_resource_first_names_it(world: Rotating) -> None:
    async with world.working():
        relist(world.named_secrets, [])
        world.aws.keys[OTHER] = NEW
        (of,) = world.served(1, aws_iam_secret={"name": "other"})
        await world.clock.advance(TWO_MINUTES)
    assert world.hashes(of) == {"new"}
