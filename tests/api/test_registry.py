"""What a registry key says, and where its token comes from."""

import re
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.registry import Registry, parse_registry, token_source
from ecr_operator.api.token import TokenSource

ACCOUNT: Final = "123456789012"
PLAIN: Final = f"{ACCOUNT}.dkr.ecr.us-east-2.amazonaws.com"
# A busy machine is no failure.
UNHURRIED: Final = settings(deadline=None)
SAFE_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")
LONGEST_MESSAGE: Final = 400
DNS_LABEL: Final = 63


def error_for(key: str, region: str | None = None) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        token_source(key, region)
    return caught.value


@pytest.mark.parametrize(
    ("host", "region", "partition"),
    [
        pytest.param(PLAIN, "us-east-2", "aws", id="the commercial partition"),
        pytest.param(f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", "aws-cn", id="China"),
        pytest.param(
            f"{ACCOUNT}.dkr.ecr.us-gov-west-1.amazonaws.com", "us-gov-west-1", "aws-us-gov", id="GovCloud"
        ),
        pytest.param(f"{ACCOUNT}.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", "aws-iso", id="ISO"),
        pytest.param(
            f"{ACCOUNT}.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1", "aws-iso-b", id="ISO B"
        ),
        pytest.param(
            f"{ACCOUNT}.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1", "aws-iso-e", id="ISO E"
        ),
        pytest.param(
            f"{ACCOUNT}.dkr.ecr.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1", "aws-iso-f", id="ISO F"
        ),
        pytest.param(
            f"{ACCOUNT}.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", "aws-eusc", id="Europe"
        ),
        pytest.param(f"{ACCOUNT}.dkr.ecr-fips.us-east-1.amazonaws.com", "us-east-1", "aws", id="FIPS"),
        pytest.param(
            f"{ACCOUNT}.dkr.ecr-fips.us-gov-east-1.amazonaws.com",
            "us-gov-east-1",
            "aws-us-gov",
            id="FIPS in GovCloud",
        ),
        pytest.param(f"{ACCOUNT}.dkr-ecr.us-west-2.on.aws", "us-west-2", "aws", id="dual stack"),
        pytest.param(
            f"{ACCOUNT}.dkr-ecr-fips.us-west-2.on.aws", "us-west-2", "aws", id="dual stack with FIPS"
        ),
        pytest.param(
            f"{ACCOUNT}.dkr-ecr-fips.us-gov-west-1.on.aws",
            "us-gov-west-1",
            "aws-us-gov",
            id="dual stack in GovCloud",
        ),
        pytest.param(
            f"{ACCOUNT}.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn",
            "cn-northwest-1",
            "aws-cn",
            id="dual stack in China",
        ),
        pytest.param(
            f"{ACCOUNT}.dkr-ecr.eusc-de-east-1.on.amazonwebservices.eu",
            "eusc-de-east-1",
            "aws-eusc",
            id="dual stack in Europe",
        ),
        pytest.param(
            f"{ACCOUNT}.dkr-ecr.us-iso-west-1.on.aws.ic.gov",
            "us-iso-west-1",
            "aws-iso",
            id="dual stack in ISO",
        ),
        pytest.param(
            f"{ACCOUNT}.dkr-ecr.us-isob-east-1.on.aws.scloud",
            "us-isob-east-1",
            "aws-iso-b",
            id="dual stack in ISO B",
        ),
        pytest.param(
            f"{ACCOUNT}.dkr-ecr.eu-isoe-west-1.on.cloud-aws.adc-e.uk",
            "eu-isoe-west-1",
            "aws-iso-e",
            id="dual stack in ISO E",
        ),
        pytest.param(
            f"{ACCOUNT}.dkr-ecr.us-isof-south-1.on.aws.hci.ic.gov",
            "us-isof-south-1",
            "aws-iso-f",
            id="dual stack in ISO F",
        ),
    ],
)
def test_a_private_host_tells_account_region_and_partition(host: str, region: str, partition: str) -> None:
    assert parse_registry(host) == Registry(
        key=host, host=host, kind="private", account=ACCOUNT, region=region, partition=partition
    )
    assert token_source(host, None) == TokenSource(region=region, service="ecr")


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(f"https://{PLAIN}", id="a scheme"),
        pytest.param(f"oci://{PLAIN}/charts/app", id="Argo CD's oci scheme and a path"),
        pytest.param(f"{PLAIN}/charts", id="a path without a scheme"),
        pytest.param(f"https://{PLAIN}/v2/", id="a path with a slash at its end"),
        pytest.param(f"{PLAIN}:443", id="a port"),
        pytest.param(f"https://{PLAIN}:443/charts?a=b#c", id="everything a URL can have"),
        pytest.param(f"https://AWS:secret@{PLAIN}/charts", id="a login"),
        pytest.param(PLAIN.upper(), id="capital letters"),
        pytest.param(f"HTTPS://{PLAIN.title()}/Charts", id="capital letters in a URL"),
        pytest.param(f"{PLAIN}.", id="the dot of the DNS root"),
    ],
)
def test_the_host_is_found_inside_and_the_key_stays_verbatim(key: str) -> None:
    assert parse_registry(key) == Registry(
        key=key, host=PLAIN, kind="private", account=ACCOUNT, region="us-east-2", partition="aws"
    )


