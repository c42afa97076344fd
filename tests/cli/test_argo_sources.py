"""`pull`: which login Argo CD uses for a source of an Application."""

import base64
import re
from typing import Any

import pytest

from ecr_operator.cli import argo_sources
from ecr_operator.cli.argo_sources import (
    Repository,
    Source,
    artifact_of,
    find,
    read_repository,
    sources_of,
)
from tests.cli.builders import HOST


def source(url: str = f"{HOST}/charts", chart: str = "app", revision: str = "1.2.3") -> Source:
    return Source(url=url, chart=chart, revision=revision)


def repository(
    name: str,
    url: str = f"{HOST}/charts",
    *,
    project: str = "",
    scope: str = "repository",
    login: bool = True,
) -> Repository:
    data = {"url": url, "project": project, **({"username": "AWS", "password": "x"} if login else {})}
    secret: dict[str, Any] = {
        "metadata": {"labels": {argo_sources.SECRET_TYPE: scope}},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }
    return read_repository(name, secret)


ARTIFACTS = {
    "a chart": (source(), f"{HOST}/charts/app", "1.2.3"),
    "a chart under a path": (source(HOST, "charts/app"), f"{HOST}/charts/app", "1.2.3"),
    "a slash at the end": (source(f"{HOST}/charts/"), f"{HOST}/charts/app", "1.2.3"),
    "a version with a build": (source(revision="1.2.3+a.b"), f"{HOST}/charts/app", "1.2.3_a.b"),
    "a short version": (source(revision="v1"), f"{HOST}/charts/app", "v1"),
    "a constraint": (source(revision="1.*"), f"{HOST}/charts/app", ""),
    "a range": (source(revision=">=1.0.0 <2"), f"{HOST}/charts/app", ""),
    "no revision": (source(revision=""), f"{HOST}/charts/app", ""),
    "a word for a chart's version": (source(revision="latest"), f"{HOST}/charts/app", ""),
    "an OCI artifact": (source(f"oci://{HOST}/app", "", "latest"), f"{HOST}/app", "latest"),
    "a digest": (source(f"OCI://{HOST}/app", "", f"sha256:{'a' * 64}"), f"{HOST}/app", f"sha256:{'a' * 64}"),
    "an OCI artifact by constraint": (source(f"oci://{HOST}/app", "", "~1"), f"{HOST}/app", ""),
}


@pytest.mark.parametrize(("given", "repository", "reference"), ARTIFACTS.values(), ids=ARTIFACTS)
def test_a_source_names_an_artifact(given: Source, repository: str, reference: str) -> None:
    image = artifact_of(given)
    assert image is not None
    assert (image.repository, image.reference) == (repository, reference)


NO_ARTIFACTS = {
    "Git": (source("https://git.example.com/x", "", "main"), "optional", "not in an OCI registry"),
    "SSH": (source("git@git.example.com:x", "", "main"), "optional", "not in an OCI registry"),
    "a classic Helm repository": (source("https://charts.example.com"), "optional", "a classic Helm"),
    "oci:// and a chart": (source(f"oci://{HOST}/charts"), "bad", "a repoURL with oci://"),
    "capital letters": (source(f"{HOST}/Charts"), "bad", "not a valid name"),
    "nothing": (source("", "", ""), "optional", "not in an OCI registry"),
}


@pytest.mark.parametrize(("given", "verdict", "words"), NO_ARTIFACTS.values(), ids=NO_ARTIFACTS)
def test_a_source_without_an_artifact_is_a_mistake_or_not_checked(
    given: Source, verdict: str, words: str
) -> None:
    assert artifact_of(given) is None
    result = argo_sources.not_in_a_registry(given)
    assert result.verdict == verdict
    assert words in result.text


