"""No name leads a path astray."""

from functools import partial

import pytest

from ecr_operator.kube import paths

HOSTILE = {
    "an empty name": "",
    "the folder above": "..",
    "two dots inside": "a..b",
    "a dot": ".",
    "a slash": "a/b",
    "a way up": "../../namespaces/kube-system",
    "an encoded slash": "a%2fb",
    "a query": "a?dryRun=All",
    "a fragment": "a#b",
    "a space": "a b",
    "a line break": "a\n",
    "a NUL": "a\x00",
    "capitals": "Web",
    "a dash in front": "-a",
    "a dot at the end": "a.",
    "letters of other scripts": "аdmin",  # noqa: RUF001 - the point
    "digits of other scripts": "a\u0661",
    "one too long": "a" * 254,
}
ROOT = "/apis/ecr.mobb.redhat.com/v1alpha1"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/team/leases"


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_no_hostile_name_or_namespace_enters_a_path(name: str) -> None:
    made = [
        partial(paths.segment, name),
        partial(paths.secrets, "team", name),
        partial(paths.resources, "Secret", "team", name, "status"),
        partial(paths.service_account, "team", name),
        partial(paths.service_account, name, "a"),
        partial(paths.namespace_object, name),
        partial(paths.lease, name, "lease"),
    ]
    if name:  # else all namespaces
        made += [partial(make, name) for make in (paths.secrets, paths.events, paths.service_accounts)]
    for make in made:
        with pytest.raises(ValueError, match="is not a valid name of a Kubernetes object"):
            make()


RESOURCE = "secrets.ecr.mobb.redhat.com"
# By method and path: the path, and the labels of the request.
REQUESTS = {
    "GET /api/v1/secrets": (paths.secrets(""), ("list", "secrets")),
    "GET /api/v1/namespaces/team/secrets": (paths.secrets("team"), ("list", "secrets")),
    "GET /api/v1/namespaces/team/secrets/a.b-c": (paths.secrets("team", "a.b-c"), ("get", "secrets")),
    "PATCH /api/v1/namespaces/team/secrets/web": (paths.secrets("team", "web"), ("patch", "secrets")),
    "DELETE /api/v1/namespaces/team/secrets/web": (paths.secrets("team", "web"), ("delete", "secrets")),
    f"GET {ROOT}/secrets": (paths.resources("Secret", ""), ("list", RESOURCE)),
    f"PATCH {ROOT}/namespaces/team/argohelmreposecrets/x/status": (
        paths.resources("ArgoHelmRepoSecret", "team", "x", "status"),
        ("patch", "argohelmreposecrets.ecr.mobb.redhat.com/status"),
    ),
    f"GET {ROOT}/clustersecrets": (
        paths.resources("ClusterSecret", ""),
        ("list", "clustersecrets.ecr.mobb.redhat.com"),
    ),
    f"PATCH {ROOT}/clustersecrets/x/status": (
        paths.resources("ClusterSecret", "team", "x", "status"),
        ("patch", "clustersecrets.ecr.mobb.redhat.com/status"),
    ),
    "GET /api/v1/namespaces": (paths.namespaces(), ("list", "namespaces")),
    "POST /api/v1/namespaces/team/serviceaccounts/x/token": (
        paths.service_account("team", "x", "token"),
        ("create", "serviceaccounts/token"),
    ),
    "POST /apis/events.k8s.io/v1/namespaces/team/events": (
        paths.events("team"),
        ("create", "events.events.k8s.io"),
    ),
    f"POST {LEASES}": (paths.lease("team"), ("create", "leases.coordination.k8s.io")),
    f"PUT {LEASES}/x.y": (paths.lease("team", "x.y"), ("update", "leases.coordination.k8s.io")),
    "GET /api/v1/namespaces/team": (paths.namespace_object("team"), ("get", "namespaces")),
    "GET /version": ("/version", ("get", "version")),
    f"GET {paths.OPENAPI}": (paths.OPENAPI, ("get", "openapi")),
}


@pytest.mark.parametrize("request_", REQUESTS)
def test_path_of_a_request_and_its_labels_without_a_name(request_: str) -> None:
    made, labels = REQUESTS[request_]
    method, path = request_.split()
    assert made == path
    assert paths.request_labels(method, path) == labels


def test_request_labels_of_a_watch() -> None:
    path = paths.resources("Secret", "secrets")
    assert paths.request_labels("GET", path, watch=True) == ("watch", RESOURCE)
    assert paths.resource_of(path) == RESOURCE
