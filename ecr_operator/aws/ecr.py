"""The one call that all is about: GetAuthorizationToken, of ECR and of ECR Public.

Invariant: a call ends in a checked token or an OperatorError in bounded time, and neither the error nor its
traceback holds a key, a token or a reply. The SDK's own retries are off: when to ask again is control's.
"""

import asyncio
from types import TracebackType
from typing import Final, Self

from aiobotocore.config import AioConfig

from ecr_operator.aws.clients import ClientPool
from ecr_operator.aws.errors import blames_credentials, shown, translate
from ecr_operator.aws.identities import OperatorIdentity
from ecr_operator.aws.tls import SharedTlsSession
from ecr_operator.control.ports import Clock, SystemClock
from ecr_operator.model.errors import OperatorError
from ecr_operator.model.tokens import RegistryToken, TokenSource, decode_answer

# All of a call: finding credentials, with STS or the metadata service, and ECR.
CALL_SECONDS: Final = 15.0
_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 10.0


class EcrTokenIssuer:
    """Fetches tokens as the operator; fulfils `control.ports.TokenIssuer`. Belongs to one event loop."""

    def __init__(self, clock: Clock | None = None, *, call_seconds: float = CALL_SECONDS) -> None:
        """Look at the credential files, by the SDK's variables and defaults; nothing is asked yet.

        Args:
            clock: tells `issued_at`; the machine's by default.
            call_seconds: the longest that a call may take, from credentials to answer.
        """
        self._clock = clock or SystemClock()
        self._call_seconds = call_seconds
        self._identity = OperatorIdentity(_config(), self._clock)
        self._clients = ClientPool()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._clients.close()

    async def warm(self) -> None:
        """Do in a thread what the first call would do on the loop: 30 to 60 ms, for while others start."""
        await asyncio.to_thread(self._identity.preload)

    def changes(self) -> int:
        """How often the credential files have changed, looked at now."""
        self._identity.forget_if_changed()
        return self._identity.changes

    async def issue(self, source: TokenSource) -> RegistryToken:
        """Ask AWS once for a fresh token.

        Raises:
            TransientError: AWS is away, throttles, answers garbage, or its credentials expired.
            PermanentError: credentials are missing or refused, or the region is none.
        """
        failure: OperatorError
        cause: Exception | None = None
        try:
            async with asyncio.timeout(self._call_seconds):
                return await self._ask(source)
        except OperatorError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 -- the boundary: whatever the SDK raises becomes one of ours
            failure, cause = translate(error, source, self._identity.origin), shown(error)
        # Raised outside of the handler, with no traceback of before: frames there hold replies and keys.
        raise failure.with_traceback(None) from cause

    async def _ask(self, source: TokenSource) -> RegistryToken:
        self._identity.forget_if_changed()
        session = self._identity.session
        try:
            keys = await self._identity.keys(source.region)
            async with self._clients.use(session, source, keys) as client:
                return decode_answer(await client.get_authorization_token(), self._clock.now())
        except Exception as error:
            if blames_credentials(error) and session is self._identity.session:
                self._identity.forget()
            raise


def _config() -> AioConfig:
    return AioConfig(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 1},
        # Calls are hours apart: a connection kept until then has been cut by somebody on the way.
        connector_args={"force_close": True, "keepalive_timeout": None},
        http_session_cls=SharedTlsSession,
    )
