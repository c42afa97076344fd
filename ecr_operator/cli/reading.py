"""Reading our resources with the rights of whoever runs a command."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ecr_operator.api.kinds import KINDS
from ecr_operator.cli.errors import CommandError
from ecr_operator.cli.refusals import explain
from ecr_operator.kube import connection, paths
from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import KubeClient
from ecr_operator.settings import Settings
from ecr_operator.settings.commands import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What could be read, and what could not.

    Attributes:
        objects: kind and object.
        lacking: why a kind could not be read, in words.
    """

    objects: Sequence[tuple[str, Mapping[str, Any]]]
    lacking: Sequence[str] = ()


@asynccontextmanager
async def connected(place: Place) -> AsyncIterator[KubeClient]:
    """A client of the API server that a command is about.

    Raises:
        CommandError: there is no way to one.
    """
    try:
        client = await connection.connect(place.settings, context=place.context)
    except connection.ConnectionSetupError as error:
        raise CommandError(str(error)) from error
    async with client:
        yield client


def namespace_of(place: Place, client: KubeClient) -> str:
    """The namespace that a command is about; empty for all."""
    return own_namespace(place.settings, client) if place.namespace is None else place.namespace


def own_namespace(settings: Settings, client: KubeClient) -> str:
    """The namespace of the kubeconfig's context; in a cluster the pod's own."""
    return (settings.namespace if settings.in_cluster else client.namespace) or "default"


async def list_all(client: KubeClient, namespace: str, kinds: Sequence[str] = KINDS) -> Found:
    """Read all resources of these kinds.

    Raises:
        CommandError: none of the kinds could be read.
    """
    answers = await asyncio.gather(*(_list(client, kind, namespace) for kind in kinds))
    lacking = list(dict.fromkeys(answer for answer in answers if isinstance(answer, str)))
    if all(isinstance(answer, str) for answer in answers):
        raise CommandError(" ".join(lacking))
    objects = [
        (kind, item)
        for kind, answer in zip(kinds, answers, strict=True)
        if not isinstance(answer, str)
        for item in answer
    ]
    return Found(objects=objects, lacking=lacking)


async def _list(client: KubeClient, kind: str, namespace: str) -> Sequence[Mapping[str, Any]] | str:
    try:
        answer = await client.request("GET", paths.resources(kind, namespace))
    except ApiError as failure:
        return str(explain(failure, "list", kind, namespace))
    items: Sequence[Mapping[str, Any]] = answer.get("items") or ()
    return items
