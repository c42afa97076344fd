"""The forms of the generated Secret, and a change of the form on a live resource."""

import base64
import json
from functools import partial

from lab.api import Json
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import ecr_secret, registry
from tests.cluster.scene import SECRET_WRITE, Scene

TYPES = {
    "dockerconfigjson": "kubernetes.io/dockerconfigjson",
    "config.json": "Opaque",
    "basic-auth": "kubernetes.io/basic-auth",
}


def _login(secret: Json) -> str:
    """Return the token, read as a consumer of that form does."""
    data = reading.decoded(secret)
    if secret["type"] == TYPES["basic-auth"]:
        assert data["username"] == "AWS"
        return data["password"]
    (content,) = data.values()
    auth = base64.b64decode(json.loads(content)["auths"][registry()]["auth"]).decode()
    user, _, token = auth.partition(":")
    assert user == "AWS"
    return token


async def _has_form(scene: Scene, name: str, form: str) -> Json | None:
    secret = await scene.find_secret(name)
    return secret if secret and secret["type"] == TYPES[form] else None


async def test_a_change_of_the_form_makes_the_secret_anew_from_the_cached_token(scene: Scene) -> None:
    await scene.create(
        *(ecr_secret(name, secret_format=form) for name, form in zip("abc", TYPES, strict=True))
    )
    async with scene.operator():
        await scene.ready("a", "b", "c")
        before = [await scene.secret(f"{name}-login") for name in "abc"]
        assert [each["type"] for each in before] == list(TYPES.values())
        assert [list(each["data"]) for each in before] == [
            [".dockerconfigjson"],
            ["config.json"],
            ["password", "username"],
        ]
        scene.mark()
        for name, form in {"a": "basic-auth", "b": "dockerconfigjson", "c": "config.json"}.items():
            await scene.change(name, {"secret_format": form})
            found = await wait_for(partial(_has_form, scene, f"{name}-login", form), 10, f"{name} as {form}")
            assert _login(found) == _login(before["abc".index(name)])
        await scene.ready("a", "b", "c")
        assert scene.aws.count() == 1
        # Refused, since the type of a Secret can't change; then created where nothing is.
        assert scene.writes()[SECRET_WRITE] == 2 * len(before)
