"""Adopting a Secret drops nothing that others put there, unless they say so."""

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Final

from lab.api import ARGO_SECRETS, ECR_SECRETS, Json, Resource
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.cluster.concurrent import waits
from tests.cluster.ownership.conflicts import ADOPT, HEALED, secret_writes
from tests.cluster.scene import QUIET, Scene

HOST: Final = registry()
LOGIN: Final = {"username": "u", "password": "p", "auth": "dTpw"}
MARKED: Final = {"annotations": {ADOPT: "true"}}
DOCKER: Final = "kubernetes.io/dockerconfigjson"


def _secret(name: str, kind: str, data: Mapping[str, str]) -> Json:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{name}-login", **MARKED},
        "type": kind,
        "data": encoded,
    }


def _config(*hosts: str) -> str:
    return json.dumps({"auths": dict.fromkeys(hosts, LOGIN)})


# What stands there, and what the message has to name.
LOSING: Final = {
    "shared": (
        _secret(
            "shared", DOCKER, {".dockerconfigjson": _config(HOST, "https://index.docker.io/v1/", "quay.io")}
        ),
        ['"https://index.docker.io/v1/"', '"quay.io"'],
    ),
    "opaque": (_secret("opaque", "Opaque", {"api-key": "k", "url": "u"}), ['"api-key"', '"url"']),
    "frozen": (
        {**_secret("frozen", DOCKER, {".dockerconfigjson": _config(HOST), "x": "y"}), "immutable": True},
        ['"x"'],
    ),
    "charts": (
        _secret("charts", "Opaque", {"url": "https://git.example.com/x", "username": "u", "password": "p"}),
        ['"https://git.example.com/x"'],
    ),
}
# Adopted where it stands, or created anew.
LOSSLESS: Final = {
    "docker": _secret("docker", DOCKER, {".dockerconfigjson": _config(f"https://{HOST}/v2/"), "x": "y"}),
    "dockercfg": _secret("dockercfg", "kubernetes.io/dockercfg", {".dockercfg": json.dumps({HOST: LOGIN})}),
    "sealed": {**_secret("sealed", DOCKER, {".dockerconfigjson": _config(HOST)}), "immutable": True},
    "empty": _secret("empty", "Opaque", {}),
}


@waits
async def test_what_adoption_would_lose_is_named_and_kept_until_somebody_says_replace(scene: Scene) -> None:
    await scene.create(*(secret for secret, _ in LOSING.values()), *LOSSLESS.values())
    logins = [f"{name}-login" for name in LOSING]
    before = await scene.secrets(*logins)
    await scene.create(*map(_resource, (*LOSING, *LOSSLESS)))
    async with scene.operator():
        await scene.ready(*LOSSLESS)
        for name, (_, named) in LOSING.items():
            message = await _refused(scene, name)
            assert [words for words in named if words not in message] == []
            assert f'{ADOPT}: "replace"' in message
            assert f'"{HOST}"' not in message
        await asyncio.sleep(QUIET)
        assert await scene.secrets(*logins) == before
        assert not {name for _, name in secret_writes(scene)} & set(logins)
        for login in logins:
            await scene.patch_secret(login, {"metadata": {"annotations": {ADOPT: "replace"}}})
        for name in LOSING:
            await scene.told(name, "True", "Refreshed", kind=_kind(name), within=HEALED)
    for name in (*LOSING, *LOSSLESS):
        assert (await scene.token(f"{name}-login")).serial == 1
    # Adopted where it stands, with other people's data.
    assert reading.decoded(await scene.secret("docker-login"))["x"] == "y"
    auths = json.loads(reading.decoded(await scene.secret("shared-login"))[".dockerconfigjson"])["auths"]
    assert set(auths) == {HOST}


def _resource(name: str) -> Json:
    return argo_secret(name) if _kind(name) is ARGO_SECRETS else ecr_secret(name)


def _kind(name: str) -> Resource:
    return ARGO_SECRETS if name == "charts" else ECR_SECRETS


async def _refused(scene: Scene, name: str) -> str:
    """Return the message of a resource in conflict."""
    found = await scene.told(name, "False", "SecretConflict", kind=_kind(name))
    return str(reading.condition(found, "Refreshed")["message"])
