"""The AWS keys in a tenant's Secret, checked. Pure.

Invariant: messages name the Secret and the key in it, never a value.
"""

import re
from collections.abc import Mapping
from typing import Final

from ecr_operator.aws.identities import AwsKeys
from ecr_operator.model.errors import PermanentError
from ecr_operator.model.identities import IAM_KEYS
from ecr_operator.model.outcome import Reason

_ACCESS_KEY, _SECRET_KEY, _SESSION_TOKEN = IAM_KEYS

# Printable ASCII without quotes; anything else could not travel in a header, or is a paste gone wrong.
_VALUE: Final = re.compile(r"[!#-&(-~]+")
# Session tokens are the longest, at about 2,000 characters.
_LONGEST: Final = 8192


def read_iam_keys(data: Mapping[str, str], secret: str) -> AwsKeys:
    """Make keys of a Secret's data; white space around a value, such as `echo`'s line break, is ignored.

    Args:
        data: the decoded data.
        secret: what to call the Secret in a message.

    Raises:
        PermanentError: `CredentialsMissing`.
    """
    return AwsKeys(
        access_key=_value(data, _ACCESS_KEY, secret),
        secret_key=_value(data, _SECRET_KEY, secret),
        session_token=_value(data, _SESSION_TOKEN, secret) if _SESSION_TOKEN in data else None,
    )


def _value(data: Mapping[str, str], key: str, secret: str) -> str:
    value = data.get(key, "").strip()
    if not value:
        raise _missing(f"{secret} has {'an empty' if key in data else 'no'} {key}. Put the AWS key there.")
    if len(value) > _LONGEST:
        raise _missing(f"The {key} in {secret} is longer than any AWS key. Put the bare key there.")
    if not _VALUE.fullmatch(value):
        raise _missing(
            f"The {key} in {secret} holds characters that no AWS key has: quotes, spaces or line breaks. "
            "Put the bare key there."
        )
    return value


def _missing(message: str) -> PermanentError:
    return PermanentError(Reason.CREDENTIALS_MISSING, message)
