"""skopeo and Helm with the logins that the generated Secrets hold, against a real registry."""

# ruff: noqa: S106 - forms of Secrets

import base64
import contextlib
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from lab.api import ARGO_SECRETS
from lab.aws import IssuedToken
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.builders import registry as host_in
from tests.cluster.scene import Scene
from tests.programs.client import Helm, ProgramFailed, Skopeo, write_chart, write_login
from tests.programs.door import Verdict
from tests.programs.image import digest_of, write_image
from tests.programs.registry import EcrRegistry

EAST = host_in("us-east-1")
WEST = host_in("eu-west-1")


@contextlib.contextmanager
def refused(registry: EcrRegistry, verdict: Verdict) -> Iterator[None]:
    """Check that a client fails, and that this is why."""
    with pytest.raises(ProgramFailed):
        yield
    assert registry.verdicts[-1] == verdict


def image(folder: Path) -> Path:
    """Write an image of our own making."""
    write_image(folder, "hello")
    return folder


async def login(scene: Scene, helm: Helm) -> str:
    """Log Helm in with what Argo CD finds now, and return where the charts are."""
    data = reading.decoded(await scene.secret("charts-login"))
    await helm.login(data["url"], data["username"], data["password"])
    return f"{data['url']}/charts"


async def tokens(scene: Scene) -> list[IssuedToken]:
    """Return the tokens in both Secrets."""
    return [await scene.token(name) for name in ("pull-login", "charts-login")]


async def expired(scene: Scene) -> int | None:
    """Return the number of the latest token once both have expired."""
    held = await tokens(scene)
    is_over = all(time.time() > each.expires_at for each in held)
    return max(each.serial for each in held) if is_over else None


async def renewed(scene: Scene, serial: int) -> bool:
    """Whether both Secrets hold a later token."""
    return all(each.serial > serial for each in await tokens(scene))


async def test_who_reads_the_secret_for_each_pull_is_refused_only_while_aws_gives_no_token(
    scene: Scene, skopeo: Skopeo, helm: Helm, tmp_path: Path
) -> None:
    scene.aws.token_life = 12
    await scene.create(ecr_secret(region=None), argo_secret(region=None))
    app = image(tmp_path / "image")
    first, second = [await helm.package(write_chart(tmp_path / each, each)) for each in ("0.1.0", "0.2.0")]
    authfile = partial(write_login, scene, tmp_path / "auth.json")
    pulls = 0

    async def pulled_with_token(serial: int) -> bool:
        nonlocal pulls
        pulls += 1
        held = (await scene.token("pull-login")).serial
        await skopeo.pull(f"{EAST}/app:1", tmp_path / f"pulled-{pulls}", await authfile())
        return held >= serial

    async with scene.operator():
        await scene.ready("pull")
        await scene.ready("charts", kind=ARGO_SECRETS)
        charts = await login(scene, helm)
        await helm.push(first, charts)
        await helm.pull(f"{charts}/demo", "0.1.0", tmp_path)
        await skopeo.push(app, f"{EAST}/app:1", await authfile())
        assert (tmp_path / "demo-0.1.0.tgz").read_bytes() == first.read_bytes()
        await wait_for(lambda: pulled_with_token(3), 60, "two refreshes")
        assert digest_of(tmp_path / "pulled-1") == digest_of(app)
        assert "expired" not in skopeo.registry.verdicts

        scene.aws.hang()  # No other token until `clear`, which answers at once.
        last = await wait_for(lambda: expired(scene), 60, "the tokens' expiry")
        for attempt in (
            skopeo.push(app, f"{EAST}/app:2", await authfile()),
            skopeo.pull(f"{EAST}/app:1", tmp_path / "refused", tmp_path / "auth.json"),
            helm.push(second, charts),
            helm.pull(f"{charts}/demo", "0.1.0", tmp_path / "refused"),
            login(scene, helm),
        ):
            with refused(skopeo.registry, "expired"):
                await attempt

        scene.aws.clear()
        await wait_for(lambda: renewed(scene, last), 30, "a new token")
        assert await pulled_with_token(last + 1)
        await helm.push(second, await login(scene, helm))


async def test_one_secret_opens_registries_of_several_regions_and_nothing_else(
    scene: Scene, skopeo: Skopeo, tmp_path: Path
) -> None:
    app = image(tmp_path / "image")
    await scene.create(ecr_secret(region=None, additional_registries=[WEST]))
    async with scene.operator():
        await scene.ready("pull")
        login_file = await write_login(scene, tmp_path / "auth.json")
    for host in (EAST, WEST):
        await skopeo.push(app, f"{host}/app:1", login_file)
        await skopeo.pull(f"{host}/app:1", tmp_path / host, login_file)
    entry = json.loads(login_file.read_text())["auths"][EAST]
    for host, auths in (
        (EAST, {}),
        (EAST, {EAST: {"auth": base64.b64encode(b"AWS:guessed").decode()}}),
        (WEST, {WEST: entry}),
    ):
        login_file.write_text(json.dumps({"auths": auths}))
        with refused(skopeo.registry, "unknown"):
            await skopeo.push(app, f"{host}/app:1", login_file)


async def test_each_form_logs_in_and_so_does_a_login_that_is_copied(
    scene: Scene, skopeo: Skopeo, helm: Helm, tmp_path: Path
) -> None:
    await scene.create(
        ecr_secret("config", secret_format="config.json"),
        ecr_secret("basic", secret_format="basic-auth"),
        ecr_secret("west", region="eu-west-1"),
    )
    app, login_file = image(tmp_path / "image"), tmp_path / "auth.json"
    async with scene.operator():
        await scene.ready("config", "basic", "west")
        await write_login(scene, login_file, "config-login", "config.json")
        await skopeo.push(app, f"{EAST}/app:1", login_file)
        basic = reading.decoded(await scene.secret("basic-login"))
        await helm.login(EAST, basic["username"], basic["password"])
        # As if West were a registry of others.
        other = {"metadata": {"name": "other"}, "apiVersion": "v1", "kind": "Secret"}
        theirs = {key: (await scene.secret("west-login"))[key] for key in ("type", "data")}
        await scene.create(other | theirs, ecr_secret("both", include_logins_from=[{"name": "other"}]))
        await scene.ready("both")
        await write_login(scene, login_file, "both-login")
    for host in (EAST, WEST):
        await skopeo.push(app, f"{host}/app:2", login_file)
        await skopeo.pull(f"{host}/app:2", tmp_path / host, login_file)
