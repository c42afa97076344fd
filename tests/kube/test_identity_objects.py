"""What is read of a tenant's objects; tests/cluster/identities has what only a real API server can refuse."""

import base64

import pytest

from ecr_operator.api.errors import PermanentError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.identity_objects import KubeIdentityObjects
from tests.kube.server import Answer, ScriptedServer, refuse, reply, text

GONE = refuse(404, "NotFound")


@pytest.fixture
def tenants(client: KubeClient) -> KubeIdentityObjects:
    return KubeIdentityObjects(client)


async def test_keys_are_read_and_of_others_only_the_name(
    server: ScriptedServer, tenants: KubeIdentityObjects
) -> None:
    data = {
        "aws_access_key_id": "one",
        "AWS_ACCESS_KEY_ID": "two",
        "Aws_Session_Token": "three",
        "secretAccessKey": "never",
        "credentials": "never",
        "password": "never",
    }
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    server.others = [reply({"metadata": {"uid": "u", "name": "keys"}, "data": encoded})]
    read = {name: "" if value == "never" else value for name, value in data.items() if name != "password"}
    assert (await tenants.iam_keys("team", "keys")).data == read


async def test_refused_credentials_are_no_missing_component(
    server: ScriptedServer, tenants: KubeIdentityObjects
) -> None:
    server.others = [refuse(401, "Unauthorized")] * 2
    for request in (tenants.service_account("team", "ci"), tenants.service_account_token("team", "ci")):
        with pytest.raises(TransientError, match="credentials"):
            await request


async def test_object_that_is_missing_is_reported(
    server: ScriptedServer, tenants: KubeIdentityObjects
) -> None:
    server.others = [GONE] * 3
    for request in (
        tenants.iam_keys("team", "x"),
        tenants.service_account("team", "x"),
        tenants.service_account_token("team", "x"),
    ):
        with pytest.raises(PermanentError, match=r"team/x does not exist\. Create it") as caught:
            await request
        assert caught.value.reason is Reason.CREDENTIALS_MISSING


async def test_answer_without_token_is_transient(
    server: ScriptedServer, tenants: KubeIdentityObjects
) -> None:
    server.others = [reply({"status": {"token": 7}})]
    with pytest.raises(TransientError, match="no token"):
        await tenants.service_account_token("team", "ci")


NAMESPACES = {
    "there": (reply({"metadata": {"uid": "u", "name": "team"}}), False),
    "absent": (GONE, True),
    "forbidden": (refuse(403, "Forbidden", 'namespaces "team" is forbidden: User "x" cannot get'), False),
    "unauthorized": (refuse(401, "Unauthorized"), False),
    "an error": (refuse(400, "BadRequest"), False),
    "a page": (text("<html>", 403), False),
}


@pytest.mark.parametrize(("answer", "missing"), NAMESPACES.values(), ids=NAMESPACES)
async def test_namespace_is_missing_only_where_the_api_server_says_so(
    server: ScriptedServer, tenants: KubeIdentityObjects, answer: Answer, *, missing: bool
) -> None:
    server.others = [answer, GONE]
    found = await tenants.missing_namespaces(["team", "gone"])
    assert found == (["team", "gone"] if missing else ["gone"])
    assert [asked.path for asked in server.asked] == ["/api/v1/namespaces/team", "/api/v1/namespaces/gone"]
