"""Keys in a named Secret that are mended are tried soon, and keys that work cost nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ecr_operator.control.named_keys import NamedKeys
from ecr_operator.control.token_cache import TokenCache
from ecr_operator.model.schedule import is_alive
from tests.builders import TWELVE_HOURS, permanent, resource, wanted
from tests.fakes import FakeClock, FakeIssuer, FakeTenants, settle

OF = resource(aws_iam_secret={"name": "keys"})


class Stage:
    """A token cache whose only source uses the keys of a Secret."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.aws = FakeIssuer(self.clock, TWELVE_HOURS)
        self.tenants = FakeTenants()
        self.landed: list[object] = []
        self.tokens = TokenCache(self.aws, self.clock, self.landed.extend)
        self.watch = NamedKeys(self.tokens, self.tenants, self.clock)

    async def ask(self) -> None:
        """Ask as a resource does, until the answer is there."""
        for _ in range(2):
            self.tokens.obtain(
                wanted(OF).sources[0], OF.key, None, lambda token: is_alive(token.times, self.clock.now())
            )
            await settle()
        self.landed.clear()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """The stage, with the watch at work."""
    stage = Stage()
    task = asyncio.create_task(stage.watch.run())
    yield stage
    task.cancel()
    await stage.tokens.close()
    await settle()


async def test_changed_keys_are_tried_at_once(stage: Stage) -> None:
    stage.aws.failing["us-east-2"] = permanent()
    stage.tenants.versions["keys"] = "1"
    await stage.ask()
    await stage.clock.advance(16)
    await stage.ask()
    stage.tenants.versions["keys"] = "2"
    await stage.clock.advance(16)
    assert stage.landed == [OF.key]


async def test_unchanged_keys_are_tried_once_since_they_may_have_been_mended_unseen(stage: Stage) -> None:
    stage.aws.failing["us-east-2"] = permanent()
    stage.tenants.versions["keys"] = "1"
    await stage.ask()
    await stage.clock.advance(16)
    assert stage.landed == [OF.key]
    await stage.ask()
    await stage.clock.advance(60)
    assert stage.landed == []


async def test_nobody_looks_for_what_nobody_asks_for(stage: Stage) -> None:
    stage.aws.failing["us-east-2"] = permanent()
    await stage.ask()
    await stage.clock.advance(3700)
    assert stage.tokens.failing() == set()


async def test_keys_that_work_are_not_looked_at(stage: Stage) -> None:
    await stage.ask()
    stage.tenants.versions["keys"] = "1"
    await stage.clock.advance(20)
    stage.tenants.versions["keys"] = "2"
    await stage.clock.advance(20)
    assert (stage.landed, stage.tokens.failing()) == ([], set())
