"""The API's paths, with every name checked before it enters one.

An empty name would turn a delete into a deletecollection, and `..` would reach the namespace itself.
"""

import re
from typing import Final

from ecr_operator.api.kinds import CLUSTER, GROUP, PLURALS, VERSION

OPENAPI: Final = f"/openapi/v3/apis/{GROUP}/{VERSION}"
KINDS: Final = f"/apis/{GROUP}/{VERSION}"
SELF_REVIEW: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
ARGO_CD: Final = "/apis/argoproj.io/v1alpha1"
ACCESS_REVIEW: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LENGTH: Final = 253
_PARTS: Final = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)(?:/namespaces/[^/]+(?=/))?"
    r"/(?P<plural>[^/]+)(?P<name>/[^/]+)?(?P<subresource>/[^/]+)?"
)
_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def segment(name: str) -> str:
    """The name itself, if it is a DNS-1123 name; else raises ValueError."""
    if len(name) > _LENGTH or ".." in name or not _NAME.fullmatch(name):
        message = f"{name[:60]!r} is not a valid name of a Kubernetes object"
        raise ValueError(message)
    return name


def secrets(namespace: str, name: str | None = None) -> str:
    """Core Secrets: of all namespaces (an empty one), of one, or one of them."""
    return _path("/api/v1", "secrets", namespace, name)


def resources(kind: str, namespace: str, name: str | None = None, subresource: str = "") -> str:
    """Custom resources of a kind: of all namespaces (an empty one), of one, or one of them.

    A ClusterSecret is in no namespace, whichever it is asked for.
    """
    if kind == CLUSTER:
        parts = (f"{KINDS}/{PLURALS[kind]}", name if name is None else segment(name), subresource)
        return "/".join(part for part in parts if part)
    return _path(KINDS, PLURALS[kind], namespace, name, subresource)


def service_accounts(namespace: str) -> str:
    """ServiceAccounts of all namespaces (an empty one), or of one."""
    return _path("/api/v1", "serviceaccounts", namespace)


def service_account(namespace: str, name: str, subresource: str = "") -> str:
    """One ServiceAccount, or a subresource of it."""
    return _path("/api/v1", "serviceaccounts", namespace, name, subresource)


def pods(namespace: str, name: str | None = None) -> str:
    """The Pods of a namespace, or one of them."""
    return _path("/api/v1", "pods", namespace, name)


def applications(namespace: str, name: str | None = None) -> str:
    """The Applications of Argo CD in a namespace, or one of them."""
    return _path(ARGO_CD, "applications", namespace, name)


def namespaces() -> str:
    """All Namespaces."""
    return "/api/v1/namespaces"


def namespace_object(name: str) -> str:
    """One Namespace."""
    return f"{namespaces()}/{segment(name)}"


def lease(namespace: str, name: str | None = None) -> str:
    """The Leases of a namespace, or one of them."""
    return _path("/apis/coordination.k8s.io/v1", "leases", segment(namespace), name)


def events(namespace: str) -> str:
    """Events of a namespace."""
    return _path("/apis/events.k8s.io/v1", "events", namespace)


def request_labels(method: str, path: str, *, watch: bool = False) -> tuple[str, str]:
    """A request's verb and resource, in the words of RBAC and without anybody's name."""
    found = _PARTS.fullmatch(path)
    if not found:
        return "watch" if watch else _VERBS.get(method, "get"), path.split("/")[1]
    resource = ".".join(part for part in (found["plural"], found["group"]) if part)
    reading = "watch" if watch else "get" if found["name"] else "list"
    return _VERBS.get(method, reading), f"{resource}{found['subresource'] or ''}"


def resource_of(path: str) -> str:
    """The plural and group of a collection."""
    return request_labels("GET", path)[1]


def _path(root: str, plural: str, namespace: str, name: str | None = None, subresource: str = "") -> str:
    within = f"/namespaces/{segment(namespace)}" if namespace or name is not None else ""
    parts = (f"{root}{within}/{plural}", name if name is None else segment(name), subresource)
    return "/".join(part for part in parts if part)
