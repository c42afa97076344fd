"""ServiceAccounts are changed only in the version that was read, and a missing right names its component."""

import pytest

from ecr_operator.api.errors import PermanentError, StaleObjectError
from ecr_operator.api.outcome import Reason
from ecr_operator.kube.client import JSON, MERGE_PATCH, METADATA_LIST, KubeClient
from ecr_operator.kube.service_accounts import KubeServiceAccounts
from ecr_operator.links.plan import SELECTOR, Change, merge_patch, view_account
from ecr_operator.links.state import ServiceAccounts
from tests.builders import service_account
from tests.kube.server import ScriptedServer, listing, refuse, reply

PATH = "/api/v1/namespaces/team/serviceaccounts/builder"
RAW = service_account(pull=["mine"])
CHANGE = Change(added={("login", "pull")}, removed=set(), annotation="{}", labelled=True)
DENIED = refuse(403, "Forbidden", 'serviceaccounts "builder" is forbidden: User "x" cannot get resource')


@pytest.fixture
def accounts(client: KubeClient) -> ServiceAccounts:
    return KubeServiceAccounts(client)


async def patch(accounts: ServiceAccounts) -> object:
    account = view_account(RAW)
    return await accounts.patch(account, merge_patch(account, CHANGE))


async def test_service_account_is_read_whole(server: ScriptedServer, accounts: ServiceAccounts) -> None:
    server.others = [reply(RAW), refuse(404, "NotFound")]
    assert await accounts.read("team", "builder") == view_account(RAW)
    assert await accounts.read("team", "builder") is None
    (asked, _) = server.asked
    assert (asked.method, asked.path, asked.headers["Accept"]) == ("GET", PATH, JSON)


async def test_patch_names_the_version_and_keeps_other_entries(
    server: ScriptedServer, accounts: ServiceAccounts
) -> None:
    changed = service_account(pull=["mine", "login"], version="8")
    server.others = [reply(changed)]
    assert await patch(accounts) == view_account(changed)
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.headers["Content-Type"]) == ("PATCH", PATH, MERGE_PATCH)
    assert asked.query == {"fieldManager": "ecr-secret-operator", "fieldValidation": "Ignore"}
    assert asked.body["metadata"]["resourceVersion"] == "7"
    assert asked.body["imagePullSecrets"] == [{"name": "mine"}, {"name": "login"}]
    assert "secrets" not in asked.body


async def test_patch_of_a_deleted_account_is_stale(server: ScriptedServer, accounts: ServiceAccounts) -> None:
    server.others = [refuse(404, "NotFound")]
    with pytest.raises(StaleObjectError, match="builder was deleted"):
        await patch(accounts)


async def test_missing_right_names_the_component(server: ScriptedServer, accounts: ServiceAccounts) -> None:
    server.others = [DENIED, DENIED]
    server.lists = [DENIED]
    for request in (accounts.read("team", "builder"), patch(accounts), accounts.any_linked("")):
        with pytest.raises(PermanentError, match="component config/rbac/link-service-accounts") as caught:
            await request
        assert caught.value.reason is Reason.KUBERNETES_FORBIDDEN


async def test_linked_accounts_are_found_cheaply(server: ScriptedServer, accounts: ServiceAccounts) -> None:
    server.lists = [listing("builder"), listing()]
    assert await accounts.any_linked("")
    assert not await accounts.any_linked("team")
    found = ["/api/v1/serviceaccounts", "/api/v1/namespaces/team/serviceaccounts"]
    assert [asked.path for asked in server.asked] == found
    asked = server.asked[0]
    assert asked.headers["Accept"] == METADATA_LIST
    assert asked.query == {"labelSelector": SELECTOR, "limit": "1"}
