"""Questions about the cluster itself: who we are, what we may do, which kinds it knows."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from ecr_operator.api.kinds import KINDS
from ecr_operator.kube import paths
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.failures import ApiError
from ecr_operator.kube.rights import Right


async def version(client: KubeClient) -> str:
    """The server's version, such as `v1.36.3`. Raises ApiError."""
    return _text(await client.request("GET", "/version"), "gitVersion") or "of an unknown version"


async def user(client: KubeClient) -> str:
    """The name under which the server knows us; empty where it does not say. Raises ApiError."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = await client.request("POST", paths.SELF_REVIEW, body=body)
    except ApiError as failure:
        if failure.code in (0, HTTPStatus.UNAUTHORIZED):
            raise
        return ""
    return _text(_mapping(_mapping(answer.get("status")).get("userInfo")), "username")


async def known_kinds(client: KubeClient) -> list[str]:
    """Those of our kinds that the server serves. Raises ApiError."""
    try:
        answer = await client.request("GET", paths.KINDS)
    except ApiError as failure:
        if failure.code == HTTPStatus.NOT_FOUND:
            return []
        raise
    entries = answer.get("resources")
    served = [_text(_mapping(entry), "kind") for entry in (entries if isinstance(entries, Sequence) else ())]
    return [kind for kind in KINDS if kind in served]


async def may(client: KubeClient, right: Right) -> bool:
    """Whether we have a right. Raises ApiError."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": right.attributes()},
    }
    answer = await client.request("POST", paths.ACCESS_REVIEW, body=body)
    return _mapping(answer.get("status")).get("allowed") is True


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""
