"""The instance's role, by its metadata service: last in the chain, one short attempt, not repeated for ever.

Where there is no such service, asking costs the SDK's two timeouts each time; so a failure is remembered.
`AWS_EC2_METADATA_DISABLED=true` turns it off, which the SDK sees to.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from botocore.exceptions import ReadTimeoutError

from ecr_operator.core.ports import Clock

METHOD: Final = "iam-role"
# The SDK's own attempt: 1 s for an IMDSv2 token, 1 s for the role. Behind a hop limit of 1 the first always
# fails and the second may not, so both get their time.
_LONGEST: Final = 3.0
_REMEMBERED: Final = 300.0  # seconds
_SESSION_METHOD: Final = "PUT"
_REFUSALS: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED)
_NAME: Final = "the instance's metadata service"
# Its answer to a request for a session is the one that the hop limit counts for: a pod does not get it.
_HOP_LIMIT: Final = (
    f"{_NAME}, which accepts connections but returns no session token: the usual cause is a hop limit of 1 "
    "for the EC2 instance, which keeps pods from it (use a web identity or EKS Pod Identity, or set the "
    "instance's http-put-response-hop-limit to 2)"
)
_REFUSED: Final = (
    f"{_NAME}, which refuses a session token (HTTP {{}}): it is turned off for the instance, or something on "
    "the node or a proxy keeps pods from it (use a web identity or EKS Pod Identity)"
)
_NO_ROLE: Final = f"{_NAME}, which knows no role of the instance (give the instance a profile with a role)"


class InstanceRole:
    """What is known of the metadata service, over all sessions and regions."""

    def __init__(self, clock: Clock) -> None:
        """Args: clock: its monotonic time tells when to ask again."""
        self._clock = clock
        self._ask_again = float("-inf")
        self._words = _NAME

    @property
    def words(self) -> str:
        """The service for a message that keys are missing: why it gave none, as far as its answers tell."""
        return self._words

    def watch_over(self, resolver: Any) -> None:  # noqa: ANN401 -- the SDK has no types
        """Put a provider with this memory in place of the resolver's own, at its end."""
        plain = resolver.get_provider(METHOD)
        http = plain._role_fetcher._session  # noqa: SLF001 -- it has no other door
        http.send = self._observed(http.send)
        resolver.remove(METHOD)
        resolver.providers.append(_Provider(self, plain))

    async def load(self, plain: Any) -> Any:  # noqa: ANN401 -- the SDK has no types
        """Ask the SDK's provider, unless it failed a short while ago; None is no role."""
        if self._clock.monotonic() < self._ask_again:
            return None
        found, self._words = None, _NAME
        try:
            async with asyncio.timeout(_LONGEST):
                found = await plain.load()
        except Exception:  # noqa: BLE001, S110 -- no way of failing makes an absent service an error
            pass
        if found is None:
            self._ask_again = self._clock.monotonic() + _REMEMBERED
        return found

    def _observed(self, send: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
        """The SDK's `send`, whose outcomes are noted: the SDK itself keeps them to its debug log."""

        async def observed(request: Any) -> Any:  # noqa: ANN401 -- the SDK has no types
            try:
                response = await send(request)
            except ReadTimeoutError:
                # It was connected to. The request that follows without a session tells nothing more.
                if request.method == _SESSION_METHOD:
                    self._words = _HOP_LIMIT
                raise
            self._note(request.method, response.status_code)
            return response

        return observed

    def _note(self, method: str, status: int) -> None:
        if method == _SESSION_METHOD and status in _REFUSALS:
            self._words = _REFUSED.format(int(status))
        elif method != _SESSION_METHOD and status == HTTPStatus.NOT_FOUND and self._words == _NAME:
            self._words = _NO_ROLE


class _Provider:
    """A credential provider as the SDK's resolver expects it."""

    METHOD = METHOD
    CANONICAL_NAME = "Ec2InstanceMetadata"

    def __init__(self, role: InstanceRole, plain: Any) -> None:  # noqa: ANN401 -- the SDK has no types
        self._role = role
        self._plain = plain

    async def load(self) -> Any:  # noqa: ANN401 -- the SDK has no types
        return await self._role.load(self._plain)
