"""The Secret for Argo CD, against Argo CD's documentation; docs/argocd.md says the same to users."""

import base64
import itertools
from typing import Any, Final

import pytest

from ecr_operator.core.manifest import generated_secret
from tests.builders import HOST, desired, resource, tokens

# https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#repositories and the examples
# argocd-repositories.yaml and argocd-repo-creds.yaml of the same manual, without what is for Git only.
DOCUMENTED: Final = {
    *("url", "name", "project", "type", "username", "password", "bearerToken", "enableOCI"),
    *("insecure", "insecureOCIForceHttp", "forceHttpBasicAuth", "tlsClientCertData", "tlsClientCertKey"),
    *("proxy", "noProxy"),
}
# Argo CD sets these on all that it deploys, and prunes objects that bear them.
TRACKING: Final = (
    "argocd.argoproj.io/tracking-id",
    "app.kubernetes.io/instance",
    "argocd.argoproj.io/instance",
)


def made(**spec: Any) -> dict[str, Any]:
    of = resource("ArgoHelmRepoSecret", **spec)
    return generated_secret(desired(of), tokens(of))


def data(**spec: Any) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in made(**spec)["data"].items()}


@pytest.mark.parametrize(
    ("scope", "repo_type", "project"),
    [
        each
        for each in itertools.product((None, "repository", "repo-creds"), (None, "helm", "oci"), (None, "a"))
        if each[0] != "repo-creds" or not each[2]
    ],
)
def test_label_and_keys_are_those_that_argo_cd_documents(
    scope: str | None, repo_type: str | None, project: str | None
) -> None:
    spec = {"credential_scope": scope, "repo_type": repo_type, "project": project}
    assert made(**spec)["metadata"]["labels"]["argocd.argoproj.io/secret-type"] == (scope or "repository")
    held = data(**spec)
    assert DOCUMENTED >= set(held) >= {"url", "type", "name", "username", "password"}
    assert (held["type"], held.get("enableOCI")) == (
        ("oci", None) if repo_type == "oci" else ("helm", "true")
    )
    assert held.get("project") == project


@pytest.mark.parametrize(
    "url",
    [
        *(HOST, f"{HOST}/charts", f"{HOST}/charts/", f"https://{HOST}", f"oci://{HOST}/charts/app"),
        *(f"OCI://{HOST.upper()}/Charts", "charts.example.com:8443/ecr"),
    ],
)
def test_the_url_is_verbatim(url: str) -> None:
    assert data(url=url, region="us-east-2")["url"] == url


@pytest.mark.parametrize("mark", TRACKING)
def test_a_tracking_mark_of_argo_cd_never_gets_on_the_secret(mark: str) -> None:
    for field in ("secret_labels", "secret_annotations"):
        of = resource("ArgoHelmRepoSecret", **{field: {mark: "app"}})
        assert (desired(of).labels, desired(of).annotations) == ({}, {})
        assert mark in str(of.problem)
    metadata = made(annotations={mark: "app:ecr.mobb.redhat.com/ArgoHelmRepoSecret:argocd/web"})["metadata"]
    assert mark not in {**metadata["labels"], **metadata["annotations"]}


@pytest.mark.parametrize("key", ["argocd.argoproj.io/sync-options", "argocd.argoproj.io/compare-options"])
def test_the_options_of_argo_cd_for_an_object_are_permitted(key: str) -> None:
    of = resource("ArgoHelmRepoSecret", secret_annotations={key: "Prune=false"})
    assert (of.problem, desired(of).annotations) == (None, {key: "Prune=false"})
