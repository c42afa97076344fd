"""One TLS context for all clients: reading the certificate authorities takes 14 ms and 0.7 MiB each time.

A bundle that changed is read again for the next client. Were the SDK to rename what is overridden here, each
client would read them again, and nothing else change.
"""

import hashlib
import ssl
import threading
from pathlib import Path
from typing import Any, Final

from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import InvalidProxiesConfigError

from ecr_operator.settings.proxies import proxy_flaw

# With a digest of the bundle that each was read from.
_contexts: Final[dict[object, tuple[bytes, ssl.SSLContext]]] = {}
# The SDK builds contexts in threads.
_building: Final = threading.Lock()


class SharedTlsSession(AIOHTTPSession):  # type: ignore[misc] # the SDK has no types
    """The SDK's HTTP session with the shared context, and no unusable proxy. Not for client certificates."""

    async def _create_connector(self, proxy_url: str | None) -> Any:  # noqa: ANN401 -- the SDK has no types
        # The SDK puts http:// before any other scheme, and would look up a host of that scheme's name.
        if proxy_url and (flaw := proxy_flaw(proxy_url.removeprefix("http://"))):
            raise InvalidProxiesConfigError(error=flaw)
        return await super()._create_connector(proxy_url)

    def _build_verify_context(self) -> ssl.SSLContext:
        with _building:
            digest = _digest(self._verify)
            known = _contexts.get(self._verify)
            if known is None or known[0] != digest:
                known = _contexts[self._verify] = (digest, super()._build_verify_context())
            return known[1]


def _digest(verify: object) -> bytes:
    try:
        return hashlib.blake2b(Path(verify).read_bytes()).digest() if isinstance(verify, str) else b""
    except OSError:
        return b""  # The SDK says what is wrong with it.
