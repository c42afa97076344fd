"""Where the operator's own credentials go: to STS of the role's partition, in one region.

That is AWS_REGION, AWS_DEFAULT_REGION or the profile's region; else the region of the oldest resource that
names one which the SDK lists in the partition. Where STS refuses there or can't be reached the next such
region is asked, and last the partition's default. Whatever resources name, a web identity token or a signed
AssumeRole never reaches another partition or a host that is not AWS's.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from aiobotocore.session import AioSession
from aiobotocore.utils import create_nested_client
from botocore.exceptions import BotoCoreError

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.registry import is_region
from ecr_operator.api.token import plain_region
from ecr_operator.aws.endpoints import Partition, partition_of, partition_of_arn, partitions
from ecr_operator.aws.files import EXTRA_VARIABLES
from ecr_operator.core.ports import Clock

# Regions that one attempt asks; they share its time.
_TRIES: Final = 3
_REMEMBERED: Final = 900.0  # seconds for which a region that failed is asked last


class FirstHop:
    """Assumes the operator's own role. Belongs to one event loop.

    Attributes:
        role_arn: the role that was last asked for; empty for none.
        failed_in: the first region whose STS failed in the last attempt; empty for none.
    """

    def __init__(self, clock: Clock, regions: Callable[[], Sequence[str]], *, seconds: float) -> None:
        """Ask nothing yet.

        Args:
            clock: for how long a failure is remembered.
            regions: of the resources, oldest first.
            seconds: the longest that an attempt may take.
        """
        self._clock = clock
        self._regions = regions
        self._seconds = seconds
        self._failed_until: dict[str, float] = {}
        self.role_arn = ""
        self.failed_in = ""

    async def assume(
        self, session: AioSession, operation: str, options: Mapping[str, Any], arguments: Mapping[str, Any]
    ) -> Any:  # noqa: ANN401 -- the SDK has no types
        """Ask one region after another.

        Args:
            session: makes the clients.
            operation: `assume_role` or `assume_role_with_web_identity`.
            options: of the client, the keys to sign with among them.
            arguments: of the operation.

        Raises:
            Exception: what the SDK raises in the first region, if none answers.
        """
        self.role_arn, self.failed_in = str(arguments["RoleArn"]), ""
        failure: Exception | None = None
        for region in self._order(session):
            try:
                async with (
                    asyncio.timeout(self._seconds / _TRIES),
                    create_nested_client(session, "sts", region_name=region, **options) as client,
                ):
                    answer = await getattr(client, operation)(**arguments)
            except Exception as error:  # noqa: BLE001 -- whatever it is, another region may do better
                self._failed_until[region] = self._clock.monotonic() + _REMEMBERED
                failure, self.failed_in = failure or error, self.failed_in or region
            else:
                self.failed_in = ""
                return answer
        assert failure  # noqa: S101 -- there is always a region
        raise failure

    def _order(self, session: AioSession) -> list[str]:
        """The regions of this attempt: those that have not failed lately come first."""
        candidates = self._candidates(session, partition_of_arn(self.role_arn) or partitions()[0])
        now = self._clock.monotonic()
        failed = {region for region in candidates if self._failed_until.get(region, now) > now}
        if len(failed) == len(candidates):
            self._failed_until.clear()
        return sorted(candidates, key=failed.__contains__)[:_TRIES]

    def _candidates(self, session: AioSession, partition: Partition) -> list[str]:
        set_here = [region for region in _configured(session) if is_region(region)]
        known = [plain_region(region) for region in self._regions()]
        return list(
            dict.fromkeys(
                [
                    # One that no partition knows is the admin's own.
                    *(region for region in set_here if partition_of(region) in (partition, None)),
                    *(region for region in known if region in partition.regions),
                    partition.default_region,
                ]
            )
        )


class OperatorSession(AioSession):  # type: ignore[misc] # the SDK has no types
    """The SDK's session, whose credential chain asks STS by way of the first hop."""

    def __init__(self, hop: FirstHop) -> None:
        super().__init__(EXTRA_VARIABLES)
        self._hop = hop

    def create_client(self, service_name: str, region_name: str | None = None, **options: Any) -> Any:  # noqa: ANN401 -- the SDK has no types
        """As of the SDK. Only its chain names no region for STS."""
        if service_name == "sts" and region_name is None:
            return _Sts(self, self._hop, options)
        return super().create_client(service_name, region_name=region_name, **options)


class _Sts:
    """What the SDK's chain takes for a client of STS."""

    def __init__(self, session: AioSession, hop: FirstHop, options: Mapping[str, Any]) -> None:
        self._session = session
        self._hop = hop
        self._options = options

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""

    async def assume_role(self, **arguments: Any) -> Any:  # noqa: ANN401 -- the SDK has no types
        """As of the SDK's client."""
        return await self._hop.assume(self._session, "assume_role", self._options, arguments)

    async def assume_role_with_web_identity(self, **arguments: Any) -> Any:  # noqa: ANN401 -- the SDK has no types
        """As of the SDK's client."""
        operation = "assume_role_with_web_identity"
        return await self._hop.assume(self._session, operation, self._options, arguments)


def check_partition(region: str, *role_arns: str) -> None:
    """Refuse to use roles of one partition in another.

    Args:
        region: that is to be asked.
        role_arns: the operator's own role and the resource's; an empty one is none.

    Raises:
        PermanentError: `AccessDenied`, naming both partitions.
    """
    there = partition_of(plain_region(region))
    for role_arn in role_arns:
        here = partition_of_arn(role_arn)
        if here and there and here != there:
            raise PermanentError(
                Reason.ACCESS_DENIED,
                f"{role_arn} is in the AWS partition {here.name}, but the region {region} is in "
                f"{there.name}, where it can't be used. Name an identity of that partition: service_account "
                "or aws_iam_secret.",
            )


def _configured(session: AioSession) -> list[str]:
    found = [os.environ.get("AWS_REGION"), os.environ.get("AWS_DEFAULT_REGION")]
    with suppress(BotoCoreError):
        found.append(session.get_scoped_config().get("region"))
    return [region for region in found if region]
