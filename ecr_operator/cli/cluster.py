"""The API server as the commands use it: with the user's rights, and with errors that say what to do."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from ecr_operator.api.kinds import CLUSTER, GROUP, KINDS, NAMESPACED_KINDS, PLURALS
from ecr_operator.cli.output import CommandError
from ecr_operator.kube import connection, paths
from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import KubeClient
from ecr_operator.settings import Settings
from ecr_operator.settings.commands import Place

INSTALL_CRDS: Final = "kubectl apply -k config/crd"

Object = Mapping[str, Any]


@asynccontextmanager
async def connected(place: Place) -> AsyncIterator[KubeClient]:
    """A client of the API server that a command is about.

    Raises:
        CommandError: the kubeconfig can't be used.
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


@dataclass(frozen=True, slots=True)
class Listing:
    """The resources that could be listed.

    Attributes:
        objects: kind and object of each.
        errors: a message for each kind that could not be listed.
        notes: the same for ClusterSecrets beside other kinds, since few users are allowed to list them.
    """

    objects: list[tuple[str, Object]]
    errors: list[str]
    notes: list[str]


def kinds_of(namespace: str) -> Sequence[str]:
    """The kinds of a namespace; with all namespaces (an empty one) also those that are in none."""
    return NAMESPACED_KINDS if namespace else KINDS


async def list_all(client: KubeClient, namespace: str, kinds: Sequence[str]) -> Listing:
    """List the resources of these kinds.

    Raises:
        CommandError: no kind could be listed.
    """
    answers = await asyncio.gather(*(_list(client, kind, namespace) for kind in kinds))
    answered = dict(zip(kinds, answers, strict=True))
    notes = _leave_out_clusters(answered) if len(kinds) > 1 else []
    failures = [
        explain(answer, "list", kind, namespace)
        for kind, answer in answered.items()
        if isinstance(answer, ApiError)
    ]
    errors = list(dict.fromkeys(failures))
    if len(failures) == len(answered):
        raise CommandError(" ".join(errors))
    lists = {kind: answer for kind, answer in answered.items() if not isinstance(answer, ApiError)}
    return Listing([(kind, item) for kind, items in lists.items() for item in items], errors, notes)


def _leave_out_clusters(answered: dict[str, Sequence[Object] | ApiError]) -> list[str]:
    """Remove ClusterSecrets where the cluster has none, or, with a note, where the user has no right."""
    failure = answered.get(CLUSTER)
    if not isinstance(failure, ApiError) or failure.code not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
        return []
    del answered[CLUSTER]
    if failure.is_not_found:
        return []
    return [f"ClusterSecrets are not listed. {explain(failure, 'list', CLUSTER, '')}"]


async def _list(client: KubeClient, kind: str, namespace: str) -> Sequence[Object] | ApiError:
    try:
        answer = await client.request("GET", paths.resources(kind, namespace))
    except ApiError as failure:
        return failure
    return answer.get("items") or ()


def is_unknown_kind(failure: ApiError) -> bool:
    """Whether a 404 means that the kind does not exist, not one object of it."""
    return failure.code == HTTPStatus.NOT_FOUND and "could not find the requested resource" in failure.message


def explain(failure: ApiError, verb: str, kind: str, namespace: str) -> str:
    """Say what a failed request means to a user, and what helps.

    Args:
        failure: the API server's answer, or that there was none.
        verb: as RBAC calls it.
        kind: one of `KINDS`.
        namespace: empty for all, and for a ClusterSecret.
    """
    resource = f"{PLURALS[kind]}.{GROUP}"
    match failure.code:
        case HTTPStatus.FORBIDDEN:
            where = f" in namespace {namespace}" if namespace else " in all namespaces"
            side = "viewer" if verb in ("get", "list", "watch") else "editor"
            role = f"ecr-secret-operator-{kind.lower()}-{side}-role"
            narrower = "" if namespace else ", or select a namespace with -n"
            if kind == CLUSTER:
                where = narrower = ""
            return (
                f"You are not allowed to {verb} {resource}{where}. Ask for the ClusterRole {role}{narrower}."
            )
        case HTTPStatus.NOT_FOUND:
            return f"The cluster has no {resource}. Install the CRDs with `{INSTALL_CRDS}`."
        case HTTPStatus.UNAUTHORIZED:
            return "The API server does not accept the kubeconfig's credentials. Log in again."
        case 0:
            return f"Can't reach the API server: {failure.message}. Check the kubeconfig and its context."
    return f"The API server refused to {verb} {resource}: {failure.message}."
