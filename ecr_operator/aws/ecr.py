"""The call that everything is for: GetAuthorizationToken, of ECR and of ECR Public.

Invariant: a call ends in a checked token or an OperatorError in bounded time, and neither the error nor its
traceback holds a key, a token or a reply.
Leaves out: when to call again (core.tokens).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import structlog
from botocore.exceptions import BotoCoreError

from ecr_operator.api.errors import OperatorError, TransientError
from ecr_operator.api.identity import Identity, IdentityPolicy, KeyDigest
from ecr_operator.api.outcome import Reason
from ecr_operator.api.registry import answered_region
from ecr_operator.api.token import RegistryToken, TokenSource, decode_answer, plain_region
from ecr_operator.aws.call_errors import invalidates_credentials, redacted, translate
from ecr_operator.aws.client import CALL_SECONDS, AwsClients, Target
from ecr_operator.aws.credential_resolver import CallContext, CredentialResolver
from ecr_operator.aws.credentials import OperatorCredentials
from ecr_operator.aws.endpoints import check_region, is_listed
from ecr_operator.core.ports import Clock, IdentityObjects, SystemClock
from ecr_operator.telemetry.metrics import Metrics

T = TypeVar("T")

_MAX_MISMATCHES: Final = 256

log = structlog.get_logger(__name__)


class EcrTokenIssuer:
    """Fetches tokens as each source's identity; implements `core.ports.TokenIssuer`. Belongs to one loop."""

    def __init__(  # noqa: PLR0913 -- the parts that it joins
        self,
        clock: Clock | None = None,
        tenants: IdentityObjects | None = None,
        policy: IdentityPolicy | None = None,
        *,
        call_seconds: float = CALL_SECONDS,
        metrics: Metrics | None = None,
        regions: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """Look at the credential files, by the SDK's variables and defaults; nothing is asked yet.

        Args:
            clock: gives `issued_at`; the machine's by default.
            tenants: reads what resources name; without it only the operator's plain identity works.
            policy: what the operator's identity may be used for; nothing beside itself by default.
            call_seconds: the longest that finding the operator's keys may take, and each call to AWS.
            metrics: where calls are noted.
            regions: of the resources, oldest first; STS is asked there for the operator's own role if no
                region is set.
        """
        self._clock = clock or SystemClock()
        self._credentials = OperatorCredentials(self._clock, seconds=call_seconds, regions=regions)
        self._clients = AwsClients(call_seconds=call_seconds, metrics=metrics)
        self._mismatches = RegionMismatches()
        self._resolver = CredentialResolver(
            self._credentials, self._clients, tenants, policy or IdentityPolicy(), self._clock
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._credentials.close()
        await self._clients.close()

    def changes(self) -> int:
        """How often the operator got another identity or valid keys; files are looked at now."""
        self._credentials.reload_if_changed()
        return self._credentials.changes

    async def issue(self, source: TokenSource) -> RegistryToken:
        """Ask AWS once for a fresh token, as the identity of the source.

        Raises:
            TransientError: AWS or Kubernetes is away, throttles, answers garbage, or credentials expired.
            PermanentError: credentials are missing or refused, a role is not permitted, no such region.
        """
        self._credentials.reload_if_changed()
        call = CallContext(source)
        return await self._translated(call, self._ask(call))

    async def basis(self, identity: Identity) -> str:
        """A digest of what permits an identity now; see the port. Raises OperatorError."""
        return await self._resolver.basis(identity)

    async def long_lived(self, identity: Identity) -> KeyDigest:
        """Digest the long-lived keys that an identity has now; see the port. Raises OperatorError."""
        return await self._resolver.long_lived(identity)

    async def origin(self) -> str:
        """Where the operator's own credentials come from; nobody is asked over the network.

        Raises:
            PermanentError: none are configured, or what is configured is not valid.
        """
        return (await self._credentials.configured())[0]

    @property
    def region(self) -> str:
        """The region that the SDK uses: AWS_DEFAULT_REGION, or the profile's; empty for none."""
        try:
            return str(self._credentials.session.get_config_variable("region") or "")
        except BotoCoreError:
            return ""

    async def fetched_origin(self, region: str) -> str:
        """Where the operator's own keys come from, once they are fetched for a region.

        Raises:
            OperatorError: there are none, or they can't be fetched.
        """
        call = CallContext(TokenSource(region=region))
        await self._translated(call, self._resolver.operator_keys(call))
        return self._credentials.origin

    async def caller_arn(self, region: str) -> str:
        """Whose the operator's own keys are, by STS's GetCallerIdentity, which needs no permission.

        Raises:
            OperatorError: AWS does not accept them, or can't be reached.
        """
        call = CallContext(TokenSource(region=region))
        arn = (await self._translated(call, self._identify(call))).get("Arn")
        if not isinstance(arn, str) or not arn.isprintable():
            message = "STS answered GetCallerIdentity without an ARN. Check AWS_ENDPOINT_URL and proxies."
            raise TransientError(Reason.INVALID_TOKEN_RESPONSE, message)
        return arn

    def release(self, identity: Identity) -> None:
        """Drop the role sessions of an identity that no resource uses any more."""
        self._resolver.release(identity)

    def check(self, source: TokenSource) -> None:
        """Refuse a region that must not be asked. Raises PermanentError `InvalidSpec`."""
        check_region(source)

    def is_listed(self, region: str) -> bool:
        """Whether the SDK lists the region; `fips-` and `-fips` around it don't count."""
        return is_listed(plain_region(region))

    async def _ask(self, call: CallContext) -> RegistryToken:
        self.check(call.source)
        keys = await self._resolver.keys(call)
        target = Target(call.source.service, call.source.region)
        answer = await self._clients.call(self._credentials.session, target, keys, "get_authorization_token")
        token = decode_answer(answer, self._clock.now())
        self._mismatches.compare(call.source, answered_region(token.proxy_endpoint))
        return replace(token, basis=call.basis, key_hash=call.key_hash)

    async def _identify(self, call: CallContext) -> Mapping[str, Any]:
        keys = await self._resolver.operator_keys(call)
        target = Target("sts", call.source.region)
        return await self._clients.call(self._credentials.session, target, keys, "get_caller_identity")

    async def _translated(self, call: CallContext, asked: Awaitable[T]) -> T:
        """Await a call; whatever it raises becomes an OperatorError.

        Its traceback holds no frame of the call, since those hold replies and keys.
        """
        failure: OperatorError
        cause: Exception | None = None
        try:
            return await asked
        except OperatorError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 -- the boundary: whatever the SDK raises becomes one of ours
            if invalidates_credentials(error):
                call.invalidate()
            origin = self._credentials.origin if call.origin is None else call.origin
            failure, cause = translate(error, call.source, origin), redacted(error)
        raise failure.with_traceback(None) from cause


class RegionMismatches:
    """Sources that AWS answers with another region, each logged once; 256 are remembered."""

    def __init__(self) -> None:
        self._logged: set[TokenSource] = set()

    def compare(self, source: TokenSource, answered: str) -> None:
        """Log once per source that AWS names a registry of another region: the token may not open ours."""
        if answered in ("", source.plain_region) or source.service == "ecr-public":
            self._logged.discard(source)
        elif source not in self._logged:
            if len(self._logged) >= _MAX_MISMATCHES:
                self._logged.clear()
            self._logged.add(source)
            # With a namespace the line is of that namespace's share of the log.
            namespace = source.identity.namespace
            log.warning(
                "AWS answered with a registry of another region; check AWS_ENDPOINT_URL and the region",
                region=source.region,
                answered_region=answered,
                identity=str(source.identity),
                **({"namespace": namespace} if namespace else {}),
            )
