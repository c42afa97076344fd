"""Questions about rights and the server, malformed answers, and the table of rights against the manifests."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import yaml

from ecr_operator.kube.access_review import NEEDS, Right, is_allowed, served_kinds, server_version, username
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


async def right(client: KubeClient) -> object:
    return await is_allowed(client, RIGHT)


def allowed(value: object) -> Answer:
    return reply({"status": {"allowed": value}})


def kinds(*names: str) -> Answer:
    return reply({"resources": [{"kind": name} for name in names]})


Question = Callable[[KubeClient], Awaitable[object]]
BOTH = ["Secret", "ArgoHelmRepoSecret"]
# The question, the API server's answer, and what is made of it.
ANSWERS: dict[str, tuple[Question, Answer, object]] = {
    "a right that is denied": (right, allowed(value=False), False),
    "a right without an answer": (right, reply({"status": {}}), False),
    "a right without a status": (right, reply({"status": None}), False),
    "a right with text for a status": (right, reply({"status": "text"}), False),
    "a right with text for true": (right, allowed("true"), False),
    "both kinds": (served_kinds, kinds(*BOTH), BOTH),
    "one kind": (served_kinds, kinds("Secret", "Secret"), ["Secret"]),
    "malformed kinds": (served_kinds, reply({"resources": [5, {}]}), []),
    "no list of kinds": (served_kinds, reply({}), []),
    "no CRDs": (served_kinds, refuse(404, "NotFound"), []),
    "a user": (username, reply({"status": {"userInfo": {"username": "me"}}}), "me"),
    "a malformed user": (username, reply({"status": {"userInfo": "x"}}), ""),
    "a server too old to name the user": (username, refuse(404, "NotFound"), ""),
    "no right to ask for the user": (username, refuse(403, "Forbidden"), ""),
    "a version": (server_version, reply({"gitVersion": "v1.36.3"}), "v1.36.3"),
    "no version": (server_version, reply({}), "of an unknown version"),
    "a version that is a number": (server_version, reply({"gitVersion": 1}), "of an unknown version"),
}


@pytest.mark.parametrize(("ask", "answer", "expected"), ANSWERS.values(), ids=ANSWERS)
async def test_each_answer_is_read_and_a_malformed_one_survived(
    server: ScriptedServer, client: KubeClient, ask: Question, answer: Answer, expected: object
) -> None:
    server.others = [answer]
    assert await ask(client) == expected


async def test_failures_are_raised(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [refuse(503, "ServiceUnavailable"), refuse(401, "Unauthorized")]
    with pytest.raises(ApiError):
        await served_kinds(client)
    with pytest.raises(ApiError):
        await username(client)


LEASE = "bc9c1120.mobb.redhat.com"
# The resource, the namespaces, and verb, namespace and name of each right.
RIGHTS = {
    "in each served namespace": ("events", ("a", "b"), [("create", "a", ""), ("create", "b", "")]),
    "in all namespaces": ("secrets/status", ("",), [("patch", "", "")]),
    "a Lease by its name, but for create": (
        "leases",
        ("a", "b"),
        [("get", "own", LEASE), ("create", "own", ""), ("update", "own", LEASE)],
    ),
    "a namespace by its own name": ("namespaces", ("a",), [("get", "a", "a")]),
    "in the cluster with all namespaces": ("clustersecrets/status", ("",), [("patch", "", "")]),
    "in the cluster for nothing else": ("clustersecrets/status", ("a", "b"), []),
}


@pytest.mark.parametrize(("resource", "namespaces", "expected"), RIGHTS.values(), ids=RIGHTS)
def test_right_is_needed_in_each_place(
    resource: str, namespaces: tuple[str, ...], expected: list[tuple[str, str, str]]
) -> None:
    need = next(each for each in NEEDS if each.resource == resource)
    rights = need.rights(namespaces, "own")
    assert [(each.verb, each.namespace, each.name) for each in rights] == expected


def test_right_to_a_subresource_in_all_namespaces_names_only_these() -> None:
    group = "ecr.mobb.redhat.com"
    found = Right(group=group, resource="secrets/status", verb="patch", namespace="").attributes()
    assert found == {"group": group, "resource": "secrets", "subresource": "status", "verb": "patch"}


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
