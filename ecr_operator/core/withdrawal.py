"""A namespace that a ClusterSecret no longer serves loses its Secret; then nothing of it is remembered.

A Secret with `deletion_policy: Orphan` stays. While the ClusterSecret is still its controller it is written
once more, without the ownerReference, by a usual pass.
"""

from ecr_operator.api.desired import Desired
from ecr_operator.core.cache import Cache
from ecr_operator.core.schedule import CONFLICT_RECHECK
from ecr_operator.core.secret_writer import SecretWriter
from ecr_operator.core.state import Result


class Withdrawal:
    """Withdraws parts of ClusterSecrets."""

    def __init__(self, cache: Cache, writer: SecretWriter) -> None:
        self._cache = cache
        self._writer = writer

    async def withdraw(self, desired: Desired) -> Result:
        """Delete the Secret, and remove the part once there is none.

        Raises:
            OperatorError: from the API server.
        """
        if not self._is_withdrawn(desired):
            return Result(outcome=None, requeue_after=0.0)  # it is served again meanwhile
        if not desired.orphan and await self._writer.delete_all(desired):
            return Result(outcome=None, requeue_after=CONFLICT_RECHECK)  # the watch shows it sooner
        if self._is_withdrawn(desired):
            self._cache.remove_resource(desired.key)
        return Result(outcome=None)

    def is_to_be_released(self, desired: Desired) -> bool:
        """Whether the Secret is to stay, and would still be deleted with its owner."""
        view = self._cache.secret(desired.key.namespace, desired.secret_name)
        owner = view.owner if view else None
        return desired.orphan and bool(owner and owner.uid == desired.uid and owner.controller)

    def _is_withdrawn(self, desired: Desired) -> bool:
        """Whether the resource is still as this pass has seen it, after it has waited."""
        now = self._cache.resource(desired.key)
        return bool(now and now.uid == desired.uid and now.desired and now.desired.withdrawn)
