"""No name leads a path astray."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
        made += [
            partial(paths.secrets, name),
            partial(paths.events, name),
            partial(paths.service_accounts, name),
        ]
    for make in made:
        with pytest.raises(ValueError, match="is not a valid name of a Kubernetes object"):
            make()


@settings(deadline=None)
@given(st.text())
def test_every_name_in_a_path_is_one_segment(name: str) -> None:
    try:
        path = paths.secrets("team", name)
    except ValueError:
        return
    assert path == f"/api/v1/namespaces/team/secrets/{name}"
    assert path.count("/") == 6
    assert path.isascii()
    assert path.isprintable()


PATHS = {
    paths.secrets(""): "/api/v1/secrets",
    paths.secrets("team"): "/api/v1/namespaces/team/secrets",
    paths.secrets("team", "a.b-c"): "/api/v1/namespaces/team/secrets/a.b-c",
    paths.resources("Secret", ""): f"{ROOT}/secrets",
    paths.resources("ArgoHelmRepoSecret", "team", "x", "status"): (
        f"{ROOT}/namespaces/team/argohelmreposecrets/x/status"
    ),
    paths.lease("team"): "/apis/coordination.k8s.io/v1/namespaces/team/leases",
    paths.lease("team", "x.y"): "/apis/coordination.k8s.io/v1/namespaces/team/leases/x.y",
    paths.events("team"): "/apis/events.k8s.io/v1/namespaces/team/events",
}


@pytest.mark.parametrize(("path", "expected"), PATHS.items())
def test_paths(path: str, expected: str) -> None:
    assert path == expected


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        ("GET", paths.secrets(""), ("list", "secrets")),
        ("GET", paths.secrets("team"), ("list", "secrets")),
        ("GET", paths.secrets("team", "web"), ("get", "secrets")),
        ("PATCH", paths.secrets("team", "web"), ("patch", "secrets")),
        ("DELETE", paths.secrets("team", "web"), ("delete", "secrets")),
        ("GET", paths.resources("Secret", ""), ("list", "secrets.ecr.mobb.redhat.com")),
        (
            "PATCH",
            paths.resources("ArgoHelmRepoSecret", "team", "x", "status"),
            ("patch", "argohelmreposecrets.ecr.mobb.redhat.com/status"),
        ),
        ("POST", paths.events("team"), ("create", "events.events.k8s.io")),
        ("POST", paths.service_account("team", "x", "token"), ("create", "serviceaccounts/token")),
        ("PUT", paths.lease("a", "b"), ("update", "leases.coordination.k8s.io")),
        ("GET", paths.namespace_object("team"), ("get", "namespaces")),
        ("GET", "/version", ("get", "version")),
        ("GET", paths.OPENAPI, ("get", "openapi")),
    ],
)
def test_request_labels_hold_no_name(method: str, path: str, labels: tuple[str, str]) -> None:
    assert paths.request_labels(method, path) == labels


def test_request_labels_of_a_watch() -> None:
    path = paths.resources("Secret", "secrets")
    assert paths.request_labels("GET", path, watch=True) == ("watch", "secrets.ecr.mobb.redhat.com")
    assert paths.resource_of(path) == "secrets.ecr.mobb.redhat.com"
