"""What a spec says about links to service accounts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ecr_operator.api.bounds import MOST_ENTRIES
from ecr_operator.api.kinds import ServiceAccountLink
from ecr_operator.api.names import check_name
from ecr_operator.api.text import excerpt

# What `oc secrets link --for` takes, and the list of a ServiceAccount that it means.
FIELDS: Final[Mapping[str, str]] = {"pull": "imagePullSecrets", "mount": "secrets"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """One ServiceAccount to link the generated Secret to.

    Attributes:
        account: its name, a DNS name; in the resource's namespace.
        uses: which of `FIELDS`, at least one, sorted.
    """

    account: str
    uses: tuple[str, ...]


def parse_links(links: Sequence[ServiceAccountLink]) -> tuple[LinkSpec, ...]:
    """Check `link_service_accounts`.

    Raises:
        ValueError: in words for the author of the spec.
    """
    if len(links) > MOST_ENTRIES:
        raise ValueError(f"spec.link_service_accounts has more than {MOST_ENTRIES} entries.")
    wishes: dict[str, LinkSpec] = {}
    for link in links:
        name = check_name("link_service_accounts.name", link.name, "ServiceAccount")
        if name in wishes:
            raise ValueError(
                f"spec.link_service_accounts lists {excerpt(name)} twice; combine the uses in one `for`."
            )
        wishes[name] = LinkSpec(account=name, uses=_uses(name, link.uses))
    return tuple(wishes.values())


def _uses(name: str, uses: Sequence[str]) -> tuple[str, ...]:
    where = f"spec.link_service_accounts, {excerpt(name)}"
    if not uses:
        raise ValueError(f"{where}: `for` is empty; expected pull, mount or both.")
    for use in uses:
        if use not in FIELDS:
            raise ValueError(f"{where}: `for` {excerpt(use)} is not valid; expected {' or '.join(FIELDS)}.")
    return tuple(sorted(set(uses)))
