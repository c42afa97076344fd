"""Whose login one in a Secret is, and how long its token is valid. Pure.

Invariant: the Secret's metadata tell it; no login is read. They are shown only: whoever may write the Secret
can write them too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ecr_operator.api.desired import Desired
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.api.parsing import parse_resource
from ecr_operator.cli.keyring import Login
from ecr_operator.cli.rows import row_of
from ecr_operator.core.drift import times_by_login
from ecr_operator.core.secret_view import view_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A resource of ours in the namespace.

    Attributes:
        desired: what it asks for; None where that can't be known.
        trouble: why it is not ready; empty where it is.
    """

    key: ResourceKey
    desired: Desired | None
    trouble: str


def owner_of(kind: str, raw: Mapping[str, Any], now: datetime) -> Owner:
    """Make the owner of a resource as the API server holds it."""
    row, resource = row_of(kind, raw, now), parse_resource(kind, raw)
    trouble = "" if row.state == "Ready" else f"{row.reason}: {row.message}"
    return Owner(key=resource.key, desired=resource.desired, trouble=trouble)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whose login one in a generated Secret is.

    Attributes:
        key: of the resource.
        owner: the resource; None where it could not be read.
        expires_at: of the token; None where that is not known.
        included: copied by `include_logins_from`.
    """

    key: ResourceKey
    owner: Owner | None = None
    expires_at: datetime | None = None
    included: bool = False


def origin_of(login: Login, secret: Mapping[str, Any], owners: Mapping[ResourceKey, Owner]) -> Origin | None:
    """Find out by the Secret's metadata whose login it is; None for one that the operator did not write."""
    view = view_secret(secret["metadata"])
    if view.owner is None or not view.owner.of_ours:
        return None
    key = view.owner.key(view.namespace)
    if key.is_part:
        key = key.cluster
    owner = owners.get(key)
    expires_at = view.times.expires_at if view.times else None
    if owner is None or owner.desired is None:
        return Origin(key=key, owner=owner, expires_at=expires_at)
    if login.key not in {each.key for each in owner.desired.logins}:
        return Origin(key=key, owner=owner, included=True)
    times = times_by_login(view, owner.desired).get(login.key)
    return Origin(key=key, owner=owner, expires_at=times.expires_at if times else expires_at)
