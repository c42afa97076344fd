"""A mutating admission webhook that overwrites a label of the Secrets that are written in a namespace."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from lab.api import SECRETS, Json
from lab.certificates import Authority
from lab.waiting import wait_for
from tests.cluster.scene import Scene

_PATH: Final = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
_TAKEN_IN: Final = 20.0


@asynccontextmanager
async def overwriting(scene: Scene, label: str, value: str) -> AsyncIterator[None]:
    """Give every Secret of the scene's namespace that bears a label another value of it, while inside."""

    async def respond(request: web.Request) -> web.Response:
        return web.json_response(_review(await request.json(), label, value))

    authority = Authority()
    app = web.Application()
    app.router.add_post("/", respond)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.server_context())
        await site.start()
        port = runner.addresses[0][1]
        configuration = _configuration(scene, f"https://127.0.0.1:{port}/", authority)
        await scene.api.create(configuration)
        await wait_for(lambda: _stored(scene, label, "mine", value), _TAKEN_IN, "the webhook in force")
        try:
            yield
        finally:
            await scene.api.request("DELETE", f"{_PATH}/{scene.namespace}")
            await wait_for(lambda: _stored(scene, label, "mine", "mine"), _TAKEN_IN, "the webhook gone")
    finally:
        await runner.cleanup()


def _review(review: Json, label: str, value: str) -> Json:
    labels = review["request"]["object"]["metadata"].get("labels", {})
    path = f"/metadata/labels/{label.replace('~', '~0').replace('/', '~1')}"
    patch = [{"op": "replace", "path": path, "value": value}] if label in labels else []
    answer = {
        "uid": review["request"]["uid"],
        "allowed": True,
        "patchType": "JSONPatch",
        "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
    }
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": answer}


def _configuration(scene: Scene, url: str, authority: Authority) -> Json:
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["secrets"],
    }
    webhook = {
        "name": "labels.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
        "clientConfig": {"url": url, "caBundle": base64.b64encode(authority.certificate).decode()},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}},
        "rules": [rule],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": scene.namespace},
        "webhooks": [webhook],
    }


async def _stored(scene: Scene, label: str, written: str, stored: str) -> bool:
    """Whether a Secret that is written with one value of the label would be stored with the other."""
    probe = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "probe", "labels": {label: written}}}
    path = SECRETS.path(None, scene.namespace)
    made = await scene.api.request("POST", path, body=probe, query={"dryRun": "All"})
    return bool(made["metadata"]["labels"][label] == stored)
