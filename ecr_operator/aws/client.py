"""Calls to AWS: signed with the keys of each call, bounded in time, noted in the metrics.

Clients for regions that the SDK lists are kept: there are about a hundred (ECR and STS in each region), which
take 15 MiB. A client for any other region serves one call.

Invariants: a client is never closed while a call uses it; after `close` none is open. A client belongs to one
session of the SDK and to one service and region, but to nobody's keys: each call brings its own, so that two
hundred roles in a region share one client and no call can be signed with the keys of another.
Leaves out: which calls may be under way at once (core.flow_control), and those of the SDK's credential chain.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ConfigParseError, ProfileNotFound

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import plain_region
from ecr_operator.aws.call_errors import reason_of
from ecr_operator.aws.endpoints import has_known_endpoint, is_listed
from ecr_operator.aws.keys import AwsKeys
from ecr_operator.aws.network import OTHER_LOOKUPS, connector_args
from ecr_operator.telemetry.metrics import SUCCESS, Metrics

# Of one call, from connecting to the whole answer.
CALL_SECONDS: Final = 15.0
_OTHER_REGION: Final = "other"


class Target(NamedTuple):
    """What a client talks to: `ecr`, `ecr-public` or `sts`, and where."""

    service: str
    region: str


@dataclass(slots=True, kw_only=True, eq=False)
class _Client:
    context: Any = field(repr=False)
    sdk: Any = field(repr=False)
    users: int = 0

    async def close(self) -> None:
        await self.context.__aexit__(None, None, None)


class AwsClients:
    """Makes calls. Belongs to one event loop."""

    def __init__(self, *, call_seconds: float = CALL_SECONDS, metrics: Metrics | None = None) -> None:
        """Make no client yet.

        Args:
            call_seconds: the longest that a call may take, once its client is there.
            metrics: where calls are noted.
        """
        self._metrics = metrics or Metrics()
        self._call_seconds = call_seconds
        self._session: AioSession | None = None
        self._kept: dict[Target, _Client] = {}
        self._unlisted = AioConfig(connector_args=connector_args(OTHER_LOOKUPS))
        # The first client blocks the loop for a while; making them one by one lets others in between.
        self._making = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    async def call(
        self,
        session: AioSession,
        target: Target,
        keys: AwsKeys | None,
        operation: str,
        **arguments: Any,  # noqa: ANN401 -- the SDK has no types
    ) -> Mapping[str, Any]:
        """Make one call, signed with these keys.

        Args:
            session: of the SDK; another one means other clients.
            target: service and region.
            keys: to sign with; None for an operation that AWS takes unsigned.
            operation: the SDK's name of it, such as `assume_role`.
            arguments: of the operation.

        Raises:
            PermanentError: an endpoint override is not a URL, or the SDK's configuration can't be read.
            TimeoutError: AWS did not answer in time.
            Exception: what the SDK raises.
        """
        async with self.lend(session, target) as client:
            before = _call_keys.set(keys)
            try:
                with self._noted(target, operation):
                    async with asyncio.timeout(self._call_seconds):
                        answer: Mapping[str, Any] = await getattr(client.sdk, operation)(**arguments)
            finally:
                _call_keys.reset(before)
        return answer

    @asynccontextmanager
    async def lend(self, session: AioSession, target: Target) -> AsyncIterator[_Client]:
        """Lend a client, which is not closed meanwhile."""
        client = await self._get(session, target)
        client.users += 1
        try:
            yield client
        finally:
            client.users -= 1
            if not client.users and self._kept.get(target) is not client:
                await client.close()

    async def close(self) -> None:
        """Close every client; none may be in use any more."""
        while self._kept:
            _, client = self._kept.popitem()
            if not client.users:  # else closed after its last call
                await client.close()

    async def _get(self, session: AioSession, target: Target) -> _Client:
        if session is self._session and target in self._kept:
            return self._kept[target]
        async with self._making:
            if session is not self._session:
                # In this order: where it is cancelled, the next call goes on with the clients that are left.
                await self.close()
                self._session = session
            if target in self._kept:
                return self._kept[target]
            if not has_known_endpoint(target.region):
                return await _make(session, target, self._unlisted)
            client = self._kept[target] = await _make(session, target, None)
            return client

    @contextmanager
    def _noted(self, target: Target, operation: str) -> Iterator[None]:
        """Note a call's time and outcome, but not one that is cancelled."""
        name = f"{target.service}:{''.join(word.capitalize() for word in operation.split('_'))}"
        region = plain_region(target.region)
        # It may be whatever a user wrote: only those that the SDK lists have a series of their own.
        region = region if is_listed(region) else _OTHER_REGION
        began = time.monotonic()
        try:
            yield
        except Exception as error:
            self._metrics.aws_call(name, region, reason_of(error), time.monotonic() - began)
            raise
        self._metrics.aws_call(name, region, SUCCESS, time.monotonic() - began)


# Set around each call; the SDK signs in the task that calls.
_call_keys: ContextVar[AwsKeys | None] = ContextVar("call_keys")


class _CallKeys(AioCredentials):  # type: ignore[misc] # the SDK has no types
    """The keys of the present call, as credentials of the SDK, and as the chain that finds them."""

    def __init__(self) -> None:
        super().__init__("none", "none", method="keys-of-the-call")

    async def load_credentials(self) -> "_CallKeys":
        """What the SDK asks for when it makes a client."""
        return self

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """What the SDK asks for when it signs."""
        keys = _call_keys.get()
        if keys is None:
            message = "a call without keys is not to be signed"
            raise LookupError(message)
        return ReadOnlyCredentials(keys.access_key, keys.secret_key, keys.session_token)


async def _make(session: AioSession, target: Target, config: AioConfig | None) -> _Client:
    session.register_component("credential_provider", _CallKeys())
    try:
        context = session.create_client(target.service, region_name=target.region, config=config)
        return _Client(context=context, sdk=await context.__aenter__())
    except ValueError as error:
        if str(error).startswith("Invalid endpoint"):
            message = "The AWS endpoint override is not a valid URL. Correct AWS_ENDPOINT_URL."
            raise PermanentError(Reason.AWS_UNAVAILABLE, message) from None
        raise
    except (ConfigParseError, ProfileNotFound):
        message = "The operator's AWS configuration file or profile can't be read. Correct it there."
        raise PermanentError(Reason.CREDENTIALS_MISSING, message) from None
