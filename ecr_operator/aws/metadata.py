"""The instance's role, by its metadata service: last in the chain, asked shortly, and not asked for ever.

Where there is no such service, asking costs the SDK's two timeouts each time; so a failure is remembered.
`AWS_EC2_METADATA_DISABLED=true` turns it off, which the SDK sees to.
"""

import asyncio
from typing import Any, Final

from ecr_operator.control.ports import Clock

METHOD: Final = "iam-role"
# The SDK's own attempt: 1 s for an IMDSv2 token, 1 s for the role. Behind a hop limit of 1 the first always
# fails and the second may not, so both get their time.
_LONGEST: Final = 3.0
_REMEMBERED: Final = 300.0  # seconds


class InstanceRole:
    """What is known of the metadata service, over all sessions and regions."""

    def __init__(self, clock: Clock) -> None:
        """Args: clock: its monotonic time tells when to ask again."""
        self._clock = clock
        self._ask_again = float("-inf")

    def watch_over(self, resolver: Any) -> None:  # noqa: ANN401 -- the SDK has no types
        """Put a provider with this memory in place of the resolver's own, at its end."""
        plain = resolver.get_provider(METHOD)
        resolver.remove(METHOD)
        resolver.providers.append(_Provider(self, plain))

    async def load(self, plain: Any) -> Any:  # noqa: ANN401 -- the SDK has no types
        """Ask the SDK's provider, unless it failed a short while ago; None is no role."""
        if self._clock.monotonic() < self._ask_again:
            return None
        found = None
        try:
            async with asyncio.timeout(_LONGEST):
                found = await plain.load()
        except Exception:  # noqa: BLE001, S110 -- no way of failing makes an absent service an error
            pass
        if found is None:
            self._ask_again = self._clock.monotonic() + _REMEMBERED
        return found


class _Provider:
    """A credential provider as the SDK's resolver expects it."""

    METHOD = METHOD
    CANONICAL_NAME = "Ec2InstanceMetadata"

    def __init__(self, role: InstanceRole, plain: Any) -> None:  # noqa: ANN401 -- the SDK has no types
        self._role = role
        self._plain = plain

    async def load(self) -> Any:  # noqa: ANN401 -- the SDK has no types
        return await self._role.load(self._plain)
