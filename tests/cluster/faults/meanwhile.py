"""What happens on a scene while the operator can't see it, and how it should be once it sees again."""

import asyncio
import contextlib
import time
from collections.abc import Iterable

from lab.api import ECR_SECRETS, ApiError
from tests.cluster.builders import ecr_secret
from tests.cluster.scene import Scene

NAMES = ("doomed", "damaged", "edited")

_HERE = ("damaged-login", "edited-anew", "added-login")
_GONE = ("edited-login", "doomed-login")


async def create_before(scene: Scene) -> None:
    """Create what will change."""
    await scene.create(*(ecr_secret(name) for name in NAMES))


async def change_everything(scene: Scene) -> None:
    """Delete a resource, with its Secret as the garbage collector would; delete, rename and create others."""
    await scene.delete("doomed", ECR_SECRETS)
    with contextlib.suppress(ApiError):
        await scene.delete("doomed-login")
    await scene.delete("damaged-login")
    await scene.change("edited", {"generated_secret_name": "edited-anew"})
    await scene.create(ecr_secret("added"))


async def nothing_is_done_yet(scene: Scene) -> None:
    """Make sure that the operator did not see the changes, so that the test shows something."""
    assert await scene.find_secret("added-login") is None
    assert await scene.find_secret("edited-anew") is None


async def all_is_right(scene: Scene, within: float) -> None:
    """Wait until every change was acted on, and no deletion got lost."""
    await secrets_are(scene, _HERE, _GONE, within)
    await scene.ready("damaged", "edited", "added")


async def secrets_are(scene: Scene, here: Iterable[str], gone: Iterable[str], within: float) -> None:
    """Wait until some Secrets are there and others are not."""
    until = time.monotonic() + within
    while True:
        wrong = [f"{name} is missing" for name in here if not await scene.find_secret(name)]
        wrong += [f"{name} is there" for name in gone if await scene.find_secret(name)]
        if not wrong:
            return
        assert time.monotonic() < until, f"after {within:g} s: {', '.join(wrong)}"
        await asyncio.sleep(0.05)
