"""KubeTenants against the real API server: the token it asks for, what is absent and what is forbidden."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from ecr_operator.api.errors import OperatorError, PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.kube import connection
from ecr_operator.kube.identity_objects import KubeIdentityObjects
from ecr_operator.settings import Settings
from lab.api import Api
from lab.aws import read_claims
from lab.control_plane import ControlPlane
from tests.cluster.identities.tenancy import service_account

Question = Callable[[KubeIdentityObjects, str], Awaitable[object]]
COMPONENT: Final = "config/rbac/service-account"
ROLE: Final = "Add the missing rule to its role"
# Each with the kind of the object, and what the message names where the right is missing.
QUESTIONS: Final[list[tuple[Question, str, str]]] = [
    (lambda tenants, namespace: tenants.iam_keys(namespace, "gone"), "Secret", ROLE),
    (lambda tenants, namespace: tenants.service_account(namespace, "gone"), "ServiceAccount", COMPONENT),
    (
        lambda tenants, namespace: tenants.service_account_token(namespace, "gone"),
        "ServiceAccount",
        COMPONENT,
    ),
]


@asynccontextmanager
async def reader(kubeconfig: Path) -> AsyncIterator[KubeIdentityObjects]:
    """Make a reader over a kubeconfig."""
    settings = Settings(kubeconfig=(str(kubeconfig),), in_cluster=False, namespaces=("",), pod_name="x")
    async with await connection.connect(settings) as client:
        yield KubeIdentityObjects(client)


async def test_a_token_is_the_service_accounts_for_sts_and_an_hour(
    control_plane: ControlPlane, api: Api, namespace: str
) -> None:
    await api.create(service_account(), namespace)
    async with reader(control_plane.kubeconfig) as tenants:
        claims = read_claims(await tenants.service_account_token(namespace, "ci"))
    assert claims["sub"] == f"system:serviceaccount:{namespace}:ci"
    assert claims["aud"] == ["sts.amazonaws.com"]
    assert 600 <= claims["exp"] - claims["iat"] <= 3660


async def test_what_is_absent_and_what_is_forbidden_is_reported_as_such(
    control_plane: ControlPlane, namespace: str
) -> None:
    async with reader(control_plane.kubeconfig) as tenants:
        for ask, kind, _ in QUESTIONS:
            with pytest.raises(PermanentError) as absent:
                await ask(tenants, namespace)
            assert absent.value.reason is Reason.CREDENTIALS_MISSING
            assert absent.value.message.startswith(f"{kind} {namespace}/gone does not exist")
    async with reader(control_plane.write_kubeconfig("stranger")) as tenants:
        for ask, _, missing in (*QUESTIONS, (KubeIdentityObjects.namespace, "Namespace", "")):
            with pytest.raises(OperatorError) as forbidden:
                await ask(tenants, namespace)
            assert forbidden.value.reason is Reason.KUBERNETES_FORBIDDEN
            assert missing in forbidden.value.message
