"""The operator's own AWS credentials: read at the start and watched, as far as no call needs them.

Invariant: no state of a credentials file ends the operator. Leaves out: the calls (aws.credentials), and
which tokens changed keys make due (rotation).
"""

import asyncio
from typing import Final

import structlog

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.identity import OPERATOR
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.aws.endpoints import preload
from ecr_operator.aws.network import SharedTlsSession
from ecr_operator.core.ports import Clock
from ecr_operator.core.rotation import Rotation
from ecr_operator.core.tokens import TokenCache

_CHECK_SECONDS: Final = 2.0

log = structlog.get_logger(__name__)


class OwnCredentials:
    """What the operator knows of its own credentials before and between calls to AWS.

    Args:
        issuer: has the credentials.
        rotation: learns of changed long-lived keys.
        tokens: drops what former credentials got.
        clock: for waiting.
    """

    def __init__(self, issuer: EcrTokenIssuer, rotation: Rotation, tokens: TokenCache, clock: Clock) -> None:
        self._issuer = issuer
        self._rotation = rotation
        self._tokens = tokens
        self._clock = clock

    async def log_origin(self) -> None:
        """Log where the operator's AWS credentials come from, without fetching them."""
        try:
            log.info("AWS credentials are configured", origin=await self._issuer.origin())
        except PermanentError as error:
            log.warning("no AWS credentials are configured", error=error.message)
        except Exception as error:  # noqa: BLE001 - no file may end the operator
            log.warning("AWS credentials can't be inspected", error=type(error).__name__)

    async def read_keys(self) -> int:
        """Read the operator's long-lived keys; returns how many resources they make due."""
        try:
            return self._rotation.operator_keys(await self._issuer.long_lived(OPERATOR))
        except Exception as error:  # noqa: BLE001 - the same
            log.debug("the operator's AWS keys can't be read", error=type(error).__name__)
            return 0

    async def warm(self) -> None:
        """Load what the first call needs, while the watches start."""
        try:
            await asyncio.to_thread(preload)
            await asyncio.to_thread(SharedTlsSession().preload)
        except Exception as error:  # noqa: BLE001 - the first call then does it, or reports what is wrong
            log.debug("can't warm up the AWS client", error=type(error).__name__)

    async def watch(self) -> None:
        """Drop tokens and failures when the operator's credentials change."""
        changes = self._changes(0)
        while True:
            await self._clock.sleep(_CHECK_SECONDS)
            latest = self._changes(changes)
            if latest != changes:
                changes = latest
                log.info("the AWS credential files have changed")
                self._tokens.drop_operator()
                if count := await self.read_keys():
                    log.info(
                        "the operator's AWS keys have changed; tokens are renewed with the new ones",
                        resources=count,
                    )

    def _changes(self, known: int) -> int:
        try:
            return self._issuer.changes()
        except Exception as error:  # noqa: BLE001 - the same
            log.debug("credential files can't be read", error=type(error).__name__)
            return known
