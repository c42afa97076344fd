"""The files that the SDK reads credentials from: which they are, whether they changed, how they look."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError

# The SDK knows the last one only inside its providers; as a session variable we can ask for its path.
EXTRA_VARIABLES: Final = {
    "web_identity_token_file": ("web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE", None, None)
}
_VARIABLES: Final = ("config_file", "credentials_file", "web_identity_token_file")
_MOST_BYTES: Final = 1 << 20


class CredentialFiles:
    """The files of one session, whose paths don't change while it lives."""

    def __init__(self, session: AioSession) -> None:
        """Args: session: made with `EXTRA_VARIABLES`."""
        self._paths = {name: _path(session, name) for name in _VARIABLES}
        self.fingerprint = self._digest()

    def changed(self) -> bool:
        """Say whether any file holds something else than at first.

        Contents are compared: the kubelet swaps symlinks, and all keys are of one length.
        """
        return self._digest() != self.fingerprint

    @property
    def paths(self) -> dict[str, str]:
        """Where `config_file`, `credentials_file` and `web_identity_token_file` are; nothing for none."""
        return {name: str(path or "") for name, path in self._paths.items()}

    def describe(self) -> str:
        """List the shared files and what is wrong with each, such as `/aws/credentials (absent)`."""
        shared = (self._paths["config_file"], self._paths["credentials_file"])
        return " and ".join(f"{path}{_state(path)}" for path in dict.fromkeys(shared) if path)

    def _digest(self) -> bytes:
        return hashlib.blake2b(b"\0".join(_contents(path) for path in self._paths.values())).digest()


def _path(session: AioSession, name: str) -> Path | None:
    try:
        path = session.get_config_variable(name)
    except BotoCoreError:
        # The path stands in a file that can't be parsed, which is said when the credentials are asked for.
        return None
    return Path(os.path.expandvars(path)).expanduser() if path else None


def _contents(path: Path | None) -> bytes:
    try:
        # Only of a plain file: reading a pipe would wait for ever.
        if path is None or not stat.S_ISREG(path.stat().st_mode):
            return b"\1"
        with path.open("rb") as file:
            return hashlib.blake2b(file.read(_MOST_BYTES)).digest()
    except OSError:
        return b"\1"


def _state(path: Path) -> str:
    if not path.exists():
        return " (absent)"
    if not path.is_file():
        return " (no file)"
    return "" if os.access(path, os.R_OK) else " (not readable)"
