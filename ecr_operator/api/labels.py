"""Which labels and annotations users may put on a generated Secret.

Invariant: what passes is accepted by the API server, and can't make anybody else act on the Secret as theirs.
"""

import re
from collections.abc import Mapping
from typing import Final

from ecr_operator.api.text import excerpt

_RESERVED_DOMAINS: Final = ("kubernetes.io", "k8s.io", "ecr.mobb.redhat.com", "argoproj.io")
# Recommended labels are for everybody, but for the two that say who manages an object: ours, and the one by
# which Argo CD tracks what it may prune.
_OPEN_DOMAIN: Final = "app.kubernetes.io"
# How Argo CD treats an object that it does not manage anyway.
_ALLOWED: Final = frozenset({"argocd.argoproj.io/sync-options", "argocd.argoproj.io/compare-options"})
_CLOSED: Final = frozenset({"app.kubernetes.io/managed-by", "app.kubernetes.io/instance"})

_DNS: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LONGEST_NAME: Final = 63
_LONGEST_PREFIX: Final = 253


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that the API server or the operator does not take.

    Raises:
        ValueError: in words for the author of the spec.
    """
    for key, value in labels.items():
        _check_key("spec.secret_labels", key)
        if value and (len(value) > _LONGEST_NAME or not _NAME.fullmatch(value)):
            raise ValueError(
                f"spec.secret_labels: {excerpt(value)} is not a valid label value; expected at most 63 of "
                "A-Z a-z 0-9 - _ ."
            )


def check_annotations(annotations: Mapping[str, str]) -> None:
    """Refuse annotations that the API server or the operator does not take.

    Raises:
        ValueError: in words for the author of the spec.
    """
    for key in annotations.keys() - _ALLOWED:
        _check_key("spec.secret_annotations", key)


def _check_key(field: str, key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name) or (slash and not _is_prefix(prefix)):
        raise ValueError(f"{field}: {excerpt(key)} is not a valid key; expected name or prefix.example/name.")
    if key in _CLOSED or (prefix != _OPEN_DOMAIN and _is_reserved(prefix)):
        raise ValueError(f"{field}: {excerpt(key)} is reserved; use another key.")


def _is_prefix(prefix: str) -> bool:
    return len(prefix) <= _LONGEST_PREFIX and _DNS.fullmatch(prefix) is not None


def _is_reserved(prefix: str) -> bool:
    return any(prefix == domain or prefix.endswith(f".{domain}") for domain in _RESERVED_DOMAINS)
