"""Which regions may be asked, which the SDK lists, and what is said of endpoints without TLS."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.registry import is_region
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.endpoints import (
    check_partition,
    check_region,
    is_listed,
    partition_of,
    partitions,
    plain_http_warning,
)

OVERRIDE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}

ASKED: dict[str, tuple[str, dict[str, str]]] = {
    "a region": ("eu-west-1", {}),
    "one to come": ("eu-north-9", {}),
    "China": ("cn-north-1", {}),
    "GovCloud": ("us-gov-west-1", {}),
    "the European sovereign cloud": ("eusc-de-east-1", {}),
    "isolated": ("us-isob-east-1", {}),
    "FIPS before": ("fips-us-east-1", {}),
    "FIPS after": ("us-east-1-fips", {}),
    "the operator's own": ("lab-one", {"AWS_REGION": "lab-one"}),
    "FIPS of the operator's own": ("fips-lab-one", {"AWS_REGION": "lab-one"}),
    "an endpoint for all": ("made-up", OVERRIDE),
    "an endpoint for ECR": ("made-up", {"AWS_ENDPOINT_URL_ECR": "https://ecr.lab"}),
}
REFUSED: dict[str, tuple[str, dict[str, str]]] = {
    "made up": ("made-up-1", {}),
    "a pseudo-region": ("aws-global", {}),
    "no number": ("eu-west", {}),
    "a zone": ("eu-west-1a", {}),
    "FIPS of nothing": ("fips-made-up-1", {}),
    "FIPS twice": ("fips-fips-us-east-1", {}),
    "FIPS inside": ("us-fips-east-1", {}),
    "another operator's": ("lab-one", {"AWS_REGION": "lab-two", "AWS_DEFAULT_REGION": "lab-one"}),
    "an empty endpoint": ("made-up", {"AWS_ENDPOINT_URL": ""}),
    "an endpoint of another service": ("made-up", {"AWS_ENDPOINT_URL_STS": "https://sts.lab"}),
}


@pytest.mark.parametrize(("region", "environ"), ASKED.values(), ids=ASKED)
def test_a_region_is_asked(region: str, environ: dict[str, str]) -> None:
    check_region(TokenSource(region=region), environ)


@pytest.mark.parametrize(("region", "environ"), REFUSED.values(), ids=REFUSED)
def test_a_region_is_refused(region: str, environ: dict[str, str]) -> None:
    with pytest.raises(PermanentError) as caught:
        check_region(TokenSource(region=region), environ)
    assert caught.value.reason is Reason.INVALID_SPEC
    assert region in caught.value.message


def test_ecr_public_is_asked_whatever_the_settings_are() -> None:
    check_region(TokenSource(region="us-east-1", service="ecr-public"), {"AWS_REGION": "lab-one"})


LISTED = {
    "eu-west-1": True,
    "cn-north-1": True,
    "us-gov-west-1": True,
    "eu-north-9": False,
    "aws-global": False,
}


@pytest.mark.parametrize(("region", "listed"), LISTED.items())
def test_a_region_is_listed_where_the_sdk_knows_it(region: str, *, listed: bool) -> None:
    assert is_listed(region) is listed


def test_every_partition_has_a_default_region_of_its_own() -> None:
    assert len(partitions()) > 5
    for partition in partitions():
        assert partition.default_region in partition.regions
        assert {partition_of(region) for region in partition.regions} == {partition}


LABEL = st.from_regex(r"(fips-)?[a-z]{2,4}(-[a-z0-9]{1,6}){1,4}(-fips)?", fullmatch=True)


@given(LABEL)
def test_any_safe_region_is_asked_or_refused_in_words(region: str) -> None:
    assert is_region(region)
    source = TokenSource(region=region)
    try:
        check_region(source, {})
    except PermanentError as error:
        message = error.message
    else:
        # Its host name is one of AWS's.
        assert partition_of(source.plain_region)
        return
    assert message.isprintable()


@pytest.mark.parametrize(
    "url",
    [
        "https://ecr.example.com",
        "http://localhost:4566",
        "http://aws.localhost",
        "http://127.0.0.1:4566",
        "http://127.9.9.9",
        "http://[::1]:4566",
        "http://[",
        "",
    ],
)
def test_an_endpoint_with_tls_or_on_this_machine_is_not_warned_of(url: str) -> None:
    assert plain_http_warning({"AWS_ENDPOINT_URL": url}) is None


@pytest.mark.parametrize(
    "url", ["http://user:pa55word@aws.example.com", "HTTP://10.0.0.1:80", " http://[fd00::1]/ ", "http://aws"]
)
def test_an_endpoint_without_tls_on_another_machine_is_warned_of_by_its_variable(url: str) -> None:
    others = {"AWS_ENDPOINT_URLS": url, "OTHER_URL": url, "AWS_ENDPOINT_URL_ECR": "https://ecr.example.com"}
    warning = plain_http_warning({**others, "AWS_ENDPOINT_URL_STS": url, "AWS_ENDPOINT_URL": url})
    assert warning
    assert warning.startswith("AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_STS: ")
    assert "pa55word" not in warning


EUROPE, CHINA = "arn:aws:iam::123456789012:role/puller", "arn:aws-cn:iam::123456789012:role/puller"


@pytest.mark.parametrize(
    ("region", "roles"),
    [
        ("fips-us-east-1", [EUROPE, ""]),
        ("cn-north-1", [CHINA]),
        ("lab-one", [CHINA]),
        ("cn-north-1", ["", "arn:aws-new:iam::1:role/x"]),
    ],
)
def test_a_role_is_used_in_regions_of_its_partition(region: str, roles: list[str]) -> None:
    check_partition(region, *roles)


@pytest.mark.parametrize("roles", [[CHINA], [EUROPE, CHINA], ["", CHINA]])
def test_a_role_is_denied_in_another_partition_with_both_named(roles: list[str]) -> None:
    with pytest.raises(PermanentError) as caught:
        check_partition("eu-west-1", *roles)
    assert caught.value.reason is Reason.ACCESS_DENIED
    assert "partition aws-cn," in caught.value.message
    assert "is in aws," in caught.value.message
