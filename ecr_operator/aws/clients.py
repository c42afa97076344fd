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

from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ConfigParseError, ProfileNotFound

from ecr_operator.aws.calls import noted
from ecr_operator.aws.identities import AwsKeys
from ecr_operator.model.errors import PermanentError
from ecr_operator.model.outcome import Reason
from ecr_operator.telemetry.metrics import Metrics

# Each costs a quarter of a MiB, and 2 to 5 ms to make again.
MOST_CLIENTS: Final = 16
# That exist at once, for calls under way: every region that there is may hang, and a thousand made-up ones
# still take no more memory than this.
MOST_AT_ONCE: Final = 100
# To one service in one region, at once.
CONNECTIONS: Final = 50
# Of one call, from connecting to the whole answer.
CALL_SECONDS: Final = 15.0


class Target(NamedTuple):
    """What a client talks to: `ecr`, `ecr-public` or `sts`, and where."""

    service: str
    region: str


@dataclass(slots=True, kw_only=True, eq=False)
class _Entry:
    session: AioSession = field(repr=False)
    context: Any = field(repr=False)
    client: Any = field(repr=False)
    users: int = 0
    connections: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS))


class ClientPool:
    """Makes calls with clients that it keeps; the least recently used goes first."""

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
        self._entries: OrderedDict[Target, _Entry] = OrderedDict()
        self._retired: set[_Entry] = set()
        # The first client blocks the loop for a while; making them one by one lets others in between.
        self._making = asyncio.Lock()
        self._closed = asyncio.Event()

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
            session: of the SDK; another one means another client.
            target: service and region.
            keys: to sign with; None for an operation that AWS takes unsigned.
            operation: the SDK's name of it.
            arguments: of the operation.

        Raises:
            PermanentError: an endpoint override is no URL, or the SDK's configuration can't be read.
            TimeoutError: AWS did not answer in time.
            Exception: what the SDK raises.
        """
        # The time runs from when there is a connection for it, or a crowd would time out by its own number.
        async with self.lend(session, target) as entry, entry.connections:
            before = _keys_in_use.set(keys)
            try:
                with noted(self._metrics, target.service, target.region, operation):
                    async with asyncio.timeout(self._call_seconds):
                        answer: Mapping[str, Any] = await getattr(entry.client, operation)(**arguments)
            finally:
                _keys_in_use.reset(before)
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
            await self._close_retired()

    async def close(self) -> None:
        """Close every client; none may be in use any more."""
        self._retired.update(self._entries.values())
        self._entries.clear()
        await self._close_retired()

    async def _get(self, session: AioSession, target: Target) -> _Entry:
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
        while len(self) >= MOST_AT_ONCE:
            self._closed.clear()
            await self._close_retired()
            if len(self) >= MOST_AT_ONCE:
                await self._closed.wait()
        fresh = await _make(session, target)
        if before := self._entries.pop(target, None):
            self._retired.add(before)
        self._entries[target] = fresh
        while len(self._entries) > self._most:
            self._retired.add(self._entries.popitem(last=False)[1])
        return fresh

    async def _close_retired(self) -> None:
        for entry in [entry for entry in self._retired if not entry.users]:
            await entry.context.__aexit__(None, None, None)
            self._retired.discard(entry)
            self._closed.set()


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


async def _make(session: AioSession, target: Target) -> _Entry:
    session.register_component("credential_provider", _KeysInUse())
    try:
        context = session.create_client(target.service, region_name=target.region)
        client = await context.__aenter__()
    except ValueError as error:
        if str(error).startswith("Invalid endpoint"):
            message = "The AWS endpoint override is no URL. Correct AWS_ENDPOINT_URL."
            raise PermanentError(Reason.AWS_UNAVAILABLE, message) from None
        raise
    except (ConfigParseError, ProfileNotFound):
        message = "The operator's AWS configuration file or profile can't be read. Correct it there."
        raise PermanentError(Reason.CREDENTIALS_MISSING, message) from None
    return _Entry(session=session, context=context, client=client)
