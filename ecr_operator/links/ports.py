"""What links ask of the world; kube and the tests fulfil it."""

from collections.abc import Mapping
from typing import Any, Protocol

from ecr_operator.links.plan import Account


class ServiceAccounts(Protocol):
    """Reads ServiceAccounts and changes their links; fulfilled by `kube.service_accounts`.

    Every method raises OperatorError: of the API server, or `KubernetesForbidden` naming what allows it.
    """

    async def read(self, namespace: str, name: str) -> Account | None:
        """One ServiceAccount as it is now; None if there is none."""
        ...

    async def patch(self, account: Account, patch: Mapping[str, Any]) -> Account:
        """Change that very version of it, and return it as it is then.

        Raises:
            StaleObjectError: it has changed since, or is gone.
        """
        ...

    async def any_linked(self, namespace: str) -> bool:
        """Whether any bears our label, in a namespace, or in all of them (an empty one)."""
        ...
