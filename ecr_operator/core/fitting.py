"""Whether a Secret is as its resource wants it, told from its metadata alone."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from ecr_operator.api.desired import Desired, Resource
from ecr_operator.api.outcome import TokenTimes
from ecr_operator.api.text import parse_time
from ecr_operator.api.token import RegistryToken
from ecr_operator.core.secret import (
    fingerprint,
    is_whole,
    login_fields,
    owned_fields,
    tokens_annotation,
)
from ecr_operator.core.secret_view import SecretView


def holds(
    view: SecretView, resource: Resource, desired: Desired, tokens: Mapping[str, RegistryToken]
) -> bool:
    """Whether the Secret of several logins holds these very tokens already."""
    return (
        len(desired.logins) > 1
        and view.labelled
        and view.tokens == tokens_annotation(desired, tokens)
        and is_as_applied(view, resource, desired)
        and resource.refresh_requested in (None, view.refresh_requested)
    )


def fits(view: SecretView, resource: Resource, desired: Desired) -> bool:
    """Whether the Secret is as we would write it, but for the token's age."""
    return is_as_applied(view, resource, desired) and is_whole(desired, view.tokens)


def holds_target(view: SecretView, resource: Resource, desired: Desired) -> bool:
    """Whether the Secret holds the spec's first login as we wrote it, whatever else others have changed."""
    has_first = len(desired.logins) == 1 or (view.tokens or "").startswith("0:")
    return (
        has_first
        and view.entry is not None
        and view.times is not None
        and view.is_owned_by(resource.uid)
        and view.fingerprint == fingerprint(resource, desired)
        and login_fields(desired) <= view.entry.fields
    )


def usable_times(view: SecretView | None, resource: Resource, desired: Desired) -> TokenTimes | None:
    """The times of the tokens in a Secret whose logins are all as we wrote them."""
    whole = view is not None and holds_target(view, resource, desired) and is_whole(desired, view.tokens)
    return view.times if view and whole else None


def held_times(view: SecretView, resource: Resource, desired: Desired) -> Mapping[str, TokenTimes]:
    """When each token of a Secret was fetched and expires, by registry key, taking all to last as long."""
    if view.times is None:
        return {}
    life = view.times.expires_at - view.times.issued_at
    # The numbers are those of the logins of the spec that it was made from.
    known = (view.tokens or "") if view.fingerprint == fingerprint(resource, desired) else ""
    issued = {part.partition(":")[0]: part.partition(":")[2] for part in known.split(",")}
    found = {}
    for number, login in enumerate(desired.logins):
        at = parse_time(issued.get(str(number))) or view.times.issued_at
        with suppress(OverflowError):  # anybody may have written a time near the year 9999
            found[login.key] = TokenTimes(issued_at=at, expires_at=at + life)
    return found


def as_met(resource: Resource, view: SecretView | None, tokens: Iterable[RegistryToken]) -> Resource:
    """The resource, without its request for a fresh token unless these tokens are fresher than the Secret's.

    So a repair or a changed spec that takes a cached token leaves the request open.
    """
    if view is None or view.times is None or resource.refresh_requested in (None, view.refresh_requested):
        return resource
    if all(token.issued_at > view.times.issued_at for token in tokens):
        return resource
    return resource.with_status(resource.status, view.refresh_requested)


def is_as_applied(view: SecretView, resource: Resource, desired: Desired) -> bool:
    """Whether nobody has changed what we wrote, which may lack some of the tokens."""
    return (
        view.entry is not None
        and view.is_owned_by(resource.uid)
        and view.times is not None
        and view.fingerprint == fingerprint(resource, desired)
        and owned_fields(resource, desired) <= view.entry.fields
    )


def trusted(view: SecretView | None, resource: Resource) -> SecretView | None:
    """The Secret, if it is this resource's own and its data are as the operator wrote them."""
    if view is None or view.times is None or view.entry is None:
        return None
    ours = view.owner is not None and view.owner.uid == resource.uid
    return view if ours and any(path.startswith("f:data/") for path in view.entry.fields) else None
