"""From an identity to the keys that sign its call: the operator's, a Secret's, or those of an assumed role.

Invariants: what decides is read afresh for every call (the namespace's permission, the Secret, the
ServiceAccount's annotation). No identity but the operator's own ever gets the operator's keys.
Leaves out: what a failure means (aws.errors), and the call to ECR (aws.ecr).
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ecr_operator.aws.clients import ClientPool, Target
from ecr_operator.aws.identities import AwsKeys, OperatorIdentity
from ecr_operator.aws.sessions import SESSION_SECONDS, RoleSessions
from ecr_operator.aws.tenant_keys import read_iam_keys
from ecr_operator.control.ports import Clock, TenantReader
from ecr_operator.model.errors import PermanentError
from ecr_operator.model.identities import (
    PERMITTED_ROLES,
    ROLE_ANNOTATION,
    Identity,
    IdentityPolicy,
    check_permitted,
    is_role_arn,
    permits,
    session_name,
    session_tags,
)
from ecr_operator.model.outcome import Reason
from ecr_operator.model.tokens import TokenSource

_NO_ROLE: Final = (
    f"{{}} names no role: set spec.role_arn, or annotate it "
    f"{ROLE_ANNOTATION}=arn:aws:iam::123456789012:role/NAME."
)


@dataclass(slots=True)
class Attempt:
    """One call, and what to say and do if it fails.

    Attributes:
        source: whom it is for; with its role, once that is known.
        origin: where the keys come from that sign at present; None for the operator's own.
        forget: lets go of those keys, when AWS finds fault with them.
    """

    source: TokenSource
    origin: str | None = None
    forget: Callable[[], None] = lambda: None


class Signers:
    """Finds the keys for each call. Belongs to one event loop."""

    def __init__(  # noqa: PLR0913 -- the parts that it joins
        self,
        operator: OperatorIdentity,
        clients: ClientPool,
        tenants: TenantReader | None,
        policy: IdentityPolicy,
        clock: Clock,
        *,
        call_seconds: float,
    ) -> None:
        """Join the parts; nothing is asked yet.

        Args:
            operator: the operator's own identity.
            clients: make the calls to STS.
            tenants: reads what resources name; without it only the operator's plain identity works.
            policy: what the operator's own identity may be used for.
            clock: tells when keys are too old.
            call_seconds: the longest that finding the operator's own keys may take.
        """
        self._operator = operator
        self._clients = clients
        self._reader = tenants
        self._policy = policy
        self._call_seconds = call_seconds
        self._sessions = RoleSessions(clock)

    async def keys(self, attempt: Attempt) -> AwsKeys:
        """The keys that sign the attempt's call to ECR; its `origin` and `forget` tell of them.

        Raises:
            OperatorError: the identity is not permitted, or lacks something.
            Exception: what STS's failure comes as; aws.errors translates it.
        """
        identity = attempt.source.identity
        match identity.source:
            case "service_account":
                return await self._as_service_account(attempt)
            case "iam_secret":
                return await self._as_secret(attempt)
        if identity.role_arn:
            await self._check_permitted(identity)
        return await self._as_operator(attempt)

    async def _as_operator(self, attempt: Attempt) -> AwsKeys:
        identity, generation = attempt.source.identity, self._operator.generation
        attempt.forget = lambda: self._operator.blame(generation)
        async with asyncio.timeout(self._call_seconds):
            keys = await self._operator.keys(attempt.source.region)
        if not identity.role_arn:
            return keys
        return await self._assume_role(attempt, keys, generation, **self._marks(identity))

    async def _as_service_account(self, attempt: Attempt) -> AwsKeys:
        identity, region = attempt.source.identity, attempt.source.region
        account = f"ServiceAccount {identity.namespace}/{identity.name}"
        attempt.origin = account
        if not identity.role_arn:
            annotation = await self._tenants.service_account_role(identity.namespace, identity.name)
            identity = replace(identity, role_arn=_checked_role(annotation, account))
            attempt.source = replace(attempt.source, identity=identity)

        async def assume() -> Mapping[str, Any]:
            token = await self._tenants.service_account_token(identity.namespace, identity.name)
            return await self._ask_sts(
                region, None, identity, "assume_role_with_web_identity", WebIdentityToken=token
            )

        keys = await self._sessions.keys(identity, region, None, assume)
        self._now_with_role(attempt, keys)
        return keys

    async def _as_secret(self, attempt: Attempt) -> AwsKeys:
        identity = attempt.source.identity
        secret = f"Secret {identity.namespace}/{identity.name}"
        attempt.origin = secret
        keys = read_iam_keys(await self._tenants.iam_keys(identity.namespace, identity.name), secret)
        if not identity.role_arn:
            return keys
        return await self._assume_role(attempt, keys, keys)

    async def _assume_role(
        self,
        attempt: Attempt,
        base: AwsKeys,
        basis: object,
        **marks: Any,  # noqa: ANN401 -- arguments of the SDK
    ) -> AwsKeys:
        identity, region = attempt.source.identity, attempt.source.region

        async def assume() -> Mapping[str, Any]:
            return await self._ask_sts(region, base, identity, "assume_role", **marks)

        keys = await self._sessions.keys(identity, region, basis, assume)
        self._now_with_role(attempt, keys)
        return keys

    async def _ask_sts(
        self,
        region: str,
        keys: AwsKeys | None,
        identity: Identity,
        operation: str,
        **arguments: Any,  # noqa: ANN401 -- arguments of the SDK
    ) -> Mapping[str, Any]:
        return await self._clients.call(
            self._operator.session,
            Target("sts", region),
            keys,
            operation,
            RoleArn=identity.role_arn,
            RoleSessionName=session_name(identity),
            DurationSeconds=SESSION_SECONDS,
            **arguments,
        )

    def _now_with_role(self, attempt: Attempt, keys: AwsKeys) -> None:
        """From here on the role's keys are at work, and to blame."""
        identity, region = attempt.source.identity, attempt.source.region
        attempt.origin = f"the session of {identity.role_arn}"
        attempt.forget = lambda: self._sessions.forget(identity, region, keys)

    def _marks(self, identity: Identity) -> dict[str, Any]:
        """What tells the role's owner for whom the operator asks; never sent with a tenant's own keys."""
        marks: dict[str, Any] = {}
        if self._policy.external_id:
            marks["ExternalId"] = self._policy.external_id
        if self._policy.session_tags:
            marks["Tags"] = [{"Key": key, "Value": value} for key, value in session_tags(identity).items()]
        return marks

    async def _check_permitted(self, identity: Identity) -> None:
        if permits(self._policy.permitted_roles, identity.role_arn):
            return
        facts = await self._tenants.namespace(identity.namespace)
        check_permitted(identity, facts.annotations.get(PERMITTED_ROLES, ""))

    @property
    def _tenants(self) -> TenantReader:
        if self._reader is None:
            message = "This operator reads nothing of namespaces, so resources can't name identities."
            raise PermanentError(Reason.ROLE_NOT_PERMITTED, message)
        return self._reader


def _checked_role(annotation: str | None, account: str) -> str:
    if annotation is None or not annotation.strip():
        raise PermanentError(Reason.CREDENTIALS_MISSING, _NO_ROLE.format(account))
    if not is_role_arn(annotation):
        raise PermanentError(
            Reason.CREDENTIALS_MISSING,
            f"The annotation {ROLE_ANNOTATION} of {account} is no ARN of a role. Correct it there.",
        )
    return annotation
