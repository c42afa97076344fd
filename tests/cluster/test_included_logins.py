"""Logins of other Secrets beside ECR's, on the real API server."""

import base64
import json
from typing import Any

from lab.api import Json
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import core_secret, ecr_secret, registry
from tests.cluster.scene import Scene

HUB = "https://index.docker.io/v1/"
QUAY = "quay.io"
COPIED_WITHIN = 30.0


def _login(password: str) -> Json:
    pair = base64.b64encode(f"robot:{password}".encode()).decode()
    return {"username": "robot", "password": password, "auth": pair}


def _pull_secret(name: str, auths: Json) -> Json:
    data = {".dockerconfigjson": base64.b64encode(json.dumps({"auths": auths}).encode()).decode()}
    return core_secret(name) | {"type": "kubernetes.io/dockerconfigjson", "data": data}


async def _copied(scene: Scene) -> Any:
    """Return the logins in the generated Secret; ECR's must be there."""
    auths = json.loads(reading.decoded(await scene.secret("pull-login"))[".dockerconfigjson"])["auths"]
    assert auths.pop(registry())["username"] == "AWS"
    return auths


async def test_logins_of_other_secrets_are_copied_kept_and_never_shown(scene: Scene) -> None:
    await scene.create(
        _pull_secret("hub", {HUB: _login("first-password"), registry(): _login("stale")}),
        ecr_secret("pull", include_logins_from=[{"name": "hub"}, {"name": "quay"}]),
    )
    async with scene.operator() as operator:
        missing = await scene.told("pull", "False", "PartlyRefreshed")
        assert reading.verdict(missing, "Ready") == ("True", "Refreshed")
        assert await _copied(scene) == {HUB: _login("first-password")}
        await scene.create(_pull_secret("quay", {QUAY: _login("quay-password")}))
        await scene.ready("pull", within=COPIED_WITHIN)
        assert await _copied(scene) == {HUB: _login("first-password"), QUAY: _login("quay-password")}
        changed = _pull_secret("hub", {HUB: _login("second-password")})
        await scene.patch_secret("hub", {"data": changed["data"]})

        async def is_copied() -> bool:
            return bool((await _copied(scene))[HUB] == _login("second-password"))

        await wait_for(is_copied, COPIED_WITHIN, "the change copied")
        await scene.delete("quay")
        await scene.told("pull", "False", "PartlyRefreshed")
        assert QUAY in await _copied(scene)
        assert scene.aws.count() == 1
        said = operator.log.read_text() + json.dumps(await scene.resource("pull"))
    assert "-password" not in said
