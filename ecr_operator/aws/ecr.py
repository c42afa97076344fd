"""The one call that all is about: GetAuthorizationToken, of ECR and of ECR Public.

Invariant: a call ends in a checked token or an OperatorError in bounded time, and neither the error nor its
traceback holds a key, a token or a reply. The SDK's own retries are off: when to ask again is control's.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

import structlog
from aiobotocore.config import AioConfig

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.identity import Identity, IdentityPolicy, KeyDigest
from ecr_operator.api.registry import answered_region
from ecr_operator.api.token import RegistryToken, TokenSource, decode_answer, plain_region
from ecr_operator.aws.clients import CALL_SECONDS, CONNECTIONS, ClientPool, Target
from ecr_operator.aws.endpoints import check_region, is_listed, plain_http_warning
from ecr_operator.aws.errors import invalidates_credentials, shown, translate
from ecr_operator.aws.identities import OperatorIdentity
from ecr_operator.aws.resolver import LISTED_THREADS, connector_args
from ecr_operator.aws.signers import CallContext, CredentialResolver
from ecr_operator.aws.tls import SharedTlsSession
from ecr_operator.core.ports import Clock, SystemClock, TenantReader
from ecr_operator.telemetry.metrics import Metrics

_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 10.0
_MOST_ELSEWHERE: Final = 256

log = structlog.get_logger(__name__)


class EcrTokenIssuer:
    """Fetches tokens as each source's identity; fulfils `control.ports.TokenIssuer`. Belongs to one loop."""

    def __init__(  # noqa: PLR0913 -- the parts that it joins
        self,
        clock: Clock | None = None,
        tenants: TenantReader | None = None,
        policy: IdentityPolicy | None = None,
        *,
        call_seconds: float = CALL_SECONDS,
        metrics: Metrics | None = None,
        regions: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """Look at the credential files, by the SDK's variables and defaults; nothing is asked yet.

        Args:
            clock: tells `issued_at`; the machine's by default.
            tenants: reads what resources name; without it only the operator's plain identity works.
            policy: what the operator's identity may be used for; nothing beside itself by default.
            call_seconds: the longest that finding the operator's keys may take, and each call to AWS.
            metrics: where calls are noted.
            regions: of the resources, oldest first; STS is asked there for the operator's own role if no
                region is set.
        """
        self._clock = clock or SystemClock()
        self._identity = OperatorIdentity(client_config(), self._clock, seconds=call_seconds, regions=regions)
        self._clients = ClientPool(call_seconds=call_seconds, metrics=metrics)
        self._elsewhere = Elsewhere()
        self._signers = CredentialResolver(
            self._identity,
            self._clients,
            tenants,
            policy or IdentityPolicy(),
            self._clock,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._identity.close()
        await self._clients.close()

    async def warm(self) -> None:
        """Do in a thread what the first call would do on the loop: 30 to 60 ms, for while others start."""
        await asyncio.to_thread(self._identity.preload)

    def changes(self) -> int:
        """How often the operator has become somebody else or got valid keys; files are looked at now."""
        self._identity.forget_if_changed()
        return self._identity.changes

    async def issue(self, source: TokenSource) -> RegistryToken:
        """Ask AWS once for a fresh token, as the identity of the source.

        Raises:
            TransientError: AWS or Kubernetes is away, throttles, answers garbage, or credentials expired.
            PermanentError: credentials are missing or refused, a role is not permitted, no such region.
        """
        failure: OperatorError
        cause: Exception | None = None
        self._identity.forget_if_changed()
        attempt = CallContext(source)
        try:
            return await self._ask(attempt)
        except OperatorError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 -- the boundary: whatever the SDK raises becomes one of ours
            failure, cause = self._judge(attempt, error), shown(error)
        # Raised outside of the handler, with no traceback of before: frames there hold replies and keys.
        raise failure.with_traceback(None) from cause

    async def basis(self, identity: Identity) -> str:
        """A digest of what permits an identity now; see the port.

        Raises:
            OperatorError: it is not permitted, lacks something, or the API server does not answer.
        """
        return await self._signers.basis(identity)

    async def long_lived(self, identity: Identity) -> KeyDigest:
        """Digest the long-lived keys that an identity has now; see the port. Raises OperatorError."""
        return await self._signers.long_lived(identity)

    async def origin(self) -> str:
        """Where the operator's own credentials come from, in words; nobody is asked over the network.

        Raises:
            PermanentError: none are configured, or what is configured is not valid.
        """
        return (await self._identity.configured()).origin

    def release(self, identity: Identity) -> None:
        """Drop the role sessions of an identity that no resource uses any more."""
        self._signers.release(identity)
        self._elsewhere.release(identity)

    def plain_http_warning(self) -> str | None:
        """One sentence if AWS is to be reached without TLS on another machine; None otherwise."""
        return plain_http_warning(os.environ)

    def check(self, source: TokenSource) -> None:
        """Refuse a region that must not be asked. Raises PermanentError `InvalidSpec`."""
        check_region(source, os.environ)

    def is_listed(self, region: str) -> bool:
        """Whether the SDK lists the region; `fips-` and `-fips` around it don't count."""
        return is_listed(plain_region(region))

    async def _ask(self, attempt: CallContext) -> RegistryToken:
        self.check(attempt.source)
        keys = await self._signers.keys(attempt)
        target = Target(attempt.source.service, attempt.source.region)
        answer = await self._clients.call(self._identity.session, target, keys, "get_authorization_token")
        token = decode_answer(answer, self._clock.now())
        self._elsewhere.compare(attempt.source, answered_region(token.proxy_endpoint))
        return replace(token, basis=attempt.basis, key_hash=attempt.key_hash)

    def _judge(self, attempt: CallContext, error: Exception) -> OperatorError:
        if invalidates_credentials(error):
            attempt.forget()
        origin = self._identity.origin if attempt.origin is None else attempt.origin
        return translate(error, attempt.source, origin)


class Elsewhere:
    """Sources that AWS answers with another region, each logged once; the latest of very many are known."""

    def __init__(self) -> None:
        # The one logged last is last.
        self._logged: dict[TokenSource, None] = {}

    def compare(self, source: TokenSource, answered: str) -> None:
        """Log once per source that AWS names a registry of another region: the token may not open ours."""
        if answered in ("", source.plain_region) or source.service == "ecr-public":
            self._logged.pop(source, None)
        elif source not in self._logged:
            self._logged[source] = None
            if len(self._logged) > _MOST_ELSEWHERE:
                del self._logged[next(iter(self._logged))]
            # With a namespace the line is of that namespace's share of the log.
            namespace = source.identity.namespace
            log.warning(
                "AWS answered with a registry of another region; check AWS_ENDPOINT_URL and the region",
                region=source.region,
                answered_region=answered,
                identity=str(source.identity),
                **({"namespace": namespace} if namespace else {}),
            )

    def release(self, identity: Identity) -> None:
        """Forget the sources of an identity that no resource uses any more."""
        self._logged = {source: None for source in self._logged if source.identity != identity}


def client_config() -> AioConfig:
    """Timeouts and retries of every client, of STS too."""
    return AioConfig(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 1},
        connector_args=connector_args(LISTED_THREADS),
        http_session_cls=SharedTlsSession,
    )
