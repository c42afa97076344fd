"""The yardstick of the benchmark: the same two writes per resource, and nothing else.

A program of its own, made of the client library's own methods in an asyncio loop. The tokens are given, in
a file with the resources; KUBECONFIG names the server. Its last line of output has the time at which its
imports were done (epoch seconds) and the processor time it took. Left out: list, watch, AWS, retries.
"""

import argparse
import asyncio
import base64
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kubernetes_asyncio import client, config

Json = dict[str, Any]

GROUP = "ecr.mobb.redhat.com"
API_VERSION = f"{GROUP}/v1alpha1"


def secret_body(row: Json, token: Json) -> Json:
    """Make the Secret that the operator would write, of the same size and with the same metadata."""
    login = {"username": "AWS", "password": token["password"], "auth": _encode(f"AWS:{token['password']}")}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": row["secret"],
            "namespace": row["namespace"],
            "labels": {"app.kubernetes.io/managed-by": "ecr-secret-operator"},
            "annotations": {
                f"{GROUP}/token-issued-at": token["issued"],
                f"{GROUP}/token-expires-at": token["expires"],
                f"{GROUP}/spec-fingerprint": "0123456789abcdef",
                f"{GROUP}/access-key-hash": "0123456789ab",
                f"{GROUP}/owner": f"Secret/{row['name']}",
                f"{GROUP}/owner-uid": row["uid"],
            },
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "Secret",
                    "name": row["name"],
                    "uid": row["uid"],
                    "controller": True,
                }
            ],
        },
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": _encode(json.dumps({"auths": {row["registry"]: login}}))},
    }


def status_body(row: Json, token: Json) -> Json:
    """Make the status that the operator would write."""
    message = f"The Secret holds a token that lives until {token['expires']}."
    return {
        "status": {
            "phase": "Updated",
            "lastUpdatedTime": token["issued"],
            "observedGeneration": 1,
            "secretName": row["secret"],
            "expirationTime": token["expires"],
            "nextRefreshTime": token["expires"],
            "conditions": [
                _condition("Ready", token["issued"], message),
                _condition("Refreshed", token["issued"], "The last refresh succeeded."),
            ],
        }
    }


def _condition(kind: str, since: str, message: str) -> Json:
    return {
        "type": kind,
        "status": "True",
        "observedGeneration": 1,
        "lastTransitionTime": since,
        "reason": "Refreshed",
        "message": message,
    }


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def _work(api: client.ApiClient, rows: Iterator[Json], tokens: Json) -> None:
    """Write one resource after the other; several of these share the rows."""
    core, custom = client.CoreV1Api(api), client.CustomObjectsApi(api)
    for row in rows:
        token = tokens[row["region"]]
        await core.patch_namespaced_secret(
            row["secret"],
            row["namespace"],
            secret_body(row, token),
            field_manager="ecr-secret-operator",
            force=True,
            _content_type="application/apply-patch+yaml",  # type: ignore[call-arg]
        )
        await custom.patch_namespaced_custom_object_status(
            GROUP,
            "v1alpha1",
            row["namespace"],
            "secrets",
            row["name"],
            status_body(row, token),
            _content_type="application/merge-patch+json",  # type: ignore[call-arg]
        )


async def _run(work: Json, concurrency: int) -> None:
    await config.load_kube_config()
    async with client.ApiClient() as api, asyncio.TaskGroup() as group:
        rows = iter(work["rows"])
        for _ in range(concurrency):
            group.create_task(_work(api, rows, work["tokens"]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write everything once, then tell when the loop could begin."""
    began = time.time()
    parser = argparse.ArgumentParser(
        prog="python -m lab.bench_bare_loop", description="A bare loop of writes."
    )
    parser.add_argument("work", type=Path, help="JSON file with the rows and the tokens")
    parser.add_argument("--concurrency", type=int, default=16, help="writes at a time (default: 16)")
    options = parser.parse_args(arguments)
    asyncio.run(_run(json.loads(options.work.read_text()), options.concurrency))
    print(began, time.process_time())


if __name__ == "__main__":
    main()
