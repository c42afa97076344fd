"""Noticing that keys in a named Secret have changed, while the calls that use them fail.

Only then: keys that work are read afresh with each call anyway, and an idle operator asks for nothing.
"""

from typing import Final

import structlog

from ecr_operator.control.ports import Clock, TenantReader
from ecr_operator.control.token_cache import TokenCache
from ecr_operator.model.identities import Identity

_EVERY: Final = 15.0

log = structlog.get_logger(__name__)


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
            await self._look_at_all()

    async def _look_at_all(self) -> None:
        failing = {identity for identity in self._tokens.failing() if identity.source == "iam_secret"}
        self._versions = {key: value for key, value in self._versions.items() if key in failing}
        for identity in failing:
            try:
                await self._look(identity)
            except Exception as error:  # noqa: BLE001 - no answer whatever may end the operator
                log.debug("keys not looked at", identity=str(identity), error=type(error).__name__)

    async def _look(self, identity: Identity) -> None:
        version = await self._tenants.iam_keys_version(identity.namespace, identity.name)
        # Also at the first look: they may have been mended between the failure and now.
        if identity not in self._versions or self._versions[identity] != version:
            self._tokens.forget(identity)
        self._versions[identity] = version
