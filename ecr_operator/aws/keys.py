"""AWS keys, and how they are read from a tenant's Secret. Pure.

Invariants: keys never show in a repr. Messages name the Secret and the key in it, never a value.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.identity import IAM_KEYS, hash_key_id, is_credentials_file, near_iam_key
from ecr_operator.api.outcome import Reason
from ecr_operator.api.text import excerpt

_ACCESS_KEY, _SECRET_KEY, _SESSION_TOKEN = IAM_KEYS

# Printable ASCII without quotes; anything else could not travel in a header, or is a paste gone wrong.
_VALUE: Final = re.compile(r"[!#-&(-~]+")
# Session tokens are the longest, at about 2,000 characters.
_MAX_LENGTH: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsKeys:
    """The keys that sign one call; a session token goes with temporary ones."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(repr=False, default=None)

    @property
    def id_hash(self) -> str:
        """A short hash of the access key id of long-lived keys; empty for temporary ones."""
        return "" if self.session_token else hash_key_id(self.access_key)


def read_iam_keys(data: Mapping[str, str], secret: str) -> AwsKeys:
    """Read the keys in a Secret; white space around a value, such as `echo`'s line break, is ignored.

    Args:
        data: the decoded data; of keys other than `IAM_KEYS` only the names count, for the message.
        secret: the Secret in a message, as `Secret namespace/name`.

    Raises:
        PermanentError: `CredentialsMissing`.
    """
    return AwsKeys(
        access_key=_value(data, _ACCESS_KEY, secret),
        secret_key=_value(data, _SECRET_KEY, secret),
        session_token=_value(data, _SESSION_TOKEN, secret) if _names(data, _SESSION_TOKEN) else None,
    )


def _value(data: Mapping[str, str], key: str, secret: str) -> str:
    names = _names(data, key)
    if not names:
        raise _missing(f"{secret} has no {key}. {_advice(data, key)}")
    if len({data[name].strip() for name in names}) > 1:
        raise _missing(f"{secret} has {' and '.join(names[:2])} with different values. Remove all but one.")
    name, value = names[0], data[names[0]].strip()
    if not value:
        raise _missing(f"{secret} has an empty {name}. Put the AWS key there.")
    if len(value) > _MAX_LENGTH:
        raise _missing(f"The {name} in {secret} is longer than any AWS key. Put the bare key there.")
    if not _VALUE.fullmatch(value):
        raise _missing(
            f"The {name} in {secret} holds characters that no AWS key has: quotes, spaces or line breaks. "
            "Put the bare key there."
        )
    return value


def _names(data: Mapping[str, str], key: str) -> list[str]:
    """The names under which the Secret has a key, AWS's own spelling first."""
    return sorted((name for name in data if name.lower() == key), key=lambda name: (name != key, name))


def _advice(data: Mapping[str, str], key: str) -> str:
    near = [name for name in data if near_iam_key(name) == key]
    if near:
        return f"Rename its key {excerpt(near[0])} to {key}."
    if files := [name for name in data if is_credentials_file(name)]:
        return (
            f"Its key {excerpt(files[0])} looks like a credentials file; expected are the values themselves, "
            f"under {_ACCESS_KEY} and {_SECRET_KEY}."
        )
    return f"Expected are the keys {_ACCESS_KEY} and {_SECRET_KEY}, and for temporary keys {_SESSION_TOKEN}."


def _missing(message: str) -> PermanentError:
    return PermanentError(Reason.CREDENTIALS_MISSING, message)
