"""The files from which the SDK reads credentials and certificate authorities: what changed, what is wrong.

Invariant: a flaw names a line and a key, never a value.
"""

import configparser
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError

# The SDK knows this path only inside its providers; as a session variable it can be asked for.
EXTRA_VARIABLES: Final = {
    "web_identity_token_file": ("web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE", None, None)
}
# The SDK's names of the paths: of files with credentials, of the web identity token, which the kubelet renews
# about every hour, and of the bundle of certificate authorities (AWS_CA_BUNDLE, `ca_bundle`).
SHARED: Final = ("config_file", "credentials_file")
TOKEN: Final = ("web_identity_token_file",)
BUNDLE: Final = ("ca_bundle",)
_MAX_BYTES: Final = 1 << 20

_BYTE_ORDER_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_KEYS: Final = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "role_arn",
    "web_identity_token_file",
)


class CredentialFiles:
    """The files of one session, whose paths don't change while it exists.

    Attributes:
        paths: by the SDK's names, such as `config_file`; empty for none.
    """

    def __init__(self, session: AioSession) -> None:
        """Read the files of a session that was made with `EXTRA_VARIABLES`."""
        self._paths = {name: _path(session, name) for name in (*SHARED, *TOKEN, *BUNDLE)}
        self.paths = {name: str(path or "") for name, path in self._paths.items()}
        self._digests = {name: digest(path) for name, path in self._paths.items()}

    def changed(self, names: Iterable[str]) -> bool:
        """Whether one of these files, such as `SHARED`, has other contents than at first.

        Contents are compared: the kubelet swaps symlinks, and all keys have the same length.
        """
        return any(digest(self._paths[name]) != self._digests[name] for name in names)

    def describe(self) -> str:
        """List the shared files and what is wrong with each, such as `/aws/credentials (absent)`."""
        return " and ".join(f"{path}{_state(path)}" for path in self._shared_paths())

    def flaws(self) -> list[str]:
        """What is wrong inside the shared files, such as `/aws/credentials, line 2: …`."""
        found = {path: find_flaw(_contents(path) or b"") for path in self._shared_paths()}
        return [f"{path}, {flaw}" for path, flaw in found.items() if flaw]

    def _shared_paths(self) -> list[Path]:
        return [path for path in dict.fromkeys(self._paths[name] for name in SHARED) if path]


def find_flaw(content: bytes) -> str | None:
    """What keeps the SDK from finding keys in a file; None where nothing is seen."""
    if content.startswith(_BYTE_ORDER_MARKS):
        return "line 1 begins with a byte order mark; save the file as UTF-8 without one"
    parser = configparser.RawConfigParser(default_section="")
    text = content.decode(errors="replace")
    try:
        parser.read_string(text)
    except configparser.MissingSectionHeaderError as error:
        return f"line {error.lineno} comes before any section; put [default] above it"
    except configparser.Error:
        return None  # reported by the SDK
    sections = parser.sections()
    if sections and not {"default", "profile default"} & {name.strip() for name in sections}:
        return "no section is named [default]"
    settings = [setting for name in sections for setting in parser.items(name) if setting[0] in _KEYS]
    found = ((name, value, _flaw(name, unquote(value))) for name, value in settings)
    return next((f"{_place(text, name, value)}{flaw}" for name, value, flaw in found if flaw), None)


def _place(text: str, name: str, value: str) -> str:
    """The line of a setting, which configparser does not keep; empty for a value of several lines."""
    setting = rf"^[^\S\n]*{name}[^\S\n]*[=:][^\S\n]*{re.escape(value)}[^\S\n]*$"
    found = re.search(setting, text, re.IGNORECASE | re.MULTILINE)
    return f"line {text[: found.start()].count(chr(10)) + 1}: " if found else ""


def _flaw(name: str, value: str) -> str | None:
    if not value:
        return f"{name} is empty"
    if value[0] in "\"'" or value[-1] in "\"'":
        return f"{name} has a quote at its value; remove it"
    return None


def unquote(value: str) -> str:
    """Take double quotes off a value, as v0.6.0's SDK did."""
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return value[1:-1] if quoted else value


def _path(session: AioSession, name: str) -> Path | None:
    try:
        path = session.get_config_variable(name)
    except BotoCoreError:
        # The path is in a file that can't be parsed, which is reported when credentials are asked for.
        return None
    return Path(os.path.expandvars(path)).expanduser() if path else None


def digest(path: Path | None) -> bytes:
    """A hash of a file's contents; that of a file that can't be read is the same for all."""
    contents = _contents(path)
    return b"absent" if contents is None else hashlib.blake2b(contents).digest()


def _contents(path: Path | None) -> bytes | None:
    try:
        # Only of a plain file: reading a pipe would wait for ever.
        if path is None or not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            return file.read(_MAX_BYTES)
    except OSError:
        return None


def _state(path: Path) -> str:
    if not path.exists():
        return " (absent)"
    if not path.is_file():
        return " (not a file)"
    return "" if os.access(path, os.R_OK) else " (not readable)"
