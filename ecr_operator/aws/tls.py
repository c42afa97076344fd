"""One TLS context for all clients: reading the certificate authorities takes 14 ms and 0.7 MiB each time.

Were the SDK to rename what is overridden here, each client would read them again, and nothing else change.
"""

import ssl
import threading
from typing import Final

from aiobotocore.httpsession import AIOHTTPSession

_contexts: Final[dict[object, ssl.SSLContext]] = {}
# The SDK builds contexts in threads.
_building: Final = threading.Lock()


class SharedTlsSession(AIOHTTPSession):  # type: ignore[misc] # the SDK has no types
    """The SDK's HTTP session, but for the shared context. Not for client certificates."""

    def _build_verify_context(self) -> ssl.SSLContext:
        with _building:
            if self._verify not in _contexts:
                _contexts[self._verify] = super()._build_verify_context()
            return _contexts[self._verify]
