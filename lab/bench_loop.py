"""The benchmark's yardstick: the two writes per resource in a bare aiohttp loop of 16 workers.

A program of its own, run as `python -m lab.bench_loop FILE`. The file has the server's `url` and its
`authority` (PEM), the `client` certificate's path, the `rows` and a token for each region. Left
out: list, watch, AWS, retries, a client library.
"""

import asyncio
import base64
import json
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

Json = dict[str, Any]

GROUP = "ecr.mobb.redhat.com"
_WORKERS = 16


def secret(row: Json, token: Json) -> Json:
    """Return the Secret that the operator would write, of the same size and with the same metadata."""
    login = {"username": "AWS", "password": token["password"], "auth": _encoded(f"AWS:{token['password']}")}
    owner = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "Secret", "name": row["name"], "uid": row["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": row["secret"],
            "labels": {"app.kubernetes.io/managed-by": "ecr-secret-operator"},
            "annotations": {
                f"{GROUP}/token-issued-at": token["issued"],
                f"{GROUP}/token-expires-at": token["expires"],
                f"{GROUP}/spec-fingerprint": "0123456789abcdef",
                f"{GROUP}/access-key-hash": "0123456789ab",
                f"{GROUP}/owner": f"Secret/{row['name']}",
                f"{GROUP}/owner-uid": row["uid"],
            },
            "ownerReferences": [{**owner, "controller": True}],
        },
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": _encoded(json.dumps({"auths": {row["registry"]: login}}))},
    }


def status(row: Json, token: Json) -> Json:
    """Return the status that the operator would write."""
    about = {"status": "True", "observedGeneration": 1, "lastTransitionTime": token["issued"]}
    messages = {
        "Ready": f"The Secret holds a token that expires at {token['expires']}.",
        "Refreshed": "The last refresh succeeded.",
    }
    return {
        "status": {
            "phase": "Updated",
            "lastUpdatedTime": token["issued"],
            "observedGeneration": 1,
            "secretName": row["secret"],
            "expirationTime": token["expires"],
            "nextRefreshTime": token["expires"],
            "conditions": [
                {"type": kind, **about, "reason": "Refreshed", "message": message}
                for kind, message in messages.items()
            ],
        }
    }


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def _patch(session: aiohttp.ClientSession, path: str, kind: str, body: Json, **query: str) -> None:
    headers = {"Content-Type": f"application/{kind}"}
    data = json.dumps(body).encode()
    async with session.patch(path, data=data, headers=headers, params=query) as answer:
        await answer.read()
        answer.raise_for_status()


async def _work(session: aiohttp.ClientSession, rows: Iterator[Json], tokens: Json) -> None:
    """Write one resource after the other; the workers share the rows."""
    for row in rows:
        token = tokens[row["region"]]
        path = f"/namespaces/{row['namespace']}/secrets/"
        query = {"fieldManager": "ecr-secret-operator", "force": "true"}
        applied = secret(row, token)
        await _patch(session, f"/api/v1{path}{row['secret']}", "apply-patch+yaml", applied, **query)
        path = f"/apis/{GROUP}/v1alpha1{path}{row['name']}/status"
        await _patch(session, path, "merge-patch+json", status(row, token))


async def _run(work: Json) -> None:
    context = ssl.create_default_context(cadata=work["authority"])
    context.load_cert_chain(work["client"])
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    async with (
        aiohttp.ClientSession(work["url"], connector=connector) as session,
        asyncio.TaskGroup() as group,
    ):
        rows = iter(work["rows"])
        for _ in range(_WORKERS):
            group.create_task(_work(session, rows, work["tokens"]))


if __name__ == "__main__":
    asyncio.run(_run(json.loads(Path(sys.argv[1]).read_text())))
