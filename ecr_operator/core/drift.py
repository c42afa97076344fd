"""Drift: whether a live Secret still is what its resource asks for, from its metadata alone.

From least to most: intact (the resource's own, with data of ours, of any spec), has_first_login (of this
spec), times_if_whole (all its logins), as_applied (all fields as we wrote them), up_to_date (and all logins).
None of them asks whether a token has expired.
"""

from collections.abc import Mapping
from contextlib import suppress

from ecr_operator.api.desired import Desired
from ecr_operator.api.outcome import TokenTimes
from ecr_operator.api.text import parse_time
from ecr_operator.api.token import RegistryToken
from ecr_operator.core.manifest import (
    fingerprint,
    has_all_tokens,
    login_fields,
    owned_fields,
    tokens_annotation,
)
from ecr_operator.core.secret_view import AppliedEntry, SecretView


def is_up_to_date(view: SecretView, desired: Desired, applied: AppliedEntry | None) -> bool:
    """Whether the Secret is as we would write it, but for the age of its tokens.

    Args:
        view: the Secret.
        desired: what its resource asks for.
        applied: our managedFields entry as our last apply left it; None where that is not known.
    """
    return is_as_applied(view, desired, applied) and has_all_tokens(desired, view.tokens)


def is_as_applied(view: SecretView, desired: Desired, applied: AppliedEntry | None) -> bool:
    """Whether nobody has changed what we wrote, which may lack some of the tokens."""
    return (
        view.entry is not None
        and view.entry == (applied or view.entry)
        and view.is_owned_by(desired.uid)
        and view.times is not None
        and view.fingerprint == fingerprint(desired)
        and owned_fields(desired) <= view.entry.fields
    )


def has_tokens(
    view: SecretView, desired: Desired, tokens: Mapping[str, RegistryToken], applied: AppliedEntry | None
) -> bool:
    """Whether the Secret of several logins has these very tokens already."""
    return (
        len(desired.logins) > 1
        and view.labelled
        and view.tokens == tokens_annotation(desired, tokens)
        and is_as_applied(view, desired, applied)
        and desired.refresh_requested in (None, view.refresh_requested)
    )


def has_first_login(view: SecretView, desired: Desired) -> bool:
    """Whether the Secret has the spec's first login as we wrote it, whatever else others have changed."""
    has_first = len(desired.logins) == 1 or (view.tokens or "").startswith("0:")
    return (
        has_first
        and view.entry is not None
        and view.times is not None
        and view.is_owned_by(desired.uid)
        and view.fingerprint == fingerprint(desired)
        and login_fields(desired) <= view.entry.fields
    )


def is_intact(view: SecretView | None, uid: str) -> bool:
    """Whether the Secret is the resource's own, and a data key of it is as the operator wrote it."""
    if view is None or view.times is None or view.entry is None:
        return False
    ours = view.owner is not None and view.owner.uid == uid
    return ours and any(path.startswith("f:data/") for path in view.entry.fields)


def times_if_whole(view: SecretView | None, desired: Desired) -> TokenTimes | None:
    """The times of the tokens in a Secret whose logins are all as we wrote them."""
    whole = view is not None and has_first_login(view, desired) and has_all_tokens(desired, view.tokens)
    return view.times if view and whole else None


def times_by_login(view: SecretView, desired: Desired) -> Mapping[str, TokenTimes]:
    """When each token of a Secret was fetched and expires, by registry key.

    The Secret has one expiry time, so all its tokens are assumed to be valid for the same time.
    """
    if view.times is None:
        return {}
    life = view.times.expires_at - view.times.issued_at
    # The numbers are those of the logins of the spec that it was made from.
    known = (view.tokens or "") if view.fingerprint == fingerprint(desired) else ""
    issued = {part.partition(":")[0]: part.partition(":")[2] for part in known.split(",")}
    found = {}
    for number, login in enumerate(desired.logins):
        at = parse_time(issued.get(str(number))) or view.times.issued_at
        with suppress(OverflowError):  # anybody may have written a time near the year 9999
            found[login.key] = TokenTimes(issued_at=at, expires_at=at + life)
    return found
