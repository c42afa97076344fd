"""Reading ServiceAccounts and changing their links.

Invariant: the API server refuses a change if anybody else has changed the ServiceAccount since it was read,
so the lists that it replaces lose no entry of others.
"""

from collections.abc import Mapping
from typing import Any, Final

from ecr_operator.api.errors import StaleObjectError
from ecr_operator.api.outcome import Reason
from ecr_operator.kube import paths
from ecr_operator.kube.api_error import ApiError, translate, translated
from ecr_operator.kube.client import MERGE_PATCH, METADATA_LIST, PATCH_QUERY, KubeClient
from ecr_operator.links.plan import SELECTOR, Account, view_account

_GRANT: Final = "Apply the component config/rbac/link-service-accounts, which grants it"


class KubeServiceAccounts:
    """ServiceAccounts on the API server; implements `links.reconcile.ServiceAccounts`."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def read(self, namespace: str, name: str) -> Account | None:
        """One ServiceAccount as it is now; None if there is none."""
        path = paths.service_account(namespace, name)
        found = await self._client.get_or_none(path, f"read ServiceAccount {name}", grant=_GRANT)
        return view_account(found) if found is not None else None

    async def patch(self, account: Account, patch: Mapping[str, Any]) -> Account:
        """Change that very version of it; see the port."""
        try:
            answer = await self._client.request(
                "PATCH",
                paths.service_account(account.namespace, account.name),
                query=PATCH_QUERY,
                body=patch,
                content_type=MERGE_PATCH,
            )
        except ApiError as error:
            if error.is_not_found:
                message = f"ServiceAccount {account.name} was deleted; reading it again."
                raise StaleObjectError(Reason.LINK_FAILED, message) from error
            raise translate(error, f"link to ServiceAccount {account.name}", _GRANT) from error
        return view_account(answer)

    async def any_linked(self, namespace: str) -> bool:
        """Whether any has our label; an empty namespace is all."""
        query = (("labelSelector", SELECTOR), ("limit", "1"))
        path = paths.service_accounts(namespace)
        with translated("list ServiceAccounts", _GRANT):
            answer = await self._client.request("GET", path, query=query, accept=METADATA_LIST)
        return bool(answer.get("items"))
