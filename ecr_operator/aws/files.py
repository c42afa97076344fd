"""The files that the SDK reads credentials and authorities from: whether they changed, and how they look."""

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError

from ecr_operator.aws.ini import find_flaw

# The SDK knows the last one only inside its providers; as a session variable we can ask for its path.
EXTRA_VARIABLES: Final = {
    "web_identity_token_file": ("web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE", None, None)
}
_SHARED: Final = ("config_file", "credentials_file")
_TOKEN: Final = "web_identity_token_file"  # noqa: S105 -- a name
_BUNDLE: Final = "ca_bundle"
_MOST_BYTES: Final = 1 << 20


class CredentialFiles:
    """The files of one session, whose paths don't change while it lives."""

    def __init__(self, session: AioSession) -> None:
        """Args: session: made with `EXTRA_VARIABLES`."""
        self._paths = {name: _path(session, name) for name in (*_SHARED, _TOKEN, _BUNDLE)}
        self._shared = self._digest(_SHARED)
        self._token = self._digest((_TOKEN,))
        self._bundle = self._digest((_BUNDLE,))

    def changed(self) -> bool:
        """Say whether a file that tells who we are holds something else than at first.

        Contents are compared: the kubelet swaps symlinks, and all keys are of one length.
        """
        return self._digest(_SHARED) != self._shared

    def token_changed(self) -> bool:
        """Say whether the web identity token is another: the kubelet renews it about every hour."""
        return self._digest((_TOKEN,)) != self._token

    def bundle_changed(self) -> bool:
        """Whether the bundle of certificate authorities (AWS_CA_BUNDLE, `ca_bundle`) is another."""
        return self._digest((_BUNDLE,)) != self._bundle

    @property
    def paths(self) -> dict[str, str]:
        """Where `config_file`, `credentials_file` and `web_identity_token_file` are; nothing for none."""
        return {name: str(path or "") for name, path in self._paths.items()}

    def describe(self) -> str:
        """List the shared files and what is wrong with each, such as `/aws/credentials (absent)`."""
        return " and ".join(f"{path}{_state(path)}" for path in self._shared_paths())

    def flaws(self) -> list[str]:
        """What is wrong inside the shared files, such as `/aws/credentials, line 2: …`."""
        found = {path: find_flaw(_contents(path) or b"") for path in self._shared_paths()}
        return [f"{path}, {flaw}" for path, flaw in found.items() if flaw]

    def _shared_paths(self) -> list[Path]:
        return [path for path in dict.fromkeys(self._paths[name] for name in _SHARED) if path]

    def _digest(self, names: Iterable[str]) -> bytes:
        return hashlib.blake2b(b"\0".join(_fingerprint(self._paths[name]) for name in names)).digest()


def _path(session: AioSession, name: str) -> Path | None:
    try:
        path = session.get_config_variable(name)
    except BotoCoreError:
        # The path stands in a file that can't be parsed, which is said when the credentials are asked for.
        return None
    return Path(os.path.expandvars(path)).expanduser() if path else None


def _fingerprint(path: Path | None) -> bytes:
    contents = _contents(path)
    return b"\1" if contents is None else hashlib.blake2b(contents).digest()


def _contents(path: Path | None) -> bytes | None:
    try:
        # Only of a plain file: reading a pipe would wait for ever.
        if path is None or not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError:
        return None


def _state(path: Path) -> str:
    if not path.exists():
        return " (absent)"
    if not path.is_file():
        return " (no file)"
    return "" if os.access(path, os.R_OK) else " (not readable)"
