"""Gathering the tokens of all the logins that one Secret holds.

Invariant: a login whose source fails keeps the token that it has, and never holds up the others for longer
than one call takes.
"""

import json
from base64 import b64decode
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from ecr_operator.api.desired import Desired
from ecr_operator.api.token import RegistryToken, TokenSource
from ecr_operator.core.drift import times_by_login
from ecr_operator.core.manifest import DOCKER_KEY
from ecr_operator.core.ports import SecretStore
from ecr_operator.core.secret_view import SecretView
from ecr_operator.core.state import ResourceState
from ecr_operator.core.token_state import GatheredTokens, RateLimited, TokenFailure
from ecr_operator.core.tokens import TokenCache


class Logins:
    """Gets tokens for the logins of a Secret.

    Args:
        tokens: the token cache.
        secrets: to read a login that stays.
        tag_sessions: roles are assumed for each resource by itself, with its name as a session tag.
    """

    def __init__(self, tokens: TokenCache, secrets: SecretStore, *, tag_sessions: bool = False) -> None:
        self._tokens = tokens
        self._secrets = secrets
        self._tag_sessions = tag_sessions

    def release(self, state: ResourceState) -> None:
        """Have a resource use no source any more."""
        self._tokens.release(state)

    async def gather(
        self,
        state: ResourceState,
        desired: Desired,
        present: SecretView | None,
        acceptable: Callable[[RegistryToken], bool],
    ) -> GatheredTokens:
        """Read what permits the identity, then get a token of every source from the cache.

        Args:
            state: of the resource.
            desired: what it asks for.
            present: its Secret, if its data are as the operator wrote them.
            acceptable: whether a cached token will do.

        Raises:
            OperatorError: nothing permits the identity, or it or the present Secret can't be read.
        """
        expires_at = present.times.expires_at if present and present.times else None
        tagged = {source: self._tagged(source, desired) for source in desired.sources}
        self._tokens.release(state, keep=set(tagged.values()))
        # All logins of a Secret have one identity.
        basis = await self._tokens.basis(next(iter(tagged.values())).identity)
        if _is_new_request(state, desired, present):
            for source in tagged.values():
                self._tokens.reset_backoff(source)
        found = {
            source: self._tokens.get(own, state, basis, expires_at, acceptable)
            for source, own in tagged.items()
        }
        gathered = _sort(desired, found)
        if gathered.tokens and gathered.failures and present and not gathered.pending:
            return await self._with_old(desired, present, gathered)
        return gathered

    def _tagged(self, source: TokenSource, desired: Desired) -> TokenSource:
        identity = source.identity
        if not self._tag_sessions or identity.source != "operator" or not identity.role_arn:
            return source
        return replace(source, identity=replace(identity, resource=desired.key.name))

    async def _with_old(
        self, desired: Desired, present: SecretView, gathered: GatheredTokens
    ) -> GatheredTokens:
        """The same, with the logins of the present Secret where the source fails."""
        secret = await self._secrets.read(present.namespace, present.name)
        old = _passwords(secret) if secret and secret["metadata"]["uid"] == present.uid else {}
        kept = {
            key: RegistryToken(
                password=old[key],
                issued_at=times.issued_at,
                expires_at=times.expires_at,
                key_hash=present.key_hash or "",
            )
            for key, times in times_by_login(present, desired).items()
            if key in gathered.failures and key in old
        }
        return GatheredTokens(
            tokens={**gathered.tokens, **kept}, failures=gathered.failures, rate_limited=gathered.rate_limited
        )


def _is_new_request(state: ResourceState, desired: Desired, present: SecretView | None) -> bool:
    """Note the request for a fresh token; True if it was not noted before."""
    request = desired.refresh_requested
    if request is None or (present and present.refresh_requested == request):
        return False
    is_new = state.answered_request != request
    state.answered_request = request
    return is_new


def _sort(
    desired: Desired, found: Mapping[TokenSource, RegistryToken | TokenFailure | RateLimited | None]
) -> GatheredTokens:
    by_key = {login.key: found[login.source] for login in desired.logins}
    soon = [one.retry_at for one in by_key.values() if isinstance(one, RateLimited)]
    return GatheredTokens(
        tokens={key: one for key, one in by_key.items() if isinstance(one, RegistryToken)},
        failures={key: one for key, one in by_key.items() if isinstance(one, TokenFailure)},
        rate_limited=min(soon, default=None),
        pending=_is_pending(by_key.values()),
    )


def _is_pending(found: Collection[RegistryToken | TokenFailure | RateLimited | None]) -> bool:
    """Whether to wait: for a call that has just begun, or where nothing else is known yet."""
    unanswered = any(isinstance(one, TokenFailure) and one.unanswered for one in found)
    has_tokens = any(isinstance(one, RegistryToken) for one in found)
    return any(one is None for one in found) or (unanswered and not has_tokens)


def _passwords(secret: Mapping[str, Any]) -> dict[str, str]:
    """The passwords in a Secret of ours, by registry key; whatever can't be read is left out."""
    try:
        auths = json.loads(b64decode(secret["data"][DOCKER_KEY]))["auths"]
        return {key: login["password"] for key, login in auths.items() if login["password"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
