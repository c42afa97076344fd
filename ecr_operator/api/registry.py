"""Which ECR a registry key or URL belongs to, and where its token comes from.

Invariants: a region that this module returns is one safe DNS label, so it may enter a host name. Messages
name the host alone, since a key may hold a login (`https://user:token@host`).
Leaves out: whether any client finds the key (usable_registry_keys), and which hosts are allowed (tenancy).
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.text import LONGEST_TEXT, excerpt
from ecr_operator.api.token import TokenSource, plain_region

EXAMPLE_HOST: Final = "123456789012.dkr.ecr.us-east-2.amazonaws.com"

# ECR Public has one API for the world, and requires SigV4 for this region.
_PUBLIC_REGION: Final = "us-east-1"
# The second is the dual-stack name of the first.
_PUBLIC_HOSTS: Final = frozenset({"public.ecr.aws", "ecr-public.aws.com"})

# Of the partitions aws, aws-cn, aws-eusc and the four of aws-iso; then the same with dual stack.
_SUFFIXES: Final = (
    *("amazonaws.com", "amazonaws.com.cn", "amazonaws.eu"),
    *("c2s.ic.gov", "sc2s.sgov.gov", "cloud.adc-e.uk", "csp.hci.ic.gov"),
    *("on.aws", "on.amazonwebservices.com.cn", "on.amazonwebservices.eu"),
    *("on.aws.ic.gov", "on.aws.scloud", "on.cloud-aws.adc-e.uk", "on.aws.hci.ic.gov"),
)

_LONGEST_REGION: Final = 63  # characters of one DNS label
_LONGEST_HOST_SHOWN: Final = 100

_REGION: Final = re.compile(r"[a-z]{2,}(?:-[a-z0-9]+)+")
_SCHEME: Final = re.compile("[A-Za-z][A-Za-z0-9+.-]*://")
# An IPv6 address in its brackets, or whatever stands before the port.
_HOST: Final = re.compile(r"\[[^\]]*\]|[^:]*")
# The kubelet matches `*` with one label of a host, so one key can serve every account of a region.
_PRIVATE_HOST: Final = re.compile(
    rf"""
    (?: [0-9]{{12}} | \* | (?P<endpoint>vpce-[a-z0-9-]+) )
    \. dkr [.-] ecr (?:-fips)?
    \. (?P<region>{_REGION.pattern})
    (?(endpoint) \.vpce | (?:\.vpce)? )
    \. (?:{"|".join(map(re.escape, _SUFFIXES))})
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """What a registry key or URL names by itself.

    Attributes:
        host: in lower case, without scheme, login, port and path.
        kind: a private ECR, ECR Public, or anything else, such as a proxy in front of ECR.
        region: the AWS region; None where the host doesn't name it.
    """

    host: str
    kind: Literal["private", "public", "other"]
    region: str | None = None


def parse_registry(key: str) -> Registry:
    """Read a registry key of a docker config, or a repository URL of Argo CD.

    Args:
        key: a host, or anything around one: `https://host/v2/`, `oci://host/charts`, `host:443`.

    Raises:
        PermanentError: `InvalidRegistry`, for what no client can match: empty, without a host, with spaces or
            control characters, or longer than 2,048 characters.

    Source: https://docs.aws.amazon.com/general/latest/gr/ecr.html for private hosts, FIPS and dual stack;
        https://docs.aws.amazon.com/AmazonECR/latest/public/public-ecr-requests.html for public ones;
        https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html for VPC endpoints;
        https://kubernetes.io/docs/concepts/containers/images/#config-json for what the kubelet matches.
    """
    if flaw := _flaw(key):
        raise PermanentError(
            Reason.INVALID_REGISTRY,
            f"The registry or URL {flaw}, so no client can match it; expected a host, for example "
            f"{EXAMPLE_HOST}.",
        )
    host = host_in(key)
    if host in _PUBLIC_HOSTS:
        return Registry(host=host, kind="public", region=_PUBLIC_REGION)
    private = _PRIVATE_HOST.fullmatch(host)
    if private is None or not is_region(private["region"]):
        return Registry(host=host, kind="other")
    return Registry(host=host, kind="private", region=private["region"])


def token_source(registry_key: str, region: str | None) -> TokenSource:
    """Decide which AWS service in which region issues the token for a registry.

    Args:
        registry_key: `spec.ecr_registry` or `spec.url`.
        region: `spec.region`; empty counts as absent. ECR Public ignores it.

    Raises:
        PermanentError: `InvalidRegistry` as in parse_registry; `RegionMismatch` when the host names another
            region; `InvalidSpec` when the region is not valid, or absent for a host that doesn't name it.
    """
    registry = parse_registry(registry_key)
    if registry.kind == "public":
        return TokenSource(region=_PUBLIC_REGION, service="ecr-public")
    if region and not is_region(region):
        raise PermanentError(
            Reason.INVALID_SPEC,
            f"spec.region {excerpt(region)} is not a valid AWS region; expected one such as us-east-2, in "
            "lower case.",
        )
    host = excerpt(registry.host, _LONGEST_HOST_SHOWN)
    known = region or registry.region
    if not known:
        raise PermanentError(
            Reason.INVALID_SPEC,
            f"The registry host {host} does not contain an AWS region, as it is not a private ECR registry. "
            "Set spec.region to the region of the registry behind it.",
        )
    if registry.region and registry.region != plain_region(known):
        raise PermanentError(
            Reason.REGION_MISMATCH,
            f"The registry {host} is in {registry.region} but spec.region is {region}. "
            f"Remove spec.region, or use the registry of {region}.",
        )
    return TokenSource(region=known)


def host_in(key: str) -> str:
    """The host inside a key: in lower case, without scheme, login, port and path; empty if there is none."""
    authority = re.split(r"[/?#]", split_scheme(key)[1], maxsplit=1)[0]
    host = _HOST.match(authority.rpartition("@")[2])
    return host[0].lower().removesuffix(".") if host else ""


def split_scheme(key: str) -> tuple[str, str]:
    """The scheme with its `://`, empty where there is none, and the rest."""
    scheme = _SCHEME.match(key)
    return (scheme[0], key[scheme.end() :]) if scheme else ("", key)


def is_region(text: str) -> bool:
    """Whether it has the form of an AWS region, and is safe in a host name."""
    return len(text) <= _LONGEST_REGION and _REGION.fullmatch(text) is not None


def answered_region(endpoint: str) -> str:
    """The region of the registry that AWS names in its answer (`proxyEndpoint`); empty if it names none."""
    return (endpoint and not _flaw(endpoint) and parse_registry(endpoint).region) or ""


def _flaw(key: str) -> str | None:
    """Why no client can match a key; None where one may."""
    if not key:
        return "is empty"
    if len(key) > LONGEST_TEXT:
        return f"is longer than {LONGEST_TEXT} characters"
    for place, char in enumerate(key, start=1):
        if char.isspace():
            return f"contains a space or line break (character {place})"
        if not char.isprintable():
            return f"contains a control character or an invisible one (character {place})"
    return None if host_in(key) else "has no host"
