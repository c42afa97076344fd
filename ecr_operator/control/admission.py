"""Whether a resource may have what it wants, asked before anybody asks AWS for it."""

from ecr_operator.control.ports import TenantReader
from ecr_operator.control.shared_reads import SharedReads
from ecr_operator.model.desired import Problem, Resource, Wanted
from ecr_operator.model.errors import PermanentError
from ecr_operator.model.tenancy import (
    TenancyPolicy,
    check_hosts,
    refuse_ambient,
    refuse_prefix,
    selects,
    uses_operator,
    without_refused,
)


class Admission:
    """The guards that a cluster admin has set.

    Args:
        policy: what they are.
        tenants: reads a namespace's labels, afresh each time.
    """

    def __init__(self, policy: TenancyPolicy, tenants: TenantReader) -> None:
        self._policy = policy
        self._namespaces = SharedReads(tenants.namespace)

    def refuse_prefix(self, wanted: Wanted) -> PermanentError | None:
        """The error for a prefix of URLs that would offer the login to other hosts; None for all else."""
        return refuse_prefix(self._policy, wanted)

    def without_refused(self, wanted: Wanted) -> tuple[Wanted, tuple[Problem, ...]]:
        """The spec without the additional registries that are not allowed, and what to say of each."""
        return without_refused(self._policy, wanted)

    async def check(self, resource: Resource, wanted: Wanted) -> None:
        """Refuse what is not allowed.

        Raises:
            PermanentError: `InvalidRegistry` or `RoleNotPermitted`, in words that say who must change what.
            OperatorError: from reading the namespace.
        """
        check_hosts(self._policy, wanted)
        if uses_operator(wanted) and not await self._is_ambient(resource.key.namespace):
            raise refuse_ambient(resource.key.namespace)

    async def _is_ambient(self, namespace: str) -> bool:
        policy = self._policy
        if policy.ambient_namespaces is None or namespace in policy.ambient_namespaces:
            return True
        if not policy.ambient_selector:
            return False
        facts = await self._namespaces.read(namespace)
        return selects(policy.ambient_selector, facts.labels)
