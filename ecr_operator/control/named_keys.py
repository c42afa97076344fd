"""Noticing that keys in a named Secret have changed, while the calls that use them fail.

Only then: keys that work are read afresh with each call anyway, and an idle operator asks for nothing.
"""

from typing import Final

from ecr_operator.control.ports import Clock, TenantReader
from ecr_operator.control.token_cache import TokenCache
from ecr_operator.model.errors import OperatorError
from ecr_operator.model.identities import Identity

_EVERY: Final = 15.0


class NamedKeys:
    """Watches the Secrets with AWS keys whose last call failed.

    Args:
        tokens: knows what fails; is told to try again.
        tenants: reads a Secret's version.
        clock: the time.
    """

    def __init__(self, tokens: TokenCache, tenants: TenantReader, clock: Clock) -> None:
        self._tokens = tokens
        self._tenants = tenants
        self._clock = clock
        self._versions: dict[Identity, str | None] = {}

    async def run(self) -> None:
        """Look every 15 seconds, until cancelled."""
        while True:
            await self._clock.sleep(_EVERY)
            failing = {identity for identity in self._tokens.failing() if identity.source == "iam_secret"}
            self._versions = {key: value for key, value in self._versions.items() if key in failing}
            for identity in failing:
                await self._look(identity)

    async def _look(self, identity: Identity) -> None:
        try:
            version = await self._tenants.iam_keys_version(identity.namespace, identity.name)
        except OperatorError:
            return
        if self._versions.get(identity, version) != version:
            self._tokens.forget(identity)
        self._versions[identity] = version
