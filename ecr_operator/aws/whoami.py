"""Who we are to AWS, for a person who wants to know: where the keys come from, whose they are, which region.

Invariant: no key leaves this module; its errors are those of aws.ecr, and as free of secrets.
"""

from collections.abc import Awaitable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from botocore.exceptions import BotoCoreError

from ecr_operator.api.errors import OperatorError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.clients import CALL_SECONDS, ClientPool, Target
from ecr_operator.aws.ecr import client_config
from ecr_operator.aws.errors import shown, translate
from ecr_operator.aws.identities import AwsKeys, OperatorIdentity
from ecr_operator.core.ports import Clock

_Answer = TypeVar("_Answer")


class WhoAmI:
    """The operator's own identity, looked at. Belongs to one event loop."""

    def __init__(self, clock: Clock) -> None:
        """Args: clock: for how long a failure is remembered."""
        self._asked: tuple[str, ...] = ()
        self._identity = OperatorIdentity(
            client_config(), clock, seconds=CALL_SECONDS, regions=lambda: self._asked
        )
        self._clients = ClientPool()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._identity.close()
        await self._clients.close()

    @property
    def region(self) -> str:
        """The region that the SDK would take: AWS_DEFAULT_REGION, or the profile's; empty for none."""
        try:
            return str(self._identity.session.get_config_variable("region") or "")
        except BotoCoreError:
            return ""

    async def origin(self, region: str) -> str:
        """Where the keys come from, in words.

        Raises:
            OperatorError: there are none, or they can't be had.
        """
        await self._told(region, self._keys(region))
        return self._identity.origin

    async def arn(self, region: str) -> str:
        """Whose the keys are, by STS's GetCallerIdentity, which needs no permission.

        Raises:
            OperatorError: AWS does not know them, or can't be reached.
        """
        answer = await self._told(region, self._ask(region))
        arn = answer.get("Arn")
        if not isinstance(arn, str) or not arn.isprintable():
            message = "STS answered GetCallerIdentity without an ARN. Check AWS_ENDPOINT_URL and proxies."
            raise TransientError(Reason.INVALID_TOKEN_RESPONSE, message)
        return arn

    async def _keys(self, region: str) -> AwsKeys:
        self._asked = (region,)
        return await self._identity.keys()

    async def _ask(self, region: str) -> Mapping[str, Any]:
        keys = await self._keys(region)
        target = Target("sts", region)
        return await self._clients.call(self._identity.session, target, keys, "get_caller_identity")

    async def _told(self, region: str, asking: Awaitable[_Answer]) -> _Answer:
        failure: OperatorError
        cause: Exception | None = None
        try:
            return await asking
        except OperatorError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 -- the boundary: whatever the SDK raises becomes one of ours
            source = TokenSource(region=self._identity.failed_in or region)
            failure, cause = translate(error, source, self._identity.origin), shown(error)
        # Raised outside of the handler, with no traceback of before: frames there hold replies and keys.
        raise failure.with_traceback(None) from cause
