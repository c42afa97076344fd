"""KubeTenants against the real API server: what it reads, what it may not, and where names can't lead."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from ecr_operator.api.errors import OperatorError, PermanentError
from ecr_operator.api.identity import PERMITTED_ROLES
from ecr_operator.api.outcome import Reason
from ecr_operator.kube import connection
from ecr_operator.kube.tenants import KubeTenants
from ecr_operator.settings import Settings
from lab.api import NAMESPACES, SECRETS, SERVICE_ACCOUNTS, Api
from lab.aws_trust import read_claims
from lab.control_plane import ControlPlane
from lab.waiting import wait_for

ROLE = "arn:aws:iam::123456789012:role/puller"
KEYS = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "secret\n"}


async def reader(kubeconfig: object) -> AsyncIterator[KubeTenants]:
    """Make a reader over a kubeconfig."""
    settings = Settings(kubeconfig=(str(kubeconfig),), in_cluster=False, namespaces=("",), pod_name="x")
    async with await connection.connect(settings) as client:
        yield KubeTenants(client)


@pytest.fixture
async def tenants(control_plane: ControlPlane) -> AsyncIterator[KubeTenants]:
    """A reader with all rights."""
    async for each in reader(control_plane.kubeconfig):
        yield each


@pytest.fixture
async def stranger(control_plane: ControlPlane) -> AsyncIterator[KubeTenants]:
    """A reader without any right."""
    async for each in reader(control_plane.write_kubeconfig("stranger")):
        yield each


async def service_account(api: Api, namespace: str, name: str = "ci", **annotations: str) -> None:
    """Make a ServiceAccount."""
    metadata = {"name": name, "annotations": {f"eks.amazonaws.com/{key}": ROLE for key in annotations}}
    await api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}, namespace)


async def test_a_secret_is_read_decoded(api: Api, namespace: str, tenants: KubeTenants) -> None:
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": KEYS}
    await api.create(manifest, namespace)
    await api.merge_patch(SECRETS, "keys", {"data": {"binary": "//79"}}, namespace)
    found = await tenants.iam_keys(namespace, "keys")
    assert found.data == KEYS
    assert found.uid == (await api.get(SECRETS, "keys", namespace))["metadata"]["uid"]


async def test_a_service_accounts_role_is_its_annotation(
    api: Api, namespace: str, tenants: KubeTenants
) -> None:
    await service_account(api, namespace, **{"role-arn": ""})
    await service_account(api, namespace, "plain")
    found = await tenants.service_account(namespace, "ci")
    assert found.role == ROLE
    assert found.uid == (await api.get(SERVICE_ACCOUNTS, "ci", namespace))["metadata"]["uid"]
    assert (await tenants.service_account(namespace, "plain")).role is None


async def test_a_token_is_the_service_accounts_for_sts_and_an_hour(
    api: Api, namespace: str, tenants: KubeTenants
) -> None:
    await service_account(api, namespace)
    ownership = read_claims(await tenants.service_account_token(namespace, "ci"))
    assert ownership["sub"] == f"system:serviceaccount:{namespace}:ci"
    assert ownership["aud"] == ["sts.amazonaws.com"]
    assert 600 <= ownership["exp"] - ownership["iat"] <= 3660


async def test_a_namespaces_labels_and_permission_are_read_afresh(
    api: Api, namespace: str, tenants: KubeTenants
) -> None:
    assert (await tenants.namespace(namespace)).permitted_roles == ""
    patch = {"metadata": {"annotations": {PERMITTED_ROLES: ROLE}, "labels": {"team": "x"}}}
    await api.merge_patch(NAMESPACES, namespace, patch)
    facts = await tenants.namespace(namespace)
    assert facts.uid == (await api.get(NAMESPACES, namespace))["metadata"]["uid"]
    assert facts.permitted_roles == ROLE
    assert facts.labels["team"] == "x"


Question = Callable[[KubeTenants, str], Awaitable[object]]
QUESTIONS: dict[str, tuple[Question, str]] = {
    "a Secret": (lambda tenants, namespace: tenants.iam_keys(namespace, "gone"), "Secret"),
    "a ServiceAccount": (
        lambda tenants, namespace: tenants.service_account(namespace, "gone"),
        "ServiceAccount",
    ),
    "a token": (
        lambda tenants, namespace: tenants.service_account_token(namespace, "gone"),
        "ServiceAccount",
    ),
}


@pytest.mark.parametrize(("ask", "kind"), QUESTIONS.values(), ids=QUESTIONS)
async def test_what_does_not_exist_is_said_not_to(
    namespace: str, tenants: KubeTenants, ask: Question, kind: str
) -> None:
    with pytest.raises(PermanentError) as caught:
        await ask(tenants, namespace)
    assert caught.value.reason is Reason.CREDENTIALS_MISSING
    assert caught.value.message.startswith(f"{kind} {namespace}/gone does not exist")


@pytest.mark.parametrize(("ask", "kind"), QUESTIONS.values(), ids=QUESTIONS)
async def test_a_missing_right_names_what_to_apply(
    namespace: str, stranger: KubeTenants, ask: Question, kind: str
) -> None:
    with pytest.raises(OperatorError) as caught:
        await ask(stranger, namespace)
    assert caught.value.reason is Reason.KUBERNETES_FORBIDDEN
    mended = "config/rbac/service-account" if kind == "ServiceAccount" else "Add the missing rule to its role"
    assert mended in caught.value.message


async def test_a_service_account_that_is_deleted_gives_no_token(
    api: Api, namespace: str, tenants: KubeTenants
) -> None:
    await service_account(api, namespace)
    await tenants.service_account_token(namespace, "ci")
    await api.delete(SERVICE_ACCOUNTS, "ci", namespace)

    async def refused() -> bool:
        try:
            await tenants.service_account_token(namespace, "ci")
        except PermanentError:
            return True
        return False

    await wait_for(refused, 5, "the token refused")