@pytest.mark.parametrize(
    ("host", "account"),
    [
        pytest.param("vpce-0a1b-c2d3.dkr.ecr.us-east-2.vpce.amazonaws.com", None, id="of an endpoint"),
        pytest.param(
            "vpce-0a1b-c2d3-us-east-2a.dkr.ecr.us-east-2.vpce.amazonaws.com", None, id="of one zone"
        ),
        pytest.param(f"{ACCOUNT}.dkr.ecr.us-east-2.vpce.amazonaws.com", ACCOUNT, id="of an account"),
        pytest.param(
            "*.dkr.ecr.us-east-2.amazonaws.com", None, id="with the kubelet's star for every account"
        ),
    ],
)
def test_a_host_without_a_plain_account_still_tells_its_region(host: str, account: str | None) -> None:
    assert parse_registry(host) == Registry(
        key=host, host=host, kind="private", account=account, region="us-east-2", partition="aws"
    )


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("public.ecr.aws", id="the host"),
        pytest.param("https://public.ecr.aws/alias/", id="the host in a URL"),
        pytest.param("Public.ECR.aws", id="capital letters"),
        pytest.param("ecr-public.aws.com", id="the dual-stack host"),
    ],
)
@pytest.mark.parametrize("region", [None, "", "us-east-1", "eu-west-1", "not a region"])
def test_ecr_public_is_asked_in_its_one_region_whatever_the_spec_says(key: str, region: str | None) -> None:
    assert parse_registry(key).kind == "public"
    assert token_source(key, region) == TokenSource(region="us-east-1", service="ecr-public")


OTHERS: Final = [
    pytest.param("registry.example.com", id="a CNAME"),
    pytest.param("https://proxy.example.com:8443/ecr", id="a proxy"),
    pytest.param("localhost:5000", id="a local port"),
    pytest.param("[::1]:5000", id="an IPv6 address"),
    pytest.param("12345.dkr.ecr.us-east-2.amazonaws.com", id="an account of too few digits"),
    pytest.param("\u0661" * 12 + ".dkr.ecr.us-east-2.amazonaws.com", id="an account in another script"),
    pytest.param(f"{PLAIN}.example.com", id="ECR as a prefix of another domain"),
    pytest.param(f"https://{PLAIN}@example.com/", id="ECR as a login at another host"),
    pytest.param(f"https://example.com/{PLAIN}", id="ECR in the path"),
    pytest.param(f"x{PLAIN}", id="a letter before the account"),
    pytest.param(f"{ACCOUNT}.dkr.ecr.*.amazonaws.com", id="a star for the region"),
    pytest.param(f"{ACCOUNT}.dkr.ecr.us.east.2.amazonaws.com", id="a region of several labels"),
    pytest.param(f"{ACCOUNT}.dkr.ecr.us-{'e' * DNS_LABEL}.amazonaws.com", id="a region too long for DNS"),
    pytest.param("vpce-0a1b.dkr.ecr.us-east-2.amazonaws.com", id="an endpoint outside its domain"),
    pytest.param("dkr.ecr.us-east-2.amazonaws.com", id="no account"),
]


