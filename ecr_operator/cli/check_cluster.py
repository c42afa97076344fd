"""`check`, the side of Kubernetes: can it be reached, are the CRDs there, and the rights."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from ecr_operator.api.kinds import KINDS
from ecr_operator.cli.findings import Finding, of_right
from ecr_operator.cli.reading import own_namespace
from ecr_operator.cli.refusals import INSTALL_CRDS
from ecr_operator.kube import access_review, connection
from ecr_operator.kube.access_review import NEEDS, Right
from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.statuses import KubeStatuses
from ecr_operator.settings import Settings

_AT_ONCE: Final = 8


async def look(settings: Settings, context: str) -> AsyncIterator[Finding]:
    """Look at one thing after another, and stop where the next would fail for the same reason.

    Args:
        settings: the way to the API server, the namespaces to be served, and whether to elect a leader.
        context: of the kubeconfig; empty for its current one.
    """
    try:
        client = await connection.connect(settings, context=context)
    except connection.ConnectionSetupError as error:
        yield Finding(verdict="bad", topic="API server", text=str(error))
        return
    async with client:
        reached = await _server(client)
        yield reached
        if reached.verdict == "bad":
            return
        try:
            yield await _crds(client)
            async for finding in _rights(client, settings):
                yield finding
        except ApiError as failure:
            text = f"could not be asked for: {failure.message}"
            yield Finding(verdict="bad", topic="rights", text=text, advice="try again")


async def _server(client: KubeClient) -> Finding:
    try:
        version, user = await access_review.server_version(client), await access_review.username(client)
    except ApiError as failure:
        refused = failure.code != 0
        return Finding(
            verdict="bad",
            topic="API server",
            text=f"{client.host}: {failure.message}",
            advice="log in again" if refused else "is it running? Check the kubeconfig and its context",
        )
    return Finding(
        verdict="good",
        topic="API server",
        text=f"{client.host}, {version}" + (f", as {user}" if user else ""),
    )


async def _crds(client: KubeClient) -> Finding:
    known = await access_review.served_kinds(client)
    missing = [kind for kind in KINDS if kind not in known]
    if missing:
        text = f"the cluster does not know {' and '.join(missing)}"
        return Finding(verdict="bad", topic="CRDs", text=text, advice=INSTALL_CRDS)
    statuses = KubeStatuses(client)
    old = [kind for kind in KINDS if not await statuses.keeps_details(kind)]
    if old:
        text = f"{' and '.join(old)} as in v0.6.0, which keeps two fields of the status only"
        return Finding(verdict="optional", topic="CRDs", text=text, advice=INSTALL_CRDS)
    return Finding(verdict="good", topic="CRDs", text=" and ".join(KINDS))


async def _rights(client: KubeClient, settings: Settings) -> AsyncIterator[Finding]:
    # Where the operator looks for its Lease: POD_NAMESPACE counts outside of a cluster too.
    own = settings.namespace or own_namespace(settings, client)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def is_missing(right: Right) -> bool:
        async with slots:
            return not await access_review.is_allowed(client, right)

    for need in NEEDS:
        if need.place == "own" and not settings.leader_elect:
            continue
        asked = need.rights(settings.namespaces, own)
        answers = await asyncio.gather(*map(is_missing, asked))
        missing = [right for right, lacks in zip(asked, answers, strict=True) if lacks]
        yield of_right(need, missing)
