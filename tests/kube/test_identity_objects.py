"""What is read of a tenant's objects; tests/cluster/identities has what only a real API server can refuse."""

import base64

import pytest

from ecr_operator.api.errors import PermanentError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.identity_objects import KubeIdentityObjects as Objects
from tests.kube.server import Answer, ScriptedServer, refuse, reply

GONE = refuse(404, "NotFound")


@pytest.fixture
def objects(client: KubeClient) -> Objects:
    return Objects(client)


async def test_keys_are_read_and_of_others_only_the_name(server: ScriptedServer, objects: Objects) -> None:
    data = {"aws_access_key_id": "one", "AWS_ACCESS_KEY_ID": "two", "Aws_Session_Token": "three"}
    data |= dict.fromkeys(("secretAccessKey", "credentials", "password"), "never")
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    server.others = [reply({"metadata": {"uid": "u", "name": "keys"}, "data": encoded})]
    read = {name: "" if value == "never" else value for name, value in data.items() if name != "password"}
    assert (await objects.iam_keys("team", "keys")).data == read


async def test_missing_right_names_the_component(server: ScriptedServer, objects: Objects) -> None:
    server.others = [refuse(403, "Forbidden", 'serviceaccounts "ci" is forbidden: User "x" cannot get')] * 2
    for read in (objects.service_account, objects.service_account_token):
        with pytest.raises(PermanentError, match="component config/rbac/service-account,"):
            await read("team", "ci")


async def test_object_that_is_missing_is_reported(server: ScriptedServer, objects: Objects) -> None:
    server.others = [GONE] * 3
    for read in (objects.iam_keys, objects.service_account, objects.service_account_token):
        with pytest.raises(PermanentError, match=r"team/x does not exist\. Create it") as caught:
            await read("team", "x")
        assert caught.value.reason is Reason.CREDENTIALS_MISSING


async def test_answer_without_token_is_transient(server: ScriptedServer, objects: Objects) -> None:
    server.others = [reply({"status": {"token": 7}})]
    with pytest.raises(TransientError, match="no token"):
        await objects.service_account_token("team", "ci")


NAMESPACES = {
    "there": (reply({"metadata": {"uid": "u", "name": "team"}}), False),
    "absent": (GONE, True),
    "forbidden": (refuse(403, "Forbidden", 'namespaces "team" is forbidden: User "x" cannot get'), False),
}


@pytest.mark.parametrize(("answer", "missing"), NAMESPACES.values(), ids=NAMESPACES)
async def test_namespace_is_missing_only_where_the_api_server_says_so(
    server: ScriptedServer, objects: Objects, answer: Answer, *, missing: bool
) -> None:
    server.others = [answer, GONE]
    found = await objects.missing_namespaces(["team", "gone"])
    assert found == (["team", "gone"] if missing else ["gone"])
    assert [asked.path for asked in server.asked] == ["/api/v1/namespaces/team", "/api/v1/namespaces/gone"]
