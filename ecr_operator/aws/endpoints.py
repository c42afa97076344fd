"""Which of AWS's endpoints may be asked: partitions and regions that the SDK knows, and overrides of them.

Invariant: a region outside of every partition's pattern is asked only where the operator's settings name it,
or send all calls to one endpoint. Leaves out: whether a region is safe in a host name (api.registry).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pydantic_core
from botocore.loaders import JSONFileLoader, Loader

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.text import excerpt
from ecr_operator.api.token import TokenSource, plain_region

_OVERRIDES: Final = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR")


class _Files(JSONFileLoader):  # type: ignore[misc] # the SDK has no types
    """The SDK's files, of which one has 1.2 MB: in 6 ms and not 28, and 3 MiB less."""

    def load_file(self, file_path: str) -> Any:  # noqa: ANN401 -- whatever JSON there is
        """What is in a file, whose name comes without its end; None if there is none."""
        try:
            return pydantic_core.from_json(Path(f"{file_path}.json").read_bytes())
        except (OSError, ValueError):
            # It is packed, absent, or unreadable: as the SDK has it.
            return super().load_file(file_path)


class _Loader(Loader):  # type: ignore[misc] # the SDK has no types
    """The SDK's loader, without looking into each of its 400 services, 50 ms, before it loads the first."""

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 -- the SDK's signature
        """The names of all services."""
        # Without those that can't be looked at, such as the home of another user.
        return [found.name for folder in self._potential_locations() for found in Path(folder).iterdir()]


# Every file of the SDK is parsed once in a process, and its data is shared by all sessions.
SDK_DATA: Final[Any] = _Loader(file_loader=_Files())
# What every region's client would load anyway.
_WARM_DATA: Final = ("endpoints", "partitions", "_retry", "sdk-default-configuration")
_WARM_MODELS: Final = ("service-2", "endpoint-rule-set-1")


def preload() -> None:
    """Parse the data that every client needs, 10 ms; may run in a thread before the first call."""
    for name in _WARM_DATA:
        SDK_DATA.load_data(name)
    for name in _WARM_MODELS:
        SDK_DATA.load_service_model("ecr", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition of AWS.

    Attributes:
        name: such as `aws-cn`; the second part of its ARNs.
        pattern: of its regions, those to come too.
        regions: that the SDK lists.
        default_region: where the SDK asks what belongs to no region.
    """

    name: str
    pattern: re.Pattern[str]
    regions: frozenset[str]
    default_region: str


@cache
def partitions() -> tuple[Partition, ...]:
    """All partitions that the SDK knows."""
    return tuple(
        Partition(
            name=found["id"],
            pattern=(pattern := re.compile(found["regionRegex"], re.ASCII)),
            # Without pseudo-regions such as aws-global.
            regions=frozenset(region for region in found["regions"] if pattern.fullmatch(region)),
            default_region=found["outputs"]["implicitGlobalRegion"],
        )
        for found in SDK_DATA.load_data("partitions")["partitions"]
    )


@lru_cache
def partition_of(region: str) -> Partition | None:
    """The partition whose regions look like this one; None for none."""
    return next((found for found in partitions() if found.pattern.fullmatch(region)), None)


def partition_of_arn(arn: str) -> Partition | None:
    """The partition that an ARN names; None for one that the SDK doesn't know."""
    name = arn.split(":", 2)[1] if ":" in arn else ""
    return next((found for found in partitions() if found.name == name), None)


def is_listed(region: str) -> bool:
    """Whether the SDK lists a region; FIPS forms are not regions."""
    partition = partition_of(region)
    return partition is not None and region in partition.regions


def has_known_endpoint(region: str) -> bool:
    """Whether the SDK lists the region, and FIPS endpoints there if FIPS is asked for."""
    plain = plain_region(region)
    return is_listed(plain) and (plain == region or plain in _fips_regions())


@cache
def _fips_regions() -> frozenset[str]:
    found = SDK_DATA.load_data("endpoints")["partitions"]
    names = (name for partition in found for name in partition["services"]["api.ecr"]["endpoints"])
    return frozenset(plain_region(name) for name in names if name.startswith("fips-"))


def check_region(source: TokenSource, environ: Mapping[str, str] = os.environ) -> None:
    """Refuse a region that no partition could have.

    Args:
        source: what is to be asked; ECR Public has a region of its own.
        environ: the operator's environment, which may name the region or an endpoint for all of them.

    Raises:
        PermanentError: `InvalidSpec`.
    """
    region = source.plain_region
    if source.service == "ecr-public" or region == environ.get("AWS_REGION"):
        return
    if partition_of(region) or any(environ.get(name) for name in _OVERRIDES):
        return
    raise PermanentError(
        Reason.INVALID_SPEC,
        f"The region {excerpt(source.region)} is not a valid AWS region; expected one such as us-east-2. "
        "Correct spec.region, or the registry's host.",
    )


def check_partition(region: str, *role_arns: str) -> None:
    """Refuse to use roles of one partition in another.

    Args:
        region: that is to be asked.
        role_arns: the operator's own role and the resource's; an empty one is none.

    Raises:
        PermanentError: `AccessDenied`, naming both partitions.
    """
    there = partition_of(plain_region(region))
    for role_arn in role_arns:
        here = partition_of_arn(role_arn)
        if here and there and here != there:
            raise PermanentError(
                Reason.ACCESS_DENIED,
                f"{role_arn} is in the AWS partition {here.name}, but the region {region} is in "
                f"{there.name}, where it can't be used. Name an identity of that partition: service_account "
                "or aws_iam_secret.",
            )


def plain_http_warning(environ: Mapping[str, str] = os.environ) -> str | None:
    """Warn of an AWS endpoint on another machine that is reached without TLS.

    Args:
        environ: the operator's environment.

    Returns:
        One sentence that names the variables and shows no value, or None.
    """
    found = sorted(
        name
        for name, value in environ.items()
        if (name == "AWS_ENDPOINT_URL" or name.startswith("AWS_ENDPOINT_URL_")) and _is_plain_remote(value)
    )
    if not found:
        return None
    return (
        f"{', '.join(found)}: AWS is reached by http:// on another machine, so that anyone on the way can "
        "read registry tokens and AWS session keys. Use https://."
    )


def _is_plain_remote(url: str) -> bool:
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
    except ValueError:
        return False  # reported when it is used
    if parts.scheme != "http" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True
