"""The Secret for Argo CD, against Argo CD's documentation; docs/argocd.md says the same to users."""

import base64
import itertools
from typing import Any, Final

import pytest

from ecr_operator.core.secret import generated_secret
from tests.builders import desired, resource, tokens

# https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#repositories and the examples
# argocd-repositories.yaml and argocd-repo-creds.yaml of the same manual, without what is of Git alone.
DOCUMENTED: Final = {
    *("url", "name", "project", "type", "username", "password", "bearerToken", "enableOCI"),
    *("insecure", "insecureOCIForceHttp", "forceHttpBasicAuth", "tlsClientCertData", "tlsClientCertKey"),
    *("proxy", "noProxy"),
}
SCOPES: Final = (None, "repository", "repo-creds")
TYPES: Final = (None, "helm", "oci")
PROJECTS: Final = (None, "team-a")
HOST: Final = "123456789012.dkr.ecr.us-east-2.amazonaws.com"
# Argo CD sets these on all that it deploys, and prunes objects that bear them.
TRACKING: Final = (
    "argocd.argoproj.io/tracking-id",
    "app.kubernetes.io/instance",
    "argocd.argoproj.io/instance",
)


def made(**spec: Any) -> dict[str, Any]:
    of = resource("ArgoHelmRepoSecret", **spec)
    return generated_secret(of, desired(of), tokens(of))


def data(**spec: Any) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in made(**spec)["data"].items()}


@pytest.mark.parametrize(
    ("scope", "repo_type", "project"),
    [
        (scope, repo_type, project)
        for scope, repo_type, project in itertools.product(SCOPES, TYPES, PROJECTS)
        if not (scope == "repo-creds" and project)
    ],
)
def test_every_key_is_among_those_that_argo_cd_documents(
    scope: str | None, repo_type: str | None, project: str | None
) -> None:
    held = data(credential_scope=scope, repo_type=repo_type, project=project)
    assert set(held) <= DOCUMENTED
    assert set(held) >= {"url", "type", "name", "username", "password"}
    assert (held["type"], held.get("enableOCI")) == (
        ("oci", None) if repo_type == "oci" else ("helm", "true")
    )
    assert held.get("project") == project


@pytest.mark.parametrize("scope", SCOPES)
def test_the_label_is_the_scope_by_which_argo_cd_finds_the_secret(scope: str | None) -> None:
    labels = made(credential_scope=scope)["metadata"]["labels"]
    assert labels["argocd.argoproj.io/secret-type"] == (scope or "repository")


@pytest.mark.parametrize(
    "url",
    [
        HOST,
        f"{HOST}/charts",
        f"{HOST}/charts/",
        f"https://{HOST}",
        f"oci://{HOST}/charts/app",
        f"OCI://{HOST.upper()}/Charts",
        "charts.example.com:8443/ecr",
        "public.ecr.aws/team",
    ],
)
@pytest.mark.parametrize("repo_type", TYPES)
def test_the_url_is_verbatim(url: str, repo_type: str | None) -> None:
    region = None if "public" in url else "us-east-2"
    assert data(url=url, repo_type=repo_type, region=region)["url"] == url


@pytest.mark.parametrize("field", ["secret_labels", "secret_annotations"])
@pytest.mark.parametrize("mark", TRACKING)
def test_the_tracking_mark_of_argo_cd_is_reserved(field: str, mark: str) -> None:
    of = resource("ArgoHelmRepoSecret", **{field: {mark: "app"}})
    assert (desired(of).labels, desired(of).annotations) == ({}, {})
    assert of.problem is not None
    assert mark in of.problem.message


@pytest.mark.parametrize("key", ["argocd.argoproj.io/sync-options", "argocd.argoproj.io/compare-options"])
def test_the_options_of_argo_cd_for_an_object_are_permitted(key: str) -> None:
    of = resource("ArgoHelmRepoSecret", secret_annotations={key: "Prune=false"})
    assert (of.problem, desired(of).annotations) == (None, {key: "Prune=false"})


@pytest.mark.parametrize("mark", TRACKING)
def test_the_tracking_mark_on_the_resource_is_not_copied(mark: str) -> None:
    metadata = made(annotations={mark: "app:ecr.mobb.redhat.com/ArgoHelmRepoSecret:argocd/web"})["metadata"]
    assert mark not in {**metadata["labels"], **metadata["annotations"]}
