"""Reading ServiceAccounts and changing their links.

Invariant: the API server refuses a change if anybody else has changed the ServiceAccount since it was read,
so the lists that it replaces lose no entry of others.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from ecr_operator.api.errors import OperatorError, PermanentError, StaleObjectError
from ecr_operator.api.outcome import Reason
from ecr_operator.core.secret import MANAGER
from ecr_operator.kube import paths
from ecr_operator.kube.client import MERGE_PATCH, METADATA_LIST, KubeClient
from ecr_operator.kube.errors import translate
from ecr_operator.kube.failures import ApiError
from ecr_operator.links.plan import SELECTOR, Account, view_account

_COMPONENT: Final = "Apply the component config/rbac/link-service-accounts, which grants it"


class KubeServiceAccounts:
    """ServiceAccounts on the API server; fulfils `control.ports.ServiceAccounts`."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def read(self, namespace: str, name: str) -> Account | None:
        """One ServiceAccount as it is now; None if there is none."""
        try:
            answer = await self._client.request("GET", paths.service_account(namespace, name))
        except ApiError as failure:
            if failure.code == HTTPStatus.NOT_FOUND:
                return None
            raise _refusal(failure, f"reading ServiceAccount {name}") from failure
        return view_account(answer)

    async def patch(self, account: Account, patch: Mapping[str, Any]) -> Account:
        """Change that very version of it; see the port."""
        doing = f"linking to ServiceAccount {account.name}"
        try:
            answer = await self._client.request(
                "PATCH",
                paths.service_account(account.namespace, account.name),
                query=(("fieldManager", MANAGER),),
                body=patch,
                content_type=MERGE_PATCH,
            )
        except ApiError as failure:
            if failure.code == HTTPStatus.NOT_FOUND:
                message = f"ServiceAccount {account.name} is gone; looking again."
                raise StaleObjectError(Reason.LINK_FAILED, message) from failure
            raise _refusal(failure, doing) from failure
        return view_account(answer)

    async def any_linked(self, namespace: str) -> bool:
        """Whether any bears our label."""
        query = (("labelSelector", SELECTOR), ("limit", "1"))
        try:
            answer = await self._client.request(
                "GET", paths.service_accounts(namespace), query=query, accept=METADATA_LIST
            )
        except ApiError as failure:
            raise _refusal(failure, "listing ServiceAccounts") from failure
        return bool(answer.get("items"))


def _refusal(failure: ApiError, doing: str) -> OperatorError:
    error = translate(failure, doing)
    if isinstance(error, PermanentError) and error.reason is Reason.KUBERNETES_FORBIDDEN:
        message = f"The operator lacks permission for {doing}. {_COMPONENT}."
        return PermanentError(Reason.KUBERNETES_FORBIDDEN, message)
    return error
