"""The SDK's clients: kept for the next call up to a bound, and closed for certain.

Invariants: a client is never closed while a call uses it; after `close` none is open. A client belongs to one
session of the SDK and to one service and region, but to nobody's keys: each call brings its own, so that two
hundred roles in a region share one client and no call can be signed with the keys of another.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError, ConfigParseError, ProfileNotFound

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.aws.calls import noted
from ecr_operator.aws.endpoints import has_known_endpoint
from ecr_operator.aws.identities import AwsKeys
from ecr_operator.aws.resolver import OTHER_THREADS, connector_args
from ecr_operator.telemetry.metrics import Metrics

# Each costs a quarter of a MiB, and 2 to 5 ms to make again.
MOST_CLIENTS: Final = 64
# To one service in one region, at once; more calls than this are never under way.
CONNECTIONS: Final = 100
# Of one call, from connecting to the whole answer.
CALL_SECONDS: Final = 15.0


class Target(NamedTuple):
    """What a client talks to: `ecr`, `ecr-public` or `sts`, and where."""

    service: str
    region: str


@dataclass(slots=True, kw_only=True, eq=False)
class _Entry:
    target: Target
    session: AioSession = field(repr=False)
    context: Any = field(repr=False)
    client: Any = field(repr=False)
    users: int = 0
    answered: bool = False


class ClientPool:
    """Makes calls with clients that it keeps where AWS answered; the least recently used goes first.

    A client for a region that the SDK doesn't list serves the calls under way, and is closed with the last.
    """

    def __init__(
        self, most: int = MOST_CLIENTS, *, call_seconds: float = CALL_SECONDS, metrics: Metrics | None = None
    ) -> None:
        """Make no client yet.

        Args:
            most: how many idle clients are kept.
            call_seconds: the longest that a call may take, once its client is there.
            metrics: where calls are noted.
        """
        self._metrics = metrics or Metrics()
        self._most = most
        self._call_seconds = call_seconds
        self._session: AioSession | None = None
        self._entries: OrderedDict[Target, _Entry] = OrderedDict()
        self._retired: set[_Entry] = set()
        self._unlisted = AioConfig(connector_args=connector_args(OTHER_THREADS))
        # The first client blocks the loop for a while; making them one by one lets others in between.
        self._making = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._entries) + len(self._retired)

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
            operation: the SDK's name of it.
            arguments: of the operation.

        Raises:
            PermanentError: an endpoint override is no URL, or the SDK's configuration can't be read.
            TimeoutError: AWS did not answer in time.
            Exception: what the SDK raises.
        """
        async with self.lend(session, target) as entry:
            before = _keys_in_use.set(keys)
            try:
                with noted(self._metrics, target.service, target.region, operation):
                    async with asyncio.timeout(self._call_seconds):
                        answer: Mapping[str, Any] = await getattr(entry.client, operation)(**arguments)
            except ClientError:
                entry.answered = True
                raise
            finally:
                _keys_in_use.reset(before)
            entry.answered = True
        return answer

    @asynccontextmanager
    async def lend(self, session: AioSession, target: Target) -> AsyncIterator[_Entry]:
        """Lend a client, which is not closed meanwhile."""
        entry = await self._get(session, target)
        entry.users += 1
        try:
            yield entry
        finally:
            entry.users -= 1
            await self._settle(entry)

    async def close(self) -> None:
        """Close every client; none may be in use any more."""
        self._retire(*self._entries.values())
        await self._close_retired()

    async def _get(self, session: AioSession, target: Target) -> _Entry:
        if session is not self._session:
            self._session = session
            self._retire(*self._entries.values())
        entry = self._find(session, target)
        if entry is None:
            async with self._making:
                entry = self._find(session, target) or await self._add(session, target)
        return entry

    def _find(self, session: AioSession, target: Target) -> _Entry | None:
        entry = self._entries.get(target)
        if entry is None or entry.session is not session:
            return None
        self._entries.move_to_end(target)
        return entry

    async def _add(self, session: AioSession, target: Target) -> _Entry:
        fresh = await _make(session, target, None if has_known_endpoint(target.region) else self._unlisted)
        if before := self._entries.get(target):
            self._retire(before)
        self._entries[target] = fresh
        return fresh

    async def _settle(self, entry: _Entry) -> None:
        """After a call: keep the client or let go of it, and of those that are too many."""
        kept = entry.answered and entry.session is self._session and has_known_endpoint(entry.target.region)
        if not entry.users and not kept:
            self._retire(entry)
        surplus = len(self._entries) - self._most
        if surplus > 0:
            self._retire(*[each for each in self._entries.values() if not each.users][:surplus])
        await self._close_retired()

    def _retire(self, *entries: _Entry) -> None:
        for entry in entries:
            self._retired.add(entry)
            if self._entries.get(entry.target) is entry:
                del self._entries[entry.target]

    async def _close_retired(self) -> None:
        for entry in [entry for entry in self._retired if not entry.users]:
            await entry.context.__aexit__(None, None, None)
            self._retired.discard(entry)


# Set around each call; the SDK signs in the task that calls.
_keys_in_use: ContextVar[AwsKeys | None] = ContextVar("keys_in_use")


class _KeysInUse(AioCredentials):  # type: ignore[misc] # the SDK has no types
    """The keys of the present call, as credentials of the SDK, and as the chain that finds them."""

    def __init__(self) -> None:
        super().__init__("none", "none", method="keys-of-the-call")

    async def load_credentials(self) -> "_KeysInUse":
        """What the SDK asks for when it makes a client."""
        return self

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """What the SDK asks for when it signs."""
        keys = _keys_in_use.get()
        if keys is None:
            message = "a call without keys is not to be signed"
            raise LookupError(message)
        return ReadOnlyCredentials(keys.access_key, keys.secret_key, keys.session_token)


async def _make(session: AioSession, target: Target, config: AioConfig | None) -> _Entry:
    session.register_component("credential_provider", _KeysInUse())
    try:
        context = session.create_client(target.service, region_name=target.region, config=config)
        client = await context.__aenter__()
    except ValueError as error:
        if str(error).startswith("Invalid endpoint"):
            message = "The AWS endpoint override is not a valid URL. Correct AWS_ENDPOINT_URL."
            raise PermanentError(Reason.AWS_UNAVAILABLE, message) from None
        raise
    except (ConfigParseError, ProfileNotFound):
        message = "The operator's AWS configuration file or profile can't be read. Correct it there."
        raise PermanentError(Reason.CREDENTIALS_MISSING, message) from None
    return _Entry(target=target, session=session, context=context, client=client)
