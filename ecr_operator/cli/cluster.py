"""The API server as the commands use it: with the user's rights, and with errors that say what to do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from ecr_operator.api.kinds import CLUSTER, GROUP, KINDS, NAMESPACED_KINDS, PLURALS
from ecr_operator.cli.output import CommandError
from ecr_operator.kube import connection, paths
from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import METADATA_LIST, KubeClient
from ecr_operator.settings import Settings
from ecr_operator.settings.commands import Place

INSTALL_CRDS: Final = "kubectl apply -k config/crd"
_LEFT_OUT: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
# What can be completed, beside our own kinds; of namespaces the path is the same in each.
_COLLECTIONS: Final[Mapping[str, Callable[[str], str]]] = {
    "namespaces": lambda _: paths.namespaces(),
    "serviceaccounts": paths.service_accounts,
    "pods": paths.pods,
    "applications": paths.applications,
}

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

    objects: list[tuple[str, Object]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def kinds_of(namespace: str) -> Sequence[str]:
    """The kinds of a namespace; with all namespaces (an empty one) also those that are in none."""
    return NAMESPACED_KINDS if namespace else KINDS


async def list_all(client: KubeClient, namespace: str, kinds: Sequence[str]) -> Listing:
    """List the resources of these kinds.

    Beside other kinds ClusterSecrets are left out where the cluster has none, or, with a note, where the user
    has no right.

    Raises:
        CommandError: no kind could be listed.
    """
    answers = await asyncio.gather(*(_list(client, kind, namespace) for kind in kinds))
    listing = Listing()
    for kind, answer in zip(kinds, answers, strict=True):
        if not isinstance(answer, ApiError):
            listing.objects.extend((kind, item) for item in answer)
            continue
        message = explain(answer, "list", kind, namespace)
        if len(kinds) > 1 and kind == CLUSTER and answer.code in _LEFT_OUT:
            if not answer.is_not_found:
                listing.notes.append(f"ClusterSecrets are not listed. {message}")
        elif message not in listing.errors:
            listing.errors.append(message)
    if listing.errors and all(isinstance(answer, ApiError) for answer in answers):
        raise CommandError(" ".join(listing.errors))
    return listing


async def _list(client: KubeClient, kind: str, namespace: str) -> Sequence[Object] | ApiError:
    try:
        answer = await client.request("GET", paths.resources(kind, namespace))
    except ApiError as failure:
        return failure
    return answer.get("items") or ()


async def read(
    client: KubeClient, path: str, what: str, query: Sequence[tuple[str, str]] = ()
) -> Object | None:
    """Read an object, or a list, that is not of our kinds; None if there is none.

    Raises:
        CommandError: it can't be read; the message names it as `what`.
    """
    try:
        return await client.request("GET", path, query=query)
    except ApiError as failure:
        if failure.is_not_found:
            return None
        if failure.code == HTTPStatus.FORBIDDEN:
            raise CommandError(f"You are not allowed to read {what}.") from failure
        raise CommandError(_explain(failure, f"read {what}")) from failure


async def list_names(place: Place, what: str, limit: int, seconds: float) -> list[str]:
    """The names of some objects, for completion.

    Args:
        place: where the objects are.
        what: `namespaces`, `serviceaccounts`, `pods`, `applications`, or one of `KINDS`.
        limit: how many at most.
        seconds: the longest that it takes.

    Raises:
        CommandError: they can't be listed.
    """
    try:
        async with asyncio.timeout(seconds), connected(place) as client:
            path = _COLLECTIONS.get(what, partial(paths.resources, what))(namespace_of(place, client))
            query = (("limit", str(limit)),)
            answer = await client.request("GET", path, query=query, accept=METADATA_LIST)
    except (ApiError, TimeoutError) as failure:
        raise CommandError(str(failure)) from failure
    return [item["metadata"]["name"] for item in answer.get("items") or ()]


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
    return _explain(failure, f"{verb} {resource}")


def _explain(failure: ApiError, action: str) -> str:
    match failure.code:
        case HTTPStatus.UNAUTHORIZED:
            return "The API server does not accept the kubeconfig's credentials. Log in again."
        case 0:
            return f"Can't reach the API server: {failure.message}. Check the kubeconfig and its context."
    return f"The API server refused to {action}: {failure.message}."