@pytest.mark.parametrize("key", OTHERS)
def test_any_other_key_is_legal_and_tells_no_region(key: str) -> None:
    registry = parse_registry(key)
    assert (registry.key, registry.kind, registry.account, registry.region) == (key, "other", None, None)


@pytest.mark.parametrize("key", OTHERS)
def test_another_host_takes_its_region_from_the_spec(key: str) -> None:
    assert token_source(key, "eu-west-1") == TokenSource(region="eu-west-1", service="ecr")


@pytest.mark.parametrize("key", OTHERS)
@pytest.mark.parametrize("region", [None, ""])
def test_another_host_without_a_region_says_what_to_set(key: str, region: str | None) -> None:
    error = error_for(key, region)
    assert error.reason is Reason.INVALID_SPEC
    assert parse_registry(key).host[:50] in error.message
    assert "et spec.region" in error.message


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("ACCOUNT_ID.dkr.ecr.us-east-2.amazonaws.com", id="a sample's word"),
        pytest.param("12345.dkr.ecr.us-east-2.amazonaws.com", id="too few digits"),
        pytest.param("x.dkr-ecr.us-east-2.on.aws", id="dual stack"),
    ],
)
def test_a_host_of_ecr_without_an_account_says_that_it_lacks_one(key: str) -> None:
    assert "the 12 digits of an AWS account" in error_for(key, None).message


@pytest.mark.parametrize("region", [None, "", "us-east-2"])
def test_a_region_that_agrees_or_is_absent_gives_the_hosts_region(region: str | None) -> None:
    assert token_source(PLAIN, region) == TokenSource(region="us-east-2", service="ecr")


@pytest.mark.parametrize("key", [PLAIN, f"oci://{PLAIN}/charts", PLAIN.upper()])
def test_a_host_of_another_region_names_both_and_the_ways_out(key: str) -> None:
    error = error_for(key, "us-west-2")
    assert error.reason is Reason.REGION_MISMATCH
    assert error.message == (
        f'The registry "{PLAIN}" is in us-east-2 but spec.region is us-west-2. '
        "Remove spec.region, or use the registry of us-west-2."
    )


@pytest.mark.parametrize(
    "region",
    [
        pytest.param("useast2", id="no hyphen"),
        pytest.param("US-EAST-2", id="capital letters"),
        pytest.param(" us-east-2", id="a space before it"),
        pytest.param("us-east-2\n", id="a line break after it"),
        pytest.param("us-east-2.example.com", id="a host name"),
        pytest.param("us-east-2/", id="a slash"),
        pytest.param("us-east-2@evil.example.com", id="a login"),
        pytest.param("us--east-2", id="two hyphens"),
        pytest.param("us-east-", id="a hyphen at its end"),
        pytest.param("us-east-\u0662", id="a digit of another script"),
        pytest.param("us-" + "e" * (DNS_LABEL - 2), id="too long for a DNS label"),
        pytest.param("us-" + "e" * 1_000_000, id="a million letters"),
    ],
)
@pytest.mark.parametrize("key", [PLAIN, "registry.example.com"])
def test_a_region_that_may_not_enter_a_host_name_is_refused(key: str, region: str) -> None:
    error = error_for(key, region)
    assert error.reason is Reason.INVALID_SPEC
    assert "is not a valid AWS region; expected one such as us-east-2" in error.message
    assert len(error.message) < LONGEST_MESSAGE
    assert error.message.isprintable()


