"""`pull`: what is read of a pod, and that whatever somebody wrote is read without a crash."""

# ruff: noqa: S106 - names of Secrets, and a made-up password

import base64
import json
from pathlib import Path
from typing import Any

from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_operator.cli import argo_sources
from ecr_operator.cli.argo_sources import Found, Repository, Source
from ecr_operator.cli.keyring import Login, lookup, parse_image, read_pull_secret
from ecr_operator.cli.pull import failures_of, images_of, names_of
from lab.api import Json
from tests.cli import running
from tests.cli.builders import HOST
from tests.kube.server import ScriptedServer, reply

NAMES = ["auths", "auth", "username", "url", "spec", "sources", "repoURL", "chart", "image", "name", "state"]
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=20,
)


def test_the_images_of_a_pod_are_those_of_its_containers_and_volumes_each_once() -> None:
    spec = {
        "containers": [{"image": "b"}, {"image": "a"}, {}],
        "initContainers": [{"image": "a"}],
        "ephemeralContainers": [{"image": "c"}],
        "volumes": [{"image": {"reference": "d"}}, {"emptyDir": {}}],
    }
    assert images_of(spec) == ["a", "b", "c", "d"]


def test_only_failures_to_pull_are_reported_by_image_and_without_secrets() -> None:
    def state(name: str, reason: str, message: str = "") -> dict[str, Any]:
        return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}

    pod = {
        "spec": {
            "initContainers": [{"name": "i", "image": "one"}],
            "containers": [{"name": "a", "image": "two"}, {"name": "b", "image": "three"}],
        },
        "status": {
            "initContainerStatuses": [state("i", "ImagePullBackOff")],
            "containerStatuses": [
                state("a", "ErrImagePull", f"no\n{'x' * 100}"),
                state("b", "CrashLoopBackOff", "x"),
            ],
        },
    }
    assert failures_of(pod) == {"one": "ImagePullBackOff", "two": "ErrImagePull: no …"}


def test_pull_secrets_without_a_name_are_skipped() -> None:
    holder = {"imagePullSecrets": [{"name": "a"}, {"name": ""}, {}, {"name": 1}, {"name": "b"}]}
    assert list(names_of(holder)) == ["a", "b"]


def repository(name: str, url: str, **more: str) -> Json:
    """A repository Secret of Argo CD, with a login."""
    data = {"url": url, "username": "AWS", "password": "x", **more}
    return {
        "metadata": {"namespace": "argocd", "name": name, "uid": "s", "resourceVersion": "1"},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


async def test_each_source_of_an_application_is_reported(tmp_path: Path) -> None:
    git = {"repoURL": "https://git.example.com/x"}
    mistake = {"repoURL": f"oci://{HOST}/charts", "chart": "app"}
    unknown = {"repoURL": "registry.example.com/charts", "chart": "app"}
    known = {"repoURL": f"{HOST}/charts", "chart": "app", "targetRevision": "1.2.3"}
    sources = [git, mistake, unknown, known]
    answers = {
        "argohelmreposecrets": {"items": []},
        "secrets": {"items": [repository("charts", f"{HOST}/charts")]},
        "shop": {"spec": {"sources": sources}},
    }

    async def answer(request: web.Request) -> web.StreamResponse:
        return await reply(answers[request.path.rpartition("/")[2]])(request)

    async with ScriptedServer() as server:
        server.others = [answer] * 3
        ended = await running.run(
            *("pull", "application/shop", "-n", "argocd", "-o", "json"),
            kubeconfig=running.write_kubeconfig(tmp_path, server.url),
            HTTPS_PROXY="http://127.0.0.1:1",
        )
        selector = {"labelSelector": "argocd.argoproj.io/secret-type in (repository,repo-creds)"}
        assert server.asked[-1].query == selector
    reports = json.loads(ended.out)
    assert (ended.code, [each["checked"] for each in reports]) == (1, [False, True, True, True])
    assert [each["attempts"][0]["secret"] for each in reports if each["attempts"]] == [None, "charts"]
    topics = [[each["topic"] for each in report["results"]] for report in reports]
    assert topics == [["source"], ["source"], ["login", "registry"], ["login", "registry"]]


@settings(max_examples=50)
@given(JSON, st.sampled_from(["kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"]))
def test_any_secret_can_be_read(value: Any, kind: str) -> None:
    data = base64.b64encode(json.dumps(value).encode()).decode()
    secret = {"type": kind, "data": {".dockerconfigjson": data, ".dockercfg": data}}
    read = read_pull_secret("pull", secret)
    assert not (read.stops and read.logins)
    lookup([read], parse_image("docker.io/team/app"))
    for odd in ({"type": value, "data": value}, {"type": kind, "data": {".dockerconfigjson": value}}):
        read_pull_secret("pull", odd)
    argo_sources.read_repository("charts", {"data": value, "metadata": value})


@settings(max_examples=50)
@given(JSON)
def test_any_object_can_be_read(value: Any) -> None:
    argo_sources.sources_of({"spec": value})
    argo_sources.sources_of({"spec": {"sources": value, "source": value}})
    spec = {"containers": value, "imagePullSecrets": value, "volumes": value}
    images_of(spec)
    list(names_of(spec))
    failures_of({"spec": spec, "status": {"containerStatuses": value}})
    failures_of({"spec": value, "status": value})


@settings(max_examples=200)
@given(st.text() | st.from_regex(r"[a-z0-9.:/@*_-]{0,60}"), st.text())
def test_any_url_gets_an_answer_in_printable_lines(url: str, chart: str) -> None:
    source = Source(url=url, chart=chart, revision=chart)
    login = Login(secret="charts", key=url, username="AWS", password="x")
    repositories = [
        Repository(secret="charts", url=text, is_prefix=is_prefix, project="", login=login)
        for text in (url, chart)
        for is_prefix in (False, True)
    ]
    found = argo_sources.find(repositories, source, "default")
    results = [argo_sources.no_login_result(repositories, Found(), source, "default")]
    if found.repository:
        results.append(argo_sources.elsewhere_result(found.repository, source))
    if argo_sources.artifact_of(source) is None:
        results.append(argo_sources.not_in_a_registry(source))
    assert all(f"{each.text}{each.advice}".isprintable() for each in results)
    assert login.shown_key.isprintable()
