"""What the tests of every client share: how a login expires and is renewed."""

import contextlib
import time
from collections.abc import Iterator

import pytest

from lab.aws import IssuedToken
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.scene import Scene
from tests.programs.client import ProgramFailed
from tests.programs.door import Verdict
from tests.programs.registry import EcrRegistry


@contextlib.contextmanager
def refused(registry: EcrRegistry, verdict: Verdict) -> Iterator[None]:
    """Check that a client fails, and that this is why."""
    with pytest.raises(ProgramFailed):
        yield
    assert registry.verdicts[-1] == verdict


async def expired(scene: Scene, secret: str) -> IssuedToken:
    """Wait until the token in a generated Secret has expired, while AWS gives no other, and return it."""
    token = await scene.token(secret)
    await wait_for(lambda: time.time() > token.expires_at, 60, "the token's expiry")
    assert await scene.token(secret) == token
    return token


async def renewed(scene: Scene, secret: str, old: IssuedToken) -> dict[str, str]:
    """Wait until a generated Secret holds a later token, and return its data in clear."""

    async def look() -> dict[str, str] | None:
        found = await scene.secret(secret)
        return reading.decoded(found) if reading.token(found).serial > old.serial else None

    return await wait_for(look, 30, f"{secret}: a new token")
