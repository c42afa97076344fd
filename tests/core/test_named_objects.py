"""NamedObjects: what is remembered of the Secrets and ServiceAccounts that resources name."""

import asyncio
from typing import Any

import pytest

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.identity import Identity
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.core.named_objects import NamedObjects
from tests.builders import permanent, relist, transient
from tests.fakes import FakeClock

KEYS = Identity(source="iam_secret", namespace="team", name="keys")
WITH_ROLE = Identity(source="iam_secret", namespace="team", name="keys", role_arn="arn:…")
ACCOUNT = Identity(source="service_account", namespace="team", name="ci")
MISSING = permanent(Reason.CREDENTIALS_MISSING)


def key(name: str = "web") -> ResourceKey:
    return ResourceKey(kind="Secret", namespace="team", name=name)


def secret(name: str = "keys", *, version: str = "5", uid: str = "u") -> dict[str, Any]:
    return {"metadata": {"namespace": "team", "name": name, "uid": uid, "resourceVersion": version}}


class Register:
    """Named objects, what was read of them, and what changed."""

    def __init__(self) -> None:
        self.answer: str | OperatorError = "basis"
        self.reads = 0
        self.meanwhile: list[dict[str, Any]] = []
        self.changes: list[tuple[set[Identity], set[str]]] = []
        self.named = NamedObjects(
            self._read,
            [""],
            lambda identities, keys: self.changes.append((set(identities), {key.name for key in keys})),
        )
        self.secrets = self.named.store("iam_secret", "")

    async def _read(self, _identity: Identity) -> str:
        self.reads += 1
        for raw in self.meanwhile:
            self.secrets.changed(raw)
        if isinstance(self.answer, OperatorError):
            raise self.answer
        return self.answer

    async def failing(self, identity: Identity = KEYS) -> None:
        """Read a basis in vain."""
        with pytest.raises(OperatorError):
            await self.named.basis(identity)


@pytest.fixture
def register() -> Register:
    return Register()


def test_a_watch_is_needed_while_a_resource_names_an_object(register: Register) -> None:
    demand = register.named.demand("iam_secret", "")
    register.named.name(key(), Identity())
    assert not demand.on.is_set()
    register.named.name(key(), KEYS)
    register.named.name(key("shop"), WITH_ROLE)
    assert demand.on.is_set()
    assert not register.named.demand("service_account", "").on.is_set()
    register.named.unname(key(), KEYS)
    assert demand.on.is_set()
    register.named.unname(key("shop"), WITH_ROLE)
    assert demand.off.is_set()


@pytest.mark.parametrize("listed_first", [False, True])
async def test_a_missing_object_is_read_once_until_it_changes(
    register: Register, *, listed_first: bool
) -> None:
    if listed_first:
        relist(register.secrets, [])
    register.named.name(key(), KEYS)
    if not listed_first:
        relist(register.secrets, [secret("others")])
    register.answer = MISSING
    for _ in range(5):
        await register.failing()
    assert register.reads == 1
    register.secrets.changed(secret())
    assert register.changes == [({KEYS}, {"web"})]
    register.answer = "basis"
    assert await register.named.basis(KEYS) == "basis"


async def test_a_failure_is_not_kept_without_a_watch(register: Register) -> None:
    register.named.name(key(), KEYS)
    register.answer = MISSING
    await register.failing()
    await register.failing()
    assert register.reads == 2
    relist(register.secrets, [])
    await register.failing()
    register.named.ended("iam_secret", "")
    await register.failing()
    assert register.reads == 4


@pytest.mark.parametrize("error", [transient(), permanent(Reason.KUBERNETES_FORBIDDEN)])
async def test_a_failure_that_no_watch_can_end_is_not_kept(register: Register, error: OperatorError) -> None:
    register.named.name(key(), KEYS)
    relist(register.secrets, [])
    register.answer = error
    await register.failing()
    await register.failing()
    assert register.reads == 2


async def test_a_failure_read_before_a_change_is_not_kept(register: Register) -> None:
    register.named.name(key(), KEYS)
    relist(register.secrets, [])
    register.answer = MISSING
    register.meanwhile.append(secret())
    await register.failing()
    register.meanwhile.clear()
    register.answer = "basis"
    assert await register.named.basis(KEYS) == "basis"


def test_a_change_names_every_identity_and_resource(register: Register) -> None:
    register.named.name(key(), KEYS)
    register.named.name(key("shop"), WITH_ROLE)
    relist(register.secrets, [secret()])
    register.secrets.changed(secret(version="6"))
    register.secrets.changed(secret(version="6"))
    assert register.changes == [({KEYS, WITH_ROLE}, {"web", "shop"})]


async def test_an_object_that_changes_all_the_time_is_reported_once_a_second(register: Register) -> None:
    other = Identity(source="iam_secret", namespace="team", name="other")
    register.named.name(key(), KEYS)
    register.named.name(key("shop"), other)
    relist(register.secrets, [secret(), secret("other")])
    clock = FakeClock()
    passing = asyncio.create_task(register.named.pass_on_later(clock))
    for version in range(100):
        register.secrets.changed(secret(version=f"1{version}"))
        await clock.advance(0.029)
    register.secrets.deleted(secret())
    register.secrets.changed(secret("other", version="6"))
    assert register.changes == [({KEYS}, {"web"})] * 3 + [({other}, {"shop"})]
    await clock.advance(10)
    assert register.changes[4:] == [({KEYS}, {"web"})], "the last change is reported too"
    passing.cancel()


def test_the_first_sight_of_a_secret_that_is_also_included_drops_no_token(register: Register) -> None:
    register.named.name(key(), KEYS)
    register.named.include(key("shop"), "keys")
    relist(register.secrets, [secret()])
    assert register.changes == [(set(), {"shop"})]
    register.secrets.changed(secret(version="6"))
    assert register.changes[1:] == [({KEYS}, {"web", "shop"})]


def test_an_object_that_no_resource_names_is_not_kept(register: Register) -> None:
    assert register.secrets.read(secret("others")) is None
    register.secrets.changed(secret("others"))
    register.secrets.deleted(secret("others"))
    assert register.changes == []


def test_at_most_5000_included_secrets_of_a_namespace_are_watched(register: Register) -> None:
    for number in range(5001):
        register.named.include(key(), f"s{number}")
    assert register.secrets.read(secret("s4999"))
    assert register.secrets.read(secret("s5000")) is None
    register.named.exclude(key(), "s0")
    register.named.include(key(), "s5000")
    assert register.secrets.read(secret("s5000"))
