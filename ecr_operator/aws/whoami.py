"""The operator's identity in AWS, for `check`: where the keys come from, whose they are, which region.

Invariant: no key leaves this module; its errors are as free of secrets as those of aws.ecr.
"""

from collections.abc import Awaitable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from botocore.exceptions import BotoCoreError

from ecr_operator.api.errors import OperatorError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.call_errors import translate, translated
from ecr_operator.aws.client import CALL_SECONDS, AwsClients, Target
from ecr_operator.aws.credentials import OperatorCredentials
from ecr_operator.aws.keys import AwsKeys
from ecr_operator.aws.network import client_config
from ecr_operator.core.ports import Clock

T = TypeVar("T")


class WhoAmI:
    """Looks at the operator's own identity. Belongs to one event loop."""

    def __init__(self, clock: Clock) -> None:
        """Ask nothing yet; the clock limits how long a failure is remembered."""
        self._asked: tuple[str, ...] = ()
        self._credentials = OperatorCredentials(
            client_config(), clock, seconds=CALL_SECONDS, regions=lambda: self._asked
        )
        self._clients = AwsClients()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._credentials.close()
        await self._clients.close()

    @property
    def region(self) -> str:
        """The region that the SDK uses: AWS_DEFAULT_REGION, or the profile's; empty for none."""
        try:
            return str(self._credentials.session.get_config_variable("region") or "")
        except BotoCoreError:
            return ""

    async def origin(self, region: str) -> str:
        """Where the keys come from, for a message.

        Raises:
            OperatorError: there are none, or they can't be fetched.
        """
        await self._translated(region, self._keys(region))
        return self._credentials.origin

    async def arn(self, region: str) -> str:
        """Whose the keys are, by STS's GetCallerIdentity, which needs no permission.

        Raises:
            OperatorError: AWS does not accept them, or can't be reached.
        """
        answer = await self._translated(region, self._ask(region))
        arn = answer.get("Arn")
        if not isinstance(arn, str) or not arn.isprintable():
            message = "STS answered GetCallerIdentity without an ARN. Check AWS_ENDPOINT_URL and proxies."
            raise TransientError(Reason.INVALID_TOKEN_RESPONSE, message)
        return arn

    async def _keys(self, region: str) -> AwsKeys:
        self._asked = (region,)
        return await self._credentials.keys()

    async def _ask(self, region: str) -> Mapping[str, Any]:
        keys = await self._keys(region)
        target = Target("sts", region)
        return await self._clients.call(self._credentials.session, target, keys, "get_caller_identity")

    async def _translated(self, region: str, call: Awaitable[T]) -> T:
        def explain(error: Exception) -> OperatorError:
            source = TokenSource(region=self._credentials.first_hop.failed_in or region)
            return translate(error, source, self._credentials.origin)

        return await translated(call, explain)
