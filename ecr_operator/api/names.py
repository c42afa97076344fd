"""Names of Kubernetes objects that users write into a spec."""

import re
from typing import Final

from ecr_operator.api.bounds import LONGEST_NAME
from ecr_operator.api.text import excerpt

_DNS_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_NAME: Final = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")


def is_name(name: str) -> bool:
    """Whether it is a DNS-1123 subdomain."""
    return len(name) <= LONGEST_NAME and _DNS_NAME.fullmatch(name) is not None


def check_name(field: str, name: str, kind: str) -> str:
    """Return a name, if it is a DNS-1123 subdomain.

    Args:
        field: where it stands in the spec.
        name: as the user wrote it.
        kind: of what.

    Raises:
        ValueError: in words for the author of the spec.
    """
    if not is_name(name):
        raise ValueError(
            f"spec.{field} {excerpt(name)} is not a valid {kind} name; expected at most 253 "
            "lower case letters, digits, '-' and '.', with a letter or digit at both ends of each part."
        )
    return name
