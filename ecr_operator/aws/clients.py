"""The SDK's clients: kept for the next call up to a bound, and closed for certain.

Invariants: a client is never closed while a call uses it; after `close` none is open. A client belongs to one
session and one set of keys, and goes when either changes.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiobotocore.session import AioSession

from ecr_operator.aws.identities import AwsKeys
from ecr_operator.model.errors import PermanentError
from ecr_operator.model.outcome import Reason
from ecr_operator.model.tokens import TokenSource

# Each costs 1 MiB, most of it the certificates of a TLS context, and 2 ms to make again.
MOST_CLIENTS: Final = 16


@dataclass(slots=True, kw_only=True, eq=False)
class _Entry:
    session: AioSession = field(repr=False)
    keys: AwsKeys
    context: Any = field(repr=False)
    client: Any = field(repr=False)
    users: int = 0


class ClientPool:
    """Hands out clients, least recently used first to go."""

    def __init__(self, most: int = MOST_CLIENTS) -> None:
        """Args: most: how many idle clients are kept."""
        self._most = most
        self._entries: OrderedDict[TokenSource, _Entry] = OrderedDict()
        self._retired: set[_Entry] = set()
        # The first client blocks the loop for a while; making them one by one lets others in between.
        self._making = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._entries) + len(self._retired)

    @asynccontextmanager
    async def use(self, session: AioSession, source: TokenSource, keys: AwsKeys) -> AsyncIterator[Any]:
        """Lend the client for this source and these keys.

        Raises:
            PermanentError: an endpoint override is no URL.
        """
        entry = await self._get(session, source, keys)
        entry.users += 1
        try:
            yield entry.client
        finally:
            entry.users -= 1
            await self._close_retired()

    async def close(self) -> None:
        """Close every client; none may be in use any more."""
        self._retired.update(self._entries.values())
        self._entries.clear()
        await self._close_retired()

    async def _get(self, session: AioSession, source: TokenSource, keys: AwsKeys) -> _Entry:
        async with self._making:
            entry = self._entries.get(source)
            if entry is None or entry.session is not session or entry.keys != keys:
                fresh = await _make(session, source, keys)
                if entry is not None:
                    self._retired.add(entry)
                self._entries[source] = entry = fresh
            self._entries.move_to_end(source)
            while len(self._entries) > self._most:
                self._retired.add(self._entries.popitem(last=False)[1])
        return entry

    async def _close_retired(self) -> None:
        for entry in [entry for entry in self._retired if not entry.users]:
            await entry.context.__aexit__(None, None, None)
            self._retired.discard(entry)


async def _make(session: AioSession, source: TokenSource, keys: AwsKeys) -> _Entry:
    context = session.create_client(
        source.service,
        region_name=source.region,
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        aws_session_token=keys.session_token,
    )
    try:
        client = await context.__aenter__()
    except ValueError as error:
        if str(error).startswith("Invalid endpoint"):
            message = "The AWS endpoint override is no URL. Correct AWS_ENDPOINT_URL."
            raise PermanentError(Reason.AWS_UNAVAILABLE, message) from None
        raise
    return _Entry(session=session, keys=keys, context=context, client=client)
