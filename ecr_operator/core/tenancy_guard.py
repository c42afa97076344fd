"""The cluster admin's limits, checked before AWS is called."""

from ecr_operator.api.desired import Desired, Problem
from ecr_operator.api.errors import PermanentError
from ecr_operator.api.tenancy import (
    TenancyPolicy,
    check_hosts,
    refuse_ambient,
    refuse_prefix,
    uses_operator,
    without_refused,
)
from ecr_operator.core.ports import IdentityObjects
from ecr_operator.core.shared_reads import SharedReads


class TenancyGuard:
    """The guards that a cluster admin has set.

    Args:
        policy: what they are.
        tenants: reads a namespace's labels, afresh each time.
    """

    def __init__(self, policy: TenancyPolicy, tenants: IdentityObjects) -> None:
        self._policy = policy
        self._namespaces = SharedReads(tenants.namespace)

    def refuse_prefix(self, desired: Desired) -> PermanentError | None:
        """The error for a prefix of URLs that would offer the login to other hosts; None for all else."""
        return refuse_prefix(self._policy, desired)

    def without_refused(self, desired: Desired) -> tuple[Desired, tuple[Problem, ...]]:
        """The spec without the additional registries that are not allowed, and the problem of each."""
        return without_refused(self._policy, desired)

    async def check(self, desired: Desired) -> None:
        """Refuse what is not allowed.

        Raises:
            PermanentError: `InvalidRegistry` or `RoleNotPermitted`, with a message on who must change what.
            OperatorError: from reading the namespace.
        """
        check_hosts(self._policy, desired)
        if desired.key.is_part:
            return  # whoever writes a ClusterSecret is a cluster admin
        if uses_operator(desired) and not await self._is_ambient(desired.key.namespace):
            raise refuse_ambient(desired.key.namespace)

    async def _is_ambient(self, namespace: str) -> bool:
        policy = self._policy
        if policy.ambient_namespaces is None or namespace in policy.ambient_namespaces:
            return True
        if not policy.ambient_selector:
            return False
        facts = await self._namespaces.read(namespace)
        return all(each.accepts(facts.labels) for each in policy.ambient_selector)
