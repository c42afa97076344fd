"""skopeo with the generated dockerconfigjson as its authfile, against a real registry."""

import base64
import json
from pathlib import Path

import pytest

from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.builders import registry as host_in
from tests.cluster.scene import Scene
from tests.programs.client import Skopeo
from tests.programs.image import digest_of, write_image
from tests.programs.steps import expired, refused, renewed

EAST = host_in("us-east-1")
WEST = host_in("eu-west-1")


class Authfile:
    """The generated Secret's dockerconfigjson in a file, as it was when last written."""

    def __init__(self, scene: Scene, path: Path) -> None:
        self._scene = scene
        self.path = path

    async def write(self) -> Path:
        """Write what the Secret holds now."""
        secret = await self._scene.secret("pull-login")
        self.path.write_text(reading.decoded(secret)[".dockerconfigjson"])
        return self.path


@pytest.fixture
def authfile(scene: Scene, tmp_path: Path) -> Authfile:
    """The authfile of this test."""
    return Authfile(scene, tmp_path / "auth.json")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of our own making."""
    write_image(tmp_path / "image", "hello")
    return tmp_path / "image"


async def test_images_travel_until_the_token_dies_and_again_after_the_refresh(
    scene: Scene, skopeo: Skopeo, authfile: Authfile, image: Path, tmp_path: Path
) -> None:
    scene.aws.token_life = 15
    await scene.create(ecr_secret(region=None))
    async with scene.operator():
        await scene.ready("pull")
        scene.aws.hang()  # No other token until `clear`, which answers at once.
        login = await authfile.write()

        await skopeo.push(image, f"{EAST}/app:1", login)
        await skopeo.pull(f"{EAST}/app:1", tmp_path / "pulled", login)
        assert digest_of(tmp_path / "pulled") == digest_of(image)

        token = await expired(scene, "pull-login")
        with refused(skopeo.registry, "expired"):
            await skopeo.push(image, f"{EAST}/app:2", login)
        with refused(skopeo.registry, "expired"):
            await skopeo.pull(f"{EAST}/app:1", tmp_path / "refused", login)

        scene.aws.clear()
        await renewed(scene, "pull-login", token)
        login = await authfile.write()
        await skopeo.push(image, f"{EAST}/app:2", login)
        await skopeo.pull(f"{EAST}/app:2", tmp_path / "again", login)
        assert digest_of(tmp_path / "again") == digest_of(image)


async def test_who_reads_the_secret_anew_for_each_pull_is_never_refused(
    scene: Scene, skopeo: Skopeo, authfile: Authfile, image: Path, tmp_path: Path
) -> None:
    scene.aws.token_life = 12
    await scene.create(ecr_secret(region=None))
    async with scene.operator():
        await scene.ready("pull")
        await skopeo.push(image, f"{EAST}/app:1", await authfile.write())
        pulls = 0

        async def pulled_with_the_third_token() -> bool:
            nonlocal pulls
            pulls += 1
            serial = (await scene.token("pull-login")).serial
            await skopeo.pull(f"{EAST}/app:1", tmp_path / f"pulled-{pulls}", await authfile.write())
            return serial >= 3

        await wait_for(pulled_with_the_third_token, 60, "two refreshes")
    assert "expired" not in skopeo.registry.verdicts


async def test_one_secret_opens_registries_of_several_regions(
    scene: Scene, skopeo: Skopeo, authfile: Authfile, image: Path, tmp_path: Path
) -> None:
    await scene.create(ecr_secret(region=None, additional_registries=[WEST]))
    async with scene.operator():
        await scene.ready("pull")
        login = await authfile.write()
        for host in (EAST, WEST):
            await skopeo.push(image, f"{host}/app:1", login)
            await skopeo.pull(f"{host}/app:1", tmp_path / host, login)


async def test_a_login_that_the_secret_does_not_hold_opens_nothing(
    scene: Scene, skopeo: Skopeo, authfile: Authfile, image: Path
) -> None:
    await scene.create(ecr_secret(region=None))
    async with scene.operator():
        await scene.ready("pull")
        login = await authfile.write()
    (entry,) = json.loads(login.read_text())["auths"].values()
    for host, auths in (
        (EAST, {}),
        (EAST, {EAST: {"auth": base64.b64encode(b"AWS:guessed").decode()}}),
        (WEST, {WEST: entry}),
    ):
        login.write_text(json.dumps({"auths": auths}))
        with refused(skopeo.registry, "unknown"):
            await skopeo.push(image, f"{host}/app:1", login)
