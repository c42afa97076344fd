"""From a manifest in a file to the Secret that would be written."""

from typing import Any

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.cli.errors import CommandError
from ecr_operator.cli.renderings import decoded, placeholders, refusal, resource_of, unknown_fields
from ecr_operator.core.secret import generated_secret
from tests.cli.builders import NOW

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


def document(metadata: Any = None, **spec: Any) -> dict[str, Any]:
    return {
        "kind": "Secret",
        "metadata": {"name": "pull"} if metadata is None else metadata,
        "spec": {"generated_secret_name": "login", "ecr_registry": HOST, **spec},
    }


def test_the_secret_has_a_placeholder_for_each_token() -> None:
    other = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    resource = resource_of(document(additional_registries=[other]), "here")
    assert resource.desired is not None
    manifest = generated_secret(resource.desired, placeholders(resource.desired, NOW))
    (line,) = decoded(manifest)
    assert line.count('"password":"TOKEN-NOT-SHOWN"') == 2
    assert HOST in line
    assert other in line


@pytest.mark.parametrize(
    ("metadata", "namespace"),
    [
        pytest.param({"name": "pull"}, "here", id="the one given for those without"),
        pytest.param({"name": "pull", "namespace": "there"}, "there", id="its own"),
        pytest.param({"name": "pull", "namespace": ""}, "here", id="an empty one is none"),
    ],
)
def test_the_namespace(metadata: dict[str, str], namespace: str) -> None:
    assert resource_of(document(metadata), "here").key.namespace == namespace


def test_a_resource_from_the_cluster_keeps_its_uid_and_request() -> None:
    request = {"ecr.mobb.redhat.com/refresh-requested-at": "now"}
    resource = resource_of(document({"name": "pull", "uid": "u", "annotations": request}), "here")
    assert (resource.uid, resource.refresh_requested) == ("u", "now")


@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": ["x"]},
        {"annotations": {"ecr.mobb.redhat.com/refresh-requested-at": 5}},
        {"uid": 5, "generation": "x", "creationTimestamp": 7},
    ],
    ids=["annotations of another type", "a request of another type", "the server's fields of other types"],
)
def test_what_the_server_would_not_take_in_metadata_does_no_harm(metadata: dict[str, Any]) -> None:
    resource = resource_of(document({"name": "pull", **metadata}), "here")
    assert resource.problem is None
    assert resource.refresh_requested is None


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        pytest.param("text", "no metadata.name", id="metadata that is text"),
        pytest.param({}, "no metadata.name", id="no name"),
        pytest.param({"name": 5}, "no metadata.name", id="a number for a name"),
        pytest.param({"name": "A_b"}, "no metadata.name", id="no DNS name"),
        pytest.param({"name": "x", "namespace": "A"}, "no name of a namespace", id="no namespace's name"),
        pytest.param({"name": "x", "namespace": ["a"]}, "no name of a namespace", id="a list for one"),
    ],
)
def test_names_that_kubernetes_would_not_take_are_refused(metadata: Any, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        resource_of(document(metadata), "here")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param(
            {"frequenzy": "1h"}, ["spec.frequenzy is no field, did you mean frequency?"], id="a slip"
        ),
        pytest.param({"zzzz": 1}, ["spec.zzzz is no field."], id="nothing like it"),
        pytest.param({"frequency": "1h"}, [], id="a field"),
        pytest.param({5: 1}, ["spec.5 is no field."], id="a number"),
    ],
)
def test_fields_that_the_server_would_drop_are_named(spec: dict[Any, Any], said: list[str]) -> None:
    found = document()
    found["spec"].update(spec)
    assert unknown_fields(found) == said


ARGO = {"kind": "ArgoHelmRepoSecret", "metadata": {"name": "charts"}}


def chart(**spec: Any) -> Resource:
    return resource_of({**ARGO, "spec": {"generated_secret_name": "login", "url": HOST, **spec}}, "here")


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        pytest.param(chart(), "", id="nothing wrong"),
        pytest.param(chart(frequency="x"), "", id="a slip with a default"),
        pytest.param(chart(project="a b"), "No Secret is created until", id="a slip without a default"),
        pytest.param(chart(project="a b", suspend=True), "", id="a suspended one is shown all the same"),
        pytest.param(
            chart(url="h", region="us-east-1", credential_scope="repo-creds"),
            "a full host name",
            id="a prefix",
        ),
        pytest.param(chart(url=""), "", id="no login"),
    ],
)
def test_why_there_would_be_no_secret(resource: Resource, words: str) -> None:
    assert words in refusal(resource)
    assert bool(refusal(resource)) == bool(words)


def test_a_spec_that_is_no_object_is_a_problem_of_its_own() -> None:
    found = {**document(), "spec": "text"}
    assert unknown_fields(found) == []
    assert resource_of(found, "here").problem is not None
