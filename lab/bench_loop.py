"""The benchmark's yardstick: the two writes per resource in a bare aiohttp loop of 16 workers.

A program of its own, run as `python -m lab.bench_loop FILE`. The file has the server's `url` and its
`authority` (PEM), the `client` certificate's path, the `rows`, and for each region a model: a row, and the
Secret and the status that the operator wrote for it; without a status, that write is left out.
Leaves out: list, watch, AWS, retries, a client library.
"""

import asyncio
import json
import ssl
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

_WORKERS = 16
_API = "/apis/ecr.mobb.redhat.com/v1alpha1"


def _filled(model: Mapping[str, Any], part: str, row: Mapping[str, str]) -> bytes:
    """Return the model's body with this row's names in place of its own."""
    text: str = model[part]
    for name in ("name", "secret", "uid"):
        text = text.replace(model["row"][name], row[name])
    return text.encode()


async def _patch(session: aiohttp.ClientSession, path: str, kind: str, body: bytes, **query: str) -> None:
    headers = {"Content-Type": f"application/{kind}"}
    async with session.patch(path, data=body, headers=headers, params=query) as answer:
        await answer.read()
        answer.raise_for_status()


async def _work(
    session: aiohttp.ClientSession, rows: Iterator[Mapping[str, str]], models: Mapping[str, Any]
) -> None:
    """Write one resource after the other; the workers share the rows."""
    query = {"fieldManager": "ecr-secret-operator", "force": "true"}
    for row in rows:
        model, path = models[row["region"]], f"/namespaces/{row['namespace']}/secrets/"
        secret = _filled(model, "secret", row)
        await _patch(session, f"/api/v1{path}{row['secret']}", "apply-patch+yaml", secret, **query)
        if "status" in model:
            status = _filled(model, "status", row)
            await _patch(session, f"{_API}{path}{row['name']}/status", "merge-patch+json", status)


async def _run(work: Mapping[str, Any]) -> None:
    context = ssl.create_default_context(cadata=work["authority"])
    context.load_cert_chain(work["client"])
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    async with (
        aiohttp.ClientSession(work["url"], connector=connector) as session,
        asyncio.TaskGroup() as group,
    ):
        rows = iter(work["rows"])
        for _ in range(_WORKERS):
            group.create_task(_work(session, rows, work["models"]))


if __name__ == "__main__":
    asyncio.run(_run(json.loads(Path(sys.argv[1]).read_text())))
