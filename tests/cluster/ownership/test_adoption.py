"""Adopting a Secret drops nothing of others, unless they say so."""

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Final

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Json, Resource
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.cluster.ownership.conflicts import ADOPT, HEALED, OURS, accepted, core_secrets, owner_reference
from tests.cluster.scene import ARGO_STATUS_WRITE, QUIET, STATUS_WRITE, Scene

HOST: Final = registry()
LOGIN: Final = {"username": "u", "password": "p", "auth": "dTpw"}
MARKED: Final = {"annotations": {ADOPT: "true"}}
DOCKER: Final = "kubernetes.io/dockerconfigjson"
UID: Final = "00000000-0000-4000-8000-000000000000"


def _secret(name: str, kind: str, data: Mapping[str, str], **metadata: object) -> Json:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{name}-login", **(metadata or MARKED)},
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
    "dockercfg": (
        _secret("dockercfg", "kubernetes.io/dockercfg", {".dockercfg": json.dumps({"quay.io": LOGIN})}),
        ['"quay.io"'],
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
    "database": (_secret("database", "Opaque", {"username": "u", "password": "p"}), ['"password"']),
}


async def test_what_would_be_lost_is_named_and_kept_until_somebody_says_replace(scene: Scene) -> None:
    await scene.create(*(secret for secret, _ in LOSING.values()))
    logins = [f"{name}-login" for name in LOSING]
    before = await core_secrets(scene, *logins)
    await scene.create(*map(_resource, LOSING))
    async with scene.operator():
        for name, (_, named) in LOSING.items():
            message = await _refused(scene, name)
            assert [words for words in named if words not in message] == []
            assert f'{ADOPT}: "replace"' in message
            assert f'"{HOST}"' not in message
        await asyncio.sleep(QUIET)
        assert await core_secrets(scene, *logins) == before
        assert set(accepted(scene)) == {STATUS_WRITE, ARGO_STATUS_WRITE}
        for login in logins:
            patch = {"metadata": {"annotations": {ADOPT: "replace"}}}
            await scene.api.merge_patch(SECRETS, login, patch, scene.namespace)
        for name in LOSING:
            await scene.told(name, "True", "Refreshed", kind=_kind(name), within=HEALED)
    assert {(await scene.token(login)).serial for login in logins} == {1}
    auths = json.loads(reading.decoded(await scene.secret("shared-login"))[".dockerconfigjson"])["auths"]
    assert set(auths) == {HOST}


def _resource(name: str) -> Json:
    return argo_secret(name) if _kind(name) is ARGO_SECRETS else ecr_secret(name)


def _kind(name: str) -> Resource:
    return ARGO_SECRETS if name in ("charts", "database") else ECR_SECRETS


async def _refused(scene: Scene, name: str) -> str:
    """Return the message of a resource in conflict."""
    found = await scene.told(name, "False", "SecretConflict", kind=_kind(name))
    return str(reading.condition(found, "Refreshed")["message"])


async def test_what_loses_nothing_is_adopted_where_it_stands_or_made_anew(scene: Scene) -> None:
    await scene.create(
        _secret("docker", DOCKER, {".dockerconfigjson": _config(f"https://{HOST}/v2/"), "x": "y"}),
        _secret("dockercfg", "kubernetes.io/dockercfg", {".dockercfg": json.dumps({HOST: LOGIN})}),
        _secret("charts", "Opaque", {"url": HOST, "username": "u", "password": "p", "x": "y"}),
        {**_secret("frozen", DOCKER, {".dockerconfigjson": _config(HOST)}), "immutable": True},
        _secret("empty", "Opaque", {}),
    )
    names = ("docker", "dockercfg", "frozen", "empty", "charts")
    await scene.create(*map(_resource, names))
    async with scene.operator():
        for name in names:
            await scene.told(name, "True", "Refreshed", kind=_kind(name))
    for name in names:
        assert (await scene.token(f"{name}-login")).serial == 1
    for name in ("docker", "charts"):
        assert reading.decoded(await scene.secret(f"{name}-login"))["x"] == "y"


async def test_a_copy_of_a_secret_is_not_said_to_belong_to_the_resource_itself(rough: Scene) -> None:
    await rough.create(ecr_secret("web"))
    async with rough.operator():
        (web,) = await rough.ready("web")
        own = owner_reference(web)
        marks = {"labels": OURS, "annotations": (await rough.secret("web-login"))["metadata"]["annotations"]}
        await rough.create(
            _secret("web-copy", "Opaque", {}, **marks, ownerReferences=[own]),
            _secret("far", "Opaque", {}, **marks, ownerReferences=[own | {"name": "far", "uid": UID}]),
            _secret("marks", "Opaque", {}, **marks),
        )
        await rough.create(*map(ecr_secret, ("web-copy", "far", "marks")))
        messages = {name: await _refused(rough, name) for name in ("web-copy", "far", "marks")}
    assert "names Secret web as its owner, whose Secret is web-login: it is a copy" in messages["web-copy"]
    assert "Secret far as" not in messages["far"]
    assert "belongs to Secret" not in messages["far"]
    assert "another resource of this name" in messages["far"]
    assert "belongs to Secret" not in messages["marks"]
    assert all(ADOPT in message for message in messages.values())
