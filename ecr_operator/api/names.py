"""Names that users write into a spec: of objects, of labels and annotations, of ServiceAccounts to link.

Invariant: what passes is accepted by the API server, is safe in a URL path, and can't make another controller
act on the generated Secret as its own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ecr_operator.api.kinds import ServiceAccountLink
from ecr_operator.api.text import LONGEST_NAME, MOST_ENTRIES, excerpt

_DNS_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_NAME: Final = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")
# The name of a label or annotation behind its prefix; the value of a label has the same form.
_KEY_NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LONGEST_KEY_NAME: Final = 63

_RESERVED_DOMAINS: Final = ("kubernetes.io", "k8s.io", "ecr.mobb.redhat.com", "argoproj.io")
# The recommended labels are for everyone, except the two that say who manages an object: ours, and the one by
# which Argo CD tracks what it may prune.
_OPEN_DOMAIN: Final = "app.kubernetes.io"
_RESERVED_KEYS: Final = frozenset({"app.kubernetes.io/managed-by", "app.kubernetes.io/instance"})
# How Argo CD treats an object that it does not manage anyway.
_PERMITTED_ANNOTATIONS: Final = frozenset(
    {"argocd.argoproj.io/sync-options", "argocd.argoproj.io/compare-options"}
)

# The uses that `oc secrets link --for` knows, and the list of a ServiceAccount for each.
LINK_FIELDS: Final[Mapping[str, str]] = {"pull": "imagePullSecrets", "mount": "secrets"}


def is_name(name: str) -> bool:
    """Whether it is a DNS-1123 subdomain."""
    return len(name) <= LONGEST_NAME and _DNS_NAME.fullmatch(name) is not None


def check_name(field: str, name: str, kind: str) -> str:
    """Return a name that is a DNS-1123 subdomain.

    Args:
        field: its path in the spec, for the message.
        name: as the user wrote it.
        kind: of the named object, for the message.

    Raises:
        ValueError: in words for the author of the spec, as all of this module's.
    """
    if not is_name(name):
        raise ValueError(
            f"spec.{field} {excerpt(name)} is not a valid {kind} name; expected at most {LONGEST_NAME} "
            "lower case letters, digits, '-' and '.', with a letter or digit at both ends of each part."
        )
    return name


def check_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Return labels that the generated Secret may have.

    Raises:
        ValueError: a key or value is not valid, or a key is reserved.
    """
    for key, value in labels.items():
        check_label("spec.secret_labels", key, value)
        _check_open("spec.secret_labels", key)
    return labels


def check_annotations(annotations: Mapping[str, str]) -> Mapping[str, str]:
    """Return annotations that the generated Secret may have.

    Raises:
        ValueError: a key is not valid, or is reserved.
    """
    # In the spec's order: a set's differs between processes, and with it the message that is written.
    for key in annotations:
        if key not in _PERMITTED_ANNOTATIONS:
            check_label_key("spec.secret_annotations", key)
            _check_open("spec.secret_annotations", key)
    return annotations


def check_label(field: str, key: str, value: str) -> None:
    """Refuse a label that no object can have; `field` is its path, for the message."""
    check_label_key(field, key)
    if value and not _is_key_name(value):
        raise ValueError(
            f"{field}: {excerpt(value)} is not a valid label value; expected at most "
            f"{_LONGEST_KEY_NAME} of A-Z a-z 0-9 - _ ."
        )


def check_label_key(field: str, key: str) -> None:
    """Refuse a key that no label and no annotation can have."""
    prefix, slash, name = key.rpartition("/")
    if not _is_key_name(name) or (slash and not is_name(prefix)):
        raise ValueError(f"{field}: {excerpt(key)} is not a valid key; expected name or prefix.example/name.")


def _check_open(field: str, key: str) -> None:
    """Refuse a key by which others act on the Secret."""
    prefix = key.rpartition("/")[0]
    is_reserved = any(f".{prefix}".endswith(f".{domain}") for domain in _RESERVED_DOMAINS)
    if key in _RESERVED_KEYS or (prefix != _OPEN_DOMAIN and is_reserved):
        raise ValueError(f"{field}: {excerpt(key)} is reserved; use another key.")


def _is_key_name(text: str) -> bool:
    return len(text) <= _LONGEST_KEY_NAME and _KEY_NAME.fullmatch(text) is not None


ALL_ACCOUNTS: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """One ServiceAccount to link the generated Secret to.

    Attributes:
        account: its name, a DNS name, or `ALL_ACCOUNTS`; in the resource's namespace.
        uses: which of `LINK_FIELDS`, at least one, sorted.
    """

    account: str
    uses: tuple[str, ...]


def parse_links(links: Sequence[ServiceAccountLink]) -> tuple[LinkSpec, ...]:
    """Check `link_service_accounts`.

    Raises:
        ValueError: too many entries, a name that is not valid or listed twice, or a use that is not valid.
    """
    if len(links) > MOST_ENTRIES:
        raise ValueError(f"spec.link_service_accounts has more than {MOST_ENTRIES} entries.")
    specs: dict[str, LinkSpec] = {}
    for link in links:
        name = link.name
        if name != ALL_ACCOUNTS:
            check_name("link_service_accounts.name", name, "ServiceAccount")
        if name in specs:
            raise ValueError(
                f"spec.link_service_accounts lists {excerpt(name)} twice; combine the uses in one `for`."
            )
        specs[name] = LinkSpec(account=name, uses=_link_uses(name, link.uses))
    return tuple(specs.values())


def _link_uses(name: str, uses: Sequence[str]) -> tuple[str, ...]:
    field = f"spec.link_service_accounts, {excerpt(name)}"
    if not uses:
        raise ValueError(f"{field}: `for` is empty; expected pull, mount or both.")
    for use in uses:
        if use not in LINK_FIELDS:
            raise ValueError(
                f"{field}: `for` {excerpt(use)} is not valid; expected {' or '.join(LINK_FIELDS)}."
            )
    return tuple(sorted(set(uses)))
