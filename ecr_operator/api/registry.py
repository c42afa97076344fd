"""Which ECR stands behind a registry key or URL, and where its token comes from.

Invariant: a region that leaves this module is one safe DNS label, so it may enter a host name; the key itself
is never changed. Messages name the host alone, since a key may hold a login (`https://user:token@host`).
Leaves out: which hosts the operator is allowed to serve, and asking AWS.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.text import excerpt
from ecr_operator.api.token import TokenSource

RegistryKind = Literal["private", "public", "other"]

# ECR Public has one API for the world, and it asks for SigV4 of this region.
_PUBLIC_REGION: Final = "us-east-1"
# The second is the dual-stack name of the first.
_PUBLIC_HOSTS: Final = frozenset({"public.ecr.aws", "ecr-public.aws.com"})

_PARTITIONS: Final = {
    "amazonaws.com": "aws",
    "amazonaws.com.cn": "aws-cn",
    "amazonaws.eu": "aws-eusc",
    "c2s.ic.gov": "aws-iso",
    "sc2s.sgov.gov": "aws-iso-b",
    "cloud.adc-e.uk": "aws-iso-e",
    "csp.hci.ic.gov": "aws-iso-f",
    # Dual stack.
    "on.aws": "aws",
    "on.amazonwebservices.com.cn": "aws-cn",
    "on.amazonwebservices.eu": "aws-eusc",
    "on.aws.ic.gov": "aws-iso",
    "on.aws.scloud": "aws-iso-b",
    "on.cloud-aws.adc-e.uk": "aws-iso-e",
    "on.aws.hci.ic.gov": "aws-iso-f",
}

_MOST_CHARACTERS: Final = 2048
_MOST_REGION_CHARACTERS: Final = 63  # of one DNS label
_MOST_HOST_SHOWN: Final = 100

_REGION: Final = re.compile(r"[a-z]{2,}(?:-[a-z0-9]+)+")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# An IPv6 address in its brackets, or whatever stands before the port.
_HOST: Final = re.compile(r"\[[^\]]*\]|[^:]*")
# The kubelet takes `*` for a label of a key, so one entry can serve every account of a region.
_PRIVATE_HOST: Final = re.compile(
    rf"""
    (?: (?P<account>[0-9]{{12}}) | \* | (?P<endpoint>vpce-[a-z0-9-]+) )
    \. dkr [.-] ecr (?:-fips)?
    \. (?P<region>{_REGION.pattern})
    (?(endpoint) \.vpce | (?:\.vpce)? )
    \. (?P<suffix>{"|".join(re.escape(suffix) for suffix in _PARTITIONS)})
    """,
    re.VERBOSE,
)
# ECR's name with something else in the account's place, such as a sample's ACCOUNT_ID.
_NO_ACCOUNT: Final = re.compile(r"(?![0-9]{12}\.|vpce-)[^.*]+\.dkr[.-]ecr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """What a registry key or URL says by itself.

    Attributes:
        key: as the user wrote it.
        host: the host inside the key, in lower case and without scheme, login, port and path.
        kind: a private ECR, ECR Public, or anything else, such as a proxy in front of ECR.
        account: the 12 digits of the AWS account, where the host names it.
        region: the AWS region, where the host tells it.
        partition: the AWS partition (`aws`, `aws-cn`, …), where the host tells it.
    """

    key: str
    host: str
    kind: RegistryKind
    account: str | None = None
    region: str | None = None
    partition: str | None = None


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
        raise _invalid(flaw)
    host = host_in(key)
    if host in _PUBLIC_HOSTS:
        return Registry(key=key, host=host, kind="public", region=_PUBLIC_REGION, partition="aws")
    private = _PRIVATE_HOST.fullmatch(host)
    if private is None or not is_region(private["region"]):
        return Registry(key=key, host=host, kind="other")
    return Registry(
        key=key,
        host=host,
        kind="private",
        account=private["account"],
        region=private["region"],
        partition=_partition(private["suffix"], private["region"]),
    )


def token_source(registry_key: str, region: str | None) -> TokenSource:
    """Decide which AWS service in which region gives the token for a registry.

    Args:
        registry_key: `spec.ecr_registry` or `spec.url`.
        region: `spec.region`; empty counts as not set. ECR Public ignores it, as it has one region only.

    Raises:
        PermanentError: `InvalidRegistry` as in parse_registry; `RegionMismatch` when the host names another
            region; `InvalidSpec` when the region is malformed, or missing for a host that doesn't tell it.
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
    known = region or registry.region
    if not known:
        raise _region_missing(registry)
    if registry.region and registry.region != known:
        raise _mismatch(registry, known)
    return TokenSource(region=known)


def _flaw(key: str) -> str | None:
    """Say why no client can match a key, or None."""
    if not key:
        return "is empty"
    if len(key) > _MOST_CHARACTERS:
        return f"is longer than {_MOST_CHARACTERS} characters"
    for place, char in enumerate(key, start=1):
        if char.isspace():
            return f"contains a space or line break (character {place})"
        if not char.isprintable():
            return f"contains a control character or an invisible one (character {place})"
    return None if host_in(key) else "has no host"


def host_in(key: str) -> str:
    """The host inside a key: in lower case, without scheme, login, port and path; empty if there is none."""
    scheme = _SCHEME.match(key)
    authority = re.split(r"[/?#]", key[scheme.end() :] if scheme else key, maxsplit=1)[0]
    host = _HOST.match(authority.rpartition("@")[2])
    return host[0].lower().removesuffix(".") if host else ""


def _partition(suffix: str, region: str) -> str:
    partition = _PARTITIONS[suffix]
    # GovCloud shares its domains with the commercial partition.
    return "aws-us-gov" if partition == "aws" and region.startswith("us-gov-") else partition


def is_region(text: str) -> bool:
    """Whether it has the form of an AWS region, and is safe in a host name."""
    return len(text) <= _MOST_REGION_CHARACTERS and _REGION.fullmatch(text) is not None


def answered_region(endpoint: str) -> str:
    """The region of the registry that AWS names in its answer (`proxyEndpoint`); empty if it tells none."""
    return (endpoint and not _flaw(endpoint) and parse_registry(endpoint).region) or ""


def _region_missing(registry: Registry) -> PermanentError:
    if _NO_ACCOUNT.match(registry.host):
        return PermanentError(
            Reason.INVALID_SPEC,
            f"The registry host {excerpt(registry.host, _MOST_HOST_SHOWN)} does not begin with the 12 digits "
            "of an AWS account. Put them there, or set spec.region if the host is one of your own.",
        )
    return PermanentError(
        Reason.INVALID_SPEC,
        f"The registry host {excerpt(registry.host, _MOST_HOST_SHOWN)} does not contain an AWS region, as "
        "it is not a private ECR registry. Set spec.region to the region of the registry behind it.",
    )


def _mismatch(registry: Registry, region: str) -> PermanentError:
    return PermanentError(
        Reason.REGION_MISMATCH,
        f"The registry {excerpt(registry.host, _MOST_HOST_SHOWN)} is in {registry.region} but spec.region is "
        f"{region}. Remove spec.region, or use the registry of {region}.",
    )


def _invalid(what: str) -> PermanentError:
    return PermanentError(
        Reason.INVALID_REGISTRY,
        f"The registry or URL {what}, so no client can match it; expected a host, for example "
        "123456789012.dkr.ecr.us-east-2.amazonaws.com.",
    )