PREFIX = repository("prefix", HOST, scope="repo-creds")
FOUND = {
    "the same URL": ([PREFIX, repository("same")], source(), "same"),
    "in other letters": ([repository("same", f" {HOST.upper()}/Charts")], source(), "same"),
    "with .git": ([repository("same", f"{HOST}/charts.git")], source(), "same"),
    "with a slash at the end": ([repository("slash", f"{HOST}/charts/")], source(), None),
    "with oci://": ([repository("oci", f"oci://{HOST}/charts")], source(), None),
    "the project's own first": (
        [repository("all"), repository("own", project="team")],
        source(),
        "own",
    ),
    "of another project": ([repository("other", project="another")], source(), None),
    "by a prefix": ([PREFIX], source(), "prefix"),
    "by the longest prefix": (
        [PREFIX, repository("longer", f"{HOST}/ch", scope="repo-creds")],
        source(),
        "longer",
    ),
    "without a login, by a prefix": ([repository("bare", login=False), PREFIX], source(), "prefix"),
    "without a login and a prefix": ([repository("bare", login=False)], source(), "bare"),
    "a port, which Go can't parse in a prefix": (
        [repository("port", f"{HOST}:443", scope="repo-creds")],
        source(f"{HOST}:443/charts"),
        None,
    ),
    "a port in the same URL": ([repository("port", f"{HOST}:443")], source(f"{HOST}:443"), "port"),
    "an empty URL": ([repository("empty", "", scope="repo-creds"), repository("e", "")], source(), None),
}


@pytest.mark.parametrize(("repositories", "given", "secret"), FOUND.values(), ids=FOUND)
def test_a_source_finds_the_secret_that_argo_cd_uses(
    repositories: list[Repository], given: Source, secret: str | None
) -> None:
    used = find(repositories, given, "team").repository
    assert (used.secret if used else None) == secret


@pytest.mark.parametrize(
    "url", [f"{HOST}.evil.example.com/charts", f"{HOST}:8443/charts", f"oci://{HOST}-x.example.com/app"]
)
def test_a_login_is_never_for_another_host_or_port_that_its_prefix_fits(url: str) -> None:
    prefixes = [repository("prefix", prefix, scope="repo-creds") for prefix in (HOST, f"oci://{HOST}")]
    # Go takes what begins with a letter and has a port for a scheme, so it is compared too.
    found = find(
        [*prefixes, repository("p", "registry.example.com", scope="repo-creds")], source(url), "team"
    )
    assert found.repository is None or found.elsewhere
    letters = find(
        [repository("p", "registry.example.com", scope="repo-creds")], source("registry.example.com:1/x"), ""
    )
    assert letters.elsewhere


def test_why_there_is_no_login_names_the_nearest_secret() -> None:
    for repositories, words in (
        ([repository("theirs", project="another")], "Secret theirs, url .* is for project another only;"),
        ([repository("bare", login=False)], "Secret bare, url .* holds no login;add one to it"),
        ([repository("near", f"oci://{HOST}/charts")], f"there is Secret near, url oci://{HOST}/charts;"),
        ([], "no repository Secret has this URL;create an ArgoHelmRepoSecret"),
    ):
        found = find(repositories, source(), "team")
        result = argo_sources.no_login_result(repositories, found, source(), "team")
        assert re.search(words, f"{result.text};{result.advice}")


def test_sources_take_precedence_and_whatever_a_tenant_wrote_is_read() -> None:
    one = {"repoURL": "a", "chart": "b", "targetRevision": "c"}
    assert sources_of({"spec": {"source": one}}) == [Source(url="a", chart="b", revision="c")]
    assert [each.url for each in sources_of({"spec": {"source": one, "sources": [{"repoURL": "d"}]}})] == [
        "d"
    ]
    odd: list[Any] = [None, [], {"source": 1}, {"sources": [1]}]
    for spec in [*odd, {"source": {"repoURL": 1, "chart": "x" * 5000}}]:
        assert sources_of({"spec": spec}) == [Source(url="", chart="", revision="")]
    assert len(sources_of({"spec": {"sources": [one] * 1000}})) < 100
