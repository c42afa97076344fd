"""From an identity to the keys that sign its call: the operator's, a Secret's, or those of an assumed role.

Invariants: what permits an identity (the namespace's annotation, the Secret, the ServiceAccount's role) is
read afresh for every call, and nothing that was made on another basis is used. No identity but the operator's
own ever gets the operator's keys.
Leaves out: what a failure means (aws.call_errors), and the call to ECR (aws.ecr).
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.identity import (
    ROLE_ANNOTATION,
    Identity,
    IdentityPolicy,
    KeyDigest,
    check_permitted,
    is_role_arn,
    permits,
    refuse_for_cluster,
    session_name,
    session_tags,
)
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.client import AwsClients, Target
from ecr_operator.aws.credentials import OperatorCredentials
from ecr_operator.aws.endpoints import check_partition
from ecr_operator.aws.keys import AwsKeys, read_iam_keys
from ecr_operator.aws.sts import SESSION_SECONDS, RoleSessions
from ecr_operator.core.ports import Clock, IdentityObjects

_NO_ROLE: Final = (
    f"{{}} names no role. Set spec.role_arn, or annotate it "
    f"{ROLE_ANNOTATION}=arn:aws:iam::123456789012:role/NAME. An EKS Pod Identity association is not enough: "
    "EKS serves it only to pods that run as that ServiceAccount, and the operator's pod does not."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Permission:
    """What permits an identity, as read just now.

    Attributes:
        basis: its digest.
        role_arn: the role to assume; empty for none.
        keys: of the Secret that the identity names.
    """

    basis: str = ""
    role_arn: str = ""
    keys: AwsKeys | None = None


@dataclass(slots=True)
class CallContext:
    """One call, and what is needed if it fails.

    Attributes:
        source: what the call is for; with its role, once that is known.
        origin: where the keys come from that sign at present; None for the operator's own.
        invalidate: drops those keys, when AWS refuses them.
        basis: of the keys; see `TokenIssuer.basis`.
        key_hash: of the id of the long-lived keys that the call begins with; empty for others.
    """

    source: TokenSource
    origin: str | None = None
    invalidate: Callable[[], None] = lambda: None
    basis: str = ""
    key_hash: str = ""


class CredentialResolver:
    """Finds the keys for each call. Belongs to one event loop."""

    def __init__(
        self,
        operator: OperatorCredentials,
        clients: AwsClients,
        tenants: IdentityObjects | None,
        policy: IdentityPolicy,
        clock: Clock,
    ) -> None:
        """Join the parts; nothing is asked yet.

        Args:
            operator: its own credentials.
            clients: for the calls to STS.
            tenants: reads what resources name; without it only the operator's plain identity works.
            policy: what the operator's own identity may be used for.
            clock: limits how long a session is used.
        """
        self._operator = operator
        self._clients = clients
        self._reader = tenants
        self._policy = policy
        self._sessions = RoleSessions(clock)
        # So that a digest reveals nothing, not even to those who try keys.
        self._digest_key = secrets.token_bytes(32)

    async def keys(self, call: CallContext) -> AwsKeys:
        """The keys that sign a call to ECR; `origin`, `invalidate` and `basis` of the context become theirs.

        Raises:
            OperatorError: the identity is not permitted, or lacks something.
            Exception: the failure of STS; aws.call_errors translates it.
        """
        named = call.source.identity
        if named.source != "operator":
            call.origin = _name(named)
        permission = await self._read(named)
        call.basis, keys = permission.basis, permission.keys
        made_from: object = permission.basis
        # Messages name the role of an annotation too.
        call.source = replace(call.source, identity=replace(named, role_arn=permission.role_arn))
        if named.source == "operator":
            made_from = (permission.basis, self._operator.generation)
            keys = await self.operator_keys(call)
            check_partition(call.source.region, self._operator.first_hop.role_arn, permission.role_arn)
        call.key_hash = keys.id_hash if keys else ""
        if keys and not permission.role_arn:
            return keys
        source = call.source
        of_role = await self._sessions.keys(
            named, source.region, made_from, lambda: self._assume(source, keys)
        )
        call.origin = f"the session of {permission.role_arn}"
        call.invalidate = lambda: self._sessions.invalidate(named, source.region, of_role)
        return of_role

    async def operator_keys(self, call: CallContext) -> AwsKeys:
        """The operator's own keys; the context gets what is needed if they, or the call, fail.

        Raises:
            OperatorError: there are none, or they have expired.
            Exception: the failure of STS or another endpoint; aws.call_errors translates it.
        """
        generation = self._operator.generation
        call.invalidate = lambda: self._operator.invalidate(generation)
        try:
            return await self._operator.keys()
        except Exception:
            region = self._operator.first_hop.failed_in or call.source.region
            call.source = replace(call.source, region=region)
            raise

    async def basis(self, identity: Identity) -> str:
        """The digest of what permits an identity now; see `TokenIssuer.basis`. Raises OperatorError."""
        return (await self._read(identity)).basis

    async def long_lived(self, identity: Identity) -> KeyDigest:
        """The digest of an identity's long-lived keys; see `TokenIssuer.long_lived`. Raises OperatorError."""
        keys = None
        try:
            match identity.source:
                case "operator":
                    _, keys = await self._operator.configured()
                case "iam_secret":
                    keys = (await self._read_secret(identity)).keys
        except PermanentError as error:
            if error.reason is not Reason.CREDENTIALS_MISSING:
                raise
        if keys is None or not keys.id_hash:
            return KeyDigest()
        contents = self._digest("long-lived", keys.access_key, keys.secret_key)
        return KeyDigest(id_hash=keys.id_hash, contents=contents)

    def release(self, identity: Identity) -> None:
        """Drop what is kept for an identity."""
        self._sessions.release(identity)

    async def _read(self, identity: Identity) -> _Permission:
        match identity.source:
            case "service_account":
                return await self._read_service_account(identity)
            case "iam_secret":
                return await self._read_secret(identity)
        if not identity.role_arn:
            return _Permission()
        if permits(self._policy.permitted_roles, identity.role_arn):
            return _Permission(basis=self._digest("flag"), role_arn=identity.role_arn)
        if not identity.namespace:
            raise refuse_for_cluster(identity)
        facts = await self._tenants.namespace(identity.namespace)
        check_permitted(identity, facts.permitted_roles)
        return _Permission(basis=self._digest("namespace", facts.uid), role_arn=identity.role_arn)

    async def _read_service_account(self, identity: Identity) -> _Permission:
        found = await self._tenants.service_account(identity.namespace, identity.name)
        role = identity.role_arn or _checked_role(found.role, _name(identity))
        return _Permission(basis=self._digest("service_account", found.uid, role), role_arn=role)

    async def _read_secret(self, identity: Identity) -> _Permission:
        found = await self._tenants.iam_keys(identity.namespace, identity.name)
        keys = read_iam_keys(found.data, _name(identity))
        parts = (keys.access_key, keys.secret_key, keys.session_token or "")
        basis = self._digest("iam_secret", found.uid, *parts)
        return _Permission(basis=basis, role_arn=identity.role_arn, keys=keys)

    def _digest(self, *parts: str) -> str:
        # No part holds a zero byte.
        joined = "\0".join(parts).encode()
        return hashlib.blake2b(joined, digest_size=16, key=self._digest_key).hexdigest()

    async def _assume(self, source: TokenSource, keys: AwsKeys | None) -> Mapping[str, Any]:
        """Ask STS for a session of the identity's role, with its keys or, without any, its web token."""
        identity = source.identity
        operation, options = "assume_role", dict[str, Any]()
        if identity.source == "service_account":
            operation = "assume_role_with_web_identity"
            token = await self._tenants.service_account_token(identity.namespace, identity.name)
            options = {"WebIdentityToken": token}
        elif identity.source == "operator":
            options = self._session_options(identity)
        return await self._clients.call(
            self._operator.session,
            Target("sts", source.region),
            keys,
            operation,
            RoleArn=identity.role_arn,
            RoleSessionName=session_name(identity),
            DurationSeconds=SESSION_SECONDS,
            **options,
        )

    def _session_options(self, identity: Identity) -> dict[str, Any]:
        """What shows the role's owner for whom the operator asks; never sent with a tenant's own keys."""
        options: dict[str, Any] = {}
        if self._policy.external_id:
            options["ExternalId"] = self._policy.external_id
        if self._policy.session_tags:
            options["Tags"] = [{"Key": key, "Value": value} for key, value in session_tags(identity).items()]
        return options

    @property
    def _tenants(self) -> IdentityObjects:
        if self._reader is None:
            message = "This operator reads nothing of namespaces, so resources can't name identities."
            raise PermanentError(Reason.ROLE_NOT_PERMITTED, message)
        return self._reader


def _name(identity: Identity) -> str:
    kind = "ServiceAccount" if identity.source == "service_account" else "Secret"
    return f"{kind} {identity.namespace}/{identity.name}"


def _checked_role(annotation: str | None, account: str) -> str:
    if annotation is None or not annotation.strip():
        raise PermanentError(Reason.CREDENTIALS_MISSING, _NO_ROLE.format(account))
    if not is_role_arn(annotation):
        raise PermanentError(
            Reason.CREDENTIALS_MISSING,
            f"The annotation {ROLE_ANNOTATION} of {account} is not a valid IAM role ARN. Correct it there.",
        )
    return annotation