def test_a_region_as_long_as_a_dns_label_is_taken() -> None:
    region = "us-" + "e" * (DNS_LABEL - 3)
    assert token_source("registry.example.com", region).region == region


@pytest.mark.parametrize(
    ("key", "what"),
    [
        pytest.param("", "is empty", id="nothing"),
        pytest.param(" ", "contains a space", id="a space alone"),
        pytest.param(f" {PLAIN}", "(character 1)", id="a space before the host"),
        pytest.param(f"{PLAIN} ", f"(character {len(PLAIN) + 1})", id="a space after the host"),
        pytest.param("a b.example.com", "(character 2)", id="a space within"),
        pytest.param(f"{PLAIN}\n", "contains a space or line break", id="a line break"),
        pytest.param("registry\u00a0.example.com", "contains a space", id="a no-break space"),
        pytest.param("registry\x00.example.com", "contains a control character", id="a null character"),
        pytest.param("registry\u200b.example.com", "an invisible one", id="a zero-width space"),
        pytest.param("registry\ud800.example.com", "an invisible one", id="half a surrogate pair"),
        pytest.param("a" * 2049, "is longer than 2048 characters", id="more than 2,048 characters"),
        pytest.param("https://", "has no host", id="a scheme alone"),
        pytest.param("/charts", "has no host", id="a path alone"),
        pytest.param(":5000", "has no host", id="a port alone"),
    ],
)
@pytest.mark.parametrize("region", [None, "us-east-2"])
def test_what_no_client_can_match_is_refused(key: str, what: str, region: str | None) -> None:
    error = error_for(key, region)
    assert error.reason is Reason.INVALID_REGISTRY
    assert what in error.message
    assert "expected a host, for example" in error.message
    assert len(error.message) < LONGEST_MESSAGE


def test_a_key_of_2048_characters_is_taken() -> None:
    assert parse_registry("a" * 2048).kind == "other"


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("https://AWS:s3cr3t@registry.example.com/v2/", id="before the host"),
        pytest.param("https://AWS:s3cr3t/x@registry.example.com/v2/", id="with a slash in the password"),
        pytest.param("https://registry.example.com/v2/?token=s3cr3t", id="in the query"),
        pytest.param(f"https://AWS:s3cr3t@{PLAIN}/", id="before an ECR host"),
    ],
)
@pytest.mark.parametrize("region", [None, "eu-west-1", "no region"])
def test_a_login_inside_a_key_never_shows(key: str, region: str | None) -> None:
    try:
        token_source(key, region)
    except PermanentError as error:
        assert "s3cr3t" not in error.message  # noqa: PT017 - some of these are refused, some are not


PIECES: Final = st.lists(
    st.sampled_from(
        f"{ACCOUNT} * vpce-1 . dkr.ecr dkr-ecr-fips .us-east-2 .cn-north-1 .vpce .amazonaws.com .on.aws"
        " public.ecr.aws https:// / @ : 443 - x \u212a US-EAST-1 [ ] \u200b".split(" ")
    ),
    max_size=12,
).map("".join)


@UNHURRIED
@given(key=st.text() | PIECES, region=st.none() | st.text() | st.from_regex(SAFE_REGION, fullmatch=True))
def test_any_input_gives_a_safe_region_or_a_permanent_error(key: str, region: str | None) -> None:
    try:
        found = token_source(key, region).region
    except PermanentError as error:
        assert len(error.message) < LONGEST_MESSAGE  # noqa: PT017 - most inputs are refused, some are not
        assert error.message.isprintable()  # noqa: PT017
    else:
        assert SAFE_REGION.fullmatch(found)
        assert len(found) <= DNS_LABEL


@UNHURRIED
@given(st.text() | PIECES)
def test_any_key_keeps_its_text_or_gives_a_permanent_error(key: str) -> None:
    try:
        registry = parse_registry(key)
    except PermanentError as error:
        assert error.reason is Reason.INVALID_REGISTRY  # noqa: PT017
    else:
        assert registry.key == key
        assert registry.region is None or SAFE_REGION.fullmatch(registry.region)
