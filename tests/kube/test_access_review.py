"""Questions about the cluster, and answers that are none."""

from typing import Any

import pytest

from ecr_operator.kube import access_review
from ecr_operator.kube.access_review import Right
from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import KubeClient
from tests.kube.server import Answer, ScriptedServer, refuse, reply

RIGHT = Right(group="", resource="secrets", verb="get", namespace="a", name="b")


async def test_a_right_is_asked_for_by_an_access_review(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [reply({"status": {"allowed": True}})]
    assert await access_review.is_allowed(client, RIGHT)
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
    assert asked.body["spec"] == {
        "resourceAttributes": {"resource": "secrets", "verb": "get", "namespace": "a", "name": "b"}
    }


@pytest.mark.parametrize(
    "answer",
    [{"status": {"allowed": False}}, {"status": {}}, {}, {"status": "text"}, {"status": {"allowed": "true"}}],
    ids=["no", "nothing", "no status", "text", "a word"],
)
async def test_anything_but_a_yes_is_no_right(
    server: ScriptedServer, client: KubeClient, answer: Any
) -> None:
    server.others = [reply(answer)]
    assert not await access_review.is_allowed(client, RIGHT)


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        pytest.param(
            reply({"resources": [{"kind": "Secret"}, {"kind": "ArgoHelmRepoSecret"}, {"kind": "Secret"}]}),
            ["Secret", "ArgoHelmRepoSecret"],
            id="both",
        ),
        pytest.param(reply({"resources": [{"kind": "Secret"}]}), ["Secret"], id="one"),
        pytest.param(reply({"resources": [5, {}]}), [], id="garbage"),
        pytest.param(reply({}), [], id="no list"),
        pytest.param(refuse(404, "NotFound"), [], id="not there"),
    ],
)
async def test_the_kinds_that_are_served(
    server: ScriptedServer, client: KubeClient, answer: Answer, kinds: list[str]
) -> None:
    server.others = [answer]
    assert await access_review.served_kinds(client) == kinds


async def test_a_server_that_fails_is_no_server_without_the_kinds(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.others = [refuse(503, "ServiceUnavailable")]
    with pytest.raises(ApiError):
        await access_review.served_kinds(client)


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        pytest.param(reply({"status": {"userInfo": {"username": "me"}}}), "me", id="the name"),
        pytest.param(reply({"status": {"userInfo": "x"}}), "", id="garbage"),
        pytest.param(refuse(404, "NotFound"), "", id="a server too old for the question"),
        pytest.param(refuse(403, "Forbidden"), "", id="no right to ask"),
    ],
)
async def test_our_name(server: ScriptedServer, client: KubeClient, answer: Answer, name: str) -> None:
    server.others = [answer]
    assert await access_review.username(client) == name


async def test_a_login_that_is_not_known_has_no_name(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [refuse(401, "Unauthorized")]
    with pytest.raises(ApiError):
        await access_review.username(client)


@pytest.mark.parametrize(
    ("answer", "version"),
    [({"gitVersion": "v1.36.3"}, "v1.36.3"), ({}, "of an unknown version"), ({"gitVersion": 1}, "of an")],
    ids=["told", "not told", "garbage"],
)
async def test_the_servers_version(
    server: ScriptedServer, client: KubeClient, answer: dict[str, Any], version: str
) -> None:
    server.others = [reply(answer)]
    assert (await access_review.server_version(client)).startswith(version)
