"""What the election asks of the world; kube and the tests fulfil it."""

from typing import Protocol

from ecr_operator.election.lease import LeaseRecord


class LeaseStore(Protocol):
    """Reads and writes the one Lease; fulfilled by `kube.leases.KubeLeases`.

    Every method raises OperatorError, in bounded time.
    """

    async def read(self) -> LeaseRecord | None:
        """What the Lease says; None if there is none."""
        ...

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        """Create the Lease if the record has no version, else replace that version; return what is stored.

        Raises:
            StaleObjectError: another version is there, or one where none was seen.
            OperatorError: for all else; it may have been done all the same.
        """
        ...
