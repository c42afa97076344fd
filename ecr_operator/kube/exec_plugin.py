"""A login that a plug-in of the kubeconfig gives, such as `aws eks get-token`: renewed before it expires.

The client library runs the plug-in once, when it reads the kubeconfig.

Invariant: while the plug-in fails, the last login goes on to be used; and it is not run in a hot loop.
"""

import asyncio
import logging
import time
from typing import Any, Final

from ecr_operator.kube.lazy_client import ConfigException, Configuration

_LONGEST: Final = 10.0
_SOONEST_AGAIN: Final = 10.0

# Not structlog, which the commands do without: it takes rich along.
log = logging.getLogger(__name__)


def keep_fresh(configuration: Configuration, loader: Any) -> None:  # noqa: ANN401 - the library has no type for it
    """Have a plug-in's login renewed when it is used; nothing for a login that does not expire.

    Args:
        configuration: as the loader has filled it.
        loader: of the client library, after it has loaded a kubeconfig.
    """
    if hasattr(loader, "exec_plugin_expiry"):
        configuration.refresh_api_key_hook = _Renewal(loader).renew


class _Renewal:
    def __init__(self, loader: Any) -> None:  # noqa: ANN401 - the same
        self._loader = loader
        self._turn = asyncio.Lock()
        self._not_before = 0.0

    async def renew(self, configuration: Configuration) -> None:
        async with self._turn:
            if time.monotonic() < self._not_before:
                return
            try:
                async with asyncio.timeout(_LONGEST):
                    # Returns at once while the login has some minutes left.
                    await self._loader.load_from_exec_plugin()
            except (ConfigException, OSError, RuntimeError, ValueError) as error:
                log.warning("the kubeconfig's plug-in gives no fresh login (%s)", type(error).__name__)
            configuration.api_key["BearerToken"] = self._loader.token
            self._not_before = time.monotonic() + _SOONEST_AGAIN
