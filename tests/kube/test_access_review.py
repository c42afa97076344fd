"""Questions about rights and the server, malformed answers, and the table of rights against the manifests."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ecr_operator.kube.access_review import (
    NEEDS,
    Need,
    Right,
    is_allowed,
    served_kinds,
    server_version,
    username,
)
from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import KubeClient
from tests.kube.server import Answer, ScriptedServer, refuse, reply

ROOT = Path(__file__).parents[2]
RIGHT = Right(group="", resource="secrets", verb="get", namespace="a", name="b")


async def test_right_is_asked_for_by_an_access_review(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [reply({"status": {"allowed": True}})]
    assert await is_allowed(client, RIGHT)
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
    attributes = {"resource": "secrets", "verb": "get", "namespace": "a", "name": "b"}
    assert asked.body["spec"] == {"resourceAttributes": attributes}


@pytest.mark.parametrize("status", [{"allowed": False}, {}, None, "text", {"allowed": "true"}])
async def test_anything_but_true_is_no_right(server: ScriptedServer, client: KubeClient, status: Any) -> None:
    server.others = [reply({"status": status})]
    assert not await is_allowed(client, RIGHT)


KIND_LISTS = {
    "both": (reply({"resources": [{"kind": "Secret"}, {"kind": "ArgoHelmRepoSecret"}]}), 2),
    "one": (reply({"resources": [{"kind": "Secret"}, {"kind": "Secret"}]}), 1),
    "malformed": (reply({"resources": [5, {}]}), 0),
    "no list": (reply({}), 0),
    "not there": (refuse(404, "NotFound"), 0),
}


@pytest.mark.parametrize(("answer", "number"), KIND_LISTS.values(), ids=KIND_LISTS)
async def test_served_kinds(server: ScriptedServer, client: KubeClient, answer: Answer, number: int) -> None:
    server.others = [answer]
    assert await served_kinds(client) == ["Secret", "ArgoHelmRepoSecret"][:number]


NAMES = {
    "the name": (reply({"status": {"userInfo": {"username": "me"}}}), "me"),
    "malformed": (reply({"status": {"userInfo": "x"}}), ""),
    "a server too old for the question": (refuse(404, "NotFound"), ""),
    "no right to ask": (refuse(403, "Forbidden"), ""),
}


@pytest.mark.parametrize(("answer", "name"), NAMES.values(), ids=NAMES)
async def test_username(server: ScriptedServer, client: KubeClient, answer: Answer, name: str) -> None:
    server.others = [answer]
    assert await username(client) == name


async def test_failures_are_raised(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [refuse(503, "ServiceUnavailable"), refuse(401, "Unauthorized")]
    with pytest.raises(ApiError):
        await served_kinds(client)
    with pytest.raises(ApiError):
        await username(client)


@pytest.mark.parametrize(
    ("answer", "version"),
    [({"gitVersion": "v1.36.3"}, "v1.36.3"), ({}, "of an unknown version"), ({"gitVersion": 1}, "of an")],
)
async def test_server_version(
    server: ScriptedServer, client: KubeClient, answer: dict[str, Any], version: str
) -> None:
    server.others = [reply(answer)]
    assert (await server_version(client)).startswith(version)


def need(resource: str) -> Need:
    return next(each for each in NEEDS if each.resource == resource)


def test_right_is_needed_in_each_served_namespace() -> None:
    rights = need("events").rights(("a", "b"), "own")
    assert [(each.verb, each.namespace) for each in rights] == [("create", "a"), ("create", "b")]


def test_right_in_all_namespaces_names_none() -> None:
    (right,) = need("secrets/status").rights(("",), "own")
    assert right.attributes() == {
        "group": "ecr.mobb.redhat.com",
        "resource": "secrets",
        "subresource": "status",
        "verb": "patch",
    }


def test_lease_is_needed_in_the_operators_namespace_and_by_name_but_for_create() -> None:
    rights = need("leases").rights(("a", "b"), "own")
    assert [(each.verb, each.namespace, each.name) for each in rights] == [
        ("get", "own", "bc9c1120.mobb.redhat.com"),
        ("create", "own", ""),
        ("update", "own", "bc9c1120.mobb.redhat.com"),
    ]


def test_namespace_is_needed_by_its_own_name() -> None:
    (right,) = need("namespaces").rights(("a",), "own")
    assert right.attributes() == {"resource": "namespaces", "verb": "get", "namespace": "a", "name": "a"}


def test_needs_hold_no_dangerous_verb() -> None:
    verbs = {verb for each in NEEDS for verb in each.verbs}
    assert verbs <= {"get", "list", "watch", "create", "patch", "update", "delete"}
    assert [each.resource for each in NEEDS if "update" in each.verbs] == ["leases"]


GRANTS = sorted({each.granted_by for each in NEEDS if (ROOT / each.granted_by).exists()})


@pytest.mark.parametrize("manifest", GRANTS)
def test_manifest_grants_what_is_needed_of_it_and_no_more(manifest: str) -> None:
    path = ROOT / manifest
    role = yaml.safe_load((path / "rules" / "role.yaml" if path.is_dir() else path).read_text())
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    needs = [each for each in NEEDS if each.granted_by == manifest]
    assert granted == {(each.group, each.resource, verb) for each in needs for verb in each.verbs}
