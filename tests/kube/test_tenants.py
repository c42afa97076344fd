"""What is read of a tenant's Secret and of namespaces, where a real API server has nothing to say to it."""

import base64

import pytest

from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.tenants import KubeTenants
from tests.kube.server import Answer, ScriptedServer, refuse, reply, text


def secret(**data: str) -> Answer:
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    return reply({"metadata": {"uid": "u", "name": "keys"}, "data": encoded})


async def test_aws_s_names_are_read_in_any_case_and_of_others_the_name_alone(
    server: ScriptedServer, client: KubeClient
) -> None:
    data = {
        "aws_access_key_id": "one",
        "AWS_ACCESS_KEY_ID": "two",
        "Aws_Session_Token": "three",
        "secretAccessKey": "never",
        "credentials": "never",
        "password": "never",
    }
    server.others = [secret(**data)]
    found = await KubeTenants(client).iam_keys("team", "keys")
    assert found.data == {
        "aws_access_key_id": "one",
        "AWS_ACCESS_KEY_ID": "two",
        "Aws_Session_Token": "three",
        "secretAccessKey": "",
        "credentials": "",
    }


ANSWERS = {
    "there": (reply({"metadata": {"uid": "u", "name": "team"}}), False),
    "absent": (refuse(404, "NotFound"), True),
    "forbidden": (refuse(403, "Forbidden", 'namespaces "team" is forbidden: User "x" cannot get'), False),
    "unauthorized": (refuse(401, "Unauthorized"), False),
    "an error": (refuse(400, "BadRequest"), False),
    "a page": (text("<html>", 403), False),
}


@pytest.mark.parametrize(("answer", "missing"), ANSWERS.values(), ids=ANSWERS)
async def test_a_namespace_is_missing_only_where_the_api_server_says_so(
    server: ScriptedServer, client: KubeClient, answer: Answer, *, missing: bool
) -> None:
    server.others = [answer, refuse(404, "NotFound")]
    found = await KubeTenants(client).missing_namespaces(["team", "gone"])
    assert found == (["team", "gone"] if missing else ["gone"])
    assert [asked.path for asked in server.asked] == ["/api/v1/namespaces/team", "/api/v1/namespaces/gone"]


async def test_without_names_nothing_is_asked(server: ScriptedServer, client: KubeClient) -> None:
    assert await KubeTenants(client).missing_namespaces([]) == []
    assert server.asked == []
