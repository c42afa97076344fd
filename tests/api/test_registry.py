"""Which ECR a registry key belongs to, and where its token comes from."""

import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.registry import Registry, answered_region, parse_registry, token_source
from ecr_operator.api.token import TokenSource

ACCOUNT: Final = "123456789012"
PLAIN: Final = f"{ACCOUNT}.dkr.ecr.us-east-2.amazonaws.com"
SAFE_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")
LONGEST_MESSAGE: Final = 400
DNS_LABEL: Final = 63


def error_for(key: str, region: str | None = None) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        token_source(key, region)
    return caught.value


HOSTS: Final = """
    A.dkr.ecr.us-east-2.amazonaws.com A.dkr.ecr.cn-north-1.amazonaws.com.cn
    A.dkr.ecr.us-gov-west-1.amazonaws.com A.dkr.ecr.us-iso-east-1.c2s.ic.gov
    A.dkr.ecr.us-isob-east-1.sc2s.sgov.gov A.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk
    A.dkr.ecr.us-isof-south-1.csp.hci.ic.gov A.dkr.ecr.eusc-de-east-1.amazonaws.eu
    A.dkr.ecr-fips.us-east-1.amazonaws.com A.dkr.ecr-fips.us-gov-east-1.amazonaws.com
    A.dkr-ecr.us-west-2.on.aws A.dkr-ecr-fips.us-west-2.on.aws A.dkr-ecr-fips.us-gov-west-1.on.aws
    A.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn A.dkr-ecr.eusc-de-east-1.on.amazonwebservices.eu
    A.dkr-ecr.us-iso-west-1.on.aws.ic.gov A.dkr-ecr.us-isob-east-1.on.aws.scloud
    A.dkr-ecr.eu-isoe-west-1.on.cloud-aws.adc-e.uk A.dkr-ecr.us-isof-south-1.on.aws.hci.ic.gov
    A.dkr.ecr.us-east-2.vpce.amazonaws.com vpce-0a1b-c2d3.dkr.ecr.us-east-2.vpce.amazonaws.com
    vpce-0a1b-c2d3-us-east-2a.dkr.ecr.us-east-2.vpce.amazonaws.com *.dkr.ecr.us-east-2.amazonaws.com
""".replace("A.", f"{ACCOUNT}.").split()


@pytest.mark.parametrize("host", HOSTS)
def test_a_private_host_names_its_region(host: str) -> None:
    region = re.split(r"\.dkr[.-]ecr(?:-fips)?\.", host)[1].partition(".")[0]
    assert parse_registry(host) == Registry(host=host, kind="private", region=region)
    assert token_source(host, None) == TokenSource(region=region, service="ecr")


INSIDE: Final = ("https://{}", "oci://{}/charts/app", "{}/charts", "{}:443", "https://{}:443/charts?a=b#c")
INSIDE_TOO: Final = ("https://AWS:secret@{}/charts", f"HTTPS://{PLAIN.title()}/Charts", "{}.")


@pytest.mark.parametrize("key", [each.format(PLAIN) for each in INSIDE + INSIDE_TOO])
def test_the_host_is_found_inside_a_key(key: str) -> None:
    assert parse_registry(key) == Registry(host=PLAIN, kind="private", region="us-east-2")


@pytest.mark.parametrize(
    "key", ["public.ecr.aws", "https://public.ecr.aws/alias/", "Public.ECR.aws", "ecr-public.aws.com"]
)
@pytest.mark.parametrize("region", [None, "", "us-east-1", "eu-west-1", "not a region"])
def test_ecr_public_has_one_region_whatever_the_spec_says(key: str, region: str | None) -> None:
    assert parse_registry(key).kind == "public"
    assert token_source(key, region) == TokenSource(region="us-east-1", service="ecr-public")


@pytest.mark.parametrize(
    "key",
    [
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
    ],
)
def test_any_other_host_needs_the_region_of_the_spec(key: str) -> None:
    registry = parse_registry(key)
    assert (registry.kind, registry.region) == ("other", None)
    assert token_source(key, "eu-west-1") == TokenSource(region="eu-west-1", service="ecr")
    for absent in (None, ""):
        error = error_for(key, absent)
        assert error.reason is Reason.INVALID_SPEC
        assert registry.host[:50] in error.message
        assert "Set spec.region" in error.message


@pytest.mark.parametrize("region", [None, "", "us-east-2"])
def test_a_region_that_agrees_or_is_absent_gives_the_hosts_region(region: str | None) -> None:
    assert token_source(PLAIN, region) == TokenSource(region="us-east-2", service="ecr")


@pytest.mark.parametrize("region", ["fips-us-east-2", "us-east-2-fips"])
def test_a_fips_form_of_the_hosts_region_is_that_region(region: str) -> None:
    assert token_source(PLAIN, region) == TokenSource(region=region, service="ecr")
    assert error_for(PLAIN, region.replace("east", "west")).reason is Reason.REGION_MISMATCH


@pytest.mark.parametrize("key", [PLAIN, f"oci://{PLAIN}/charts", PLAIN.upper()])
def test_a_host_in_another_region_names_both_and_the_ways_out(key: str) -> None:
    error = error_for(key, "us-west-2")
    assert error.reason is Reason.REGION_MISMATCH
    assert error.message == (
        f'The registry "{PLAIN}" is in us-east-2 but spec.region is us-west-2. '
        "Remove spec.region, or use the registry of us-west-2."
    )


def test_the_region_of_awss_answer_is_known_or_empty() -> None:
    endpoints = (f"https://{PLAIN}", "https://proxy.example.com", "", "https://", "a b")
    assert [answered_region(endpoint) for endpoint in endpoints] == ["us-east-2", "", "", "", ""]


@pytest.mark.parametrize(
    "region",
    [
        *("useast2", "US-EAST-2", " us-east-2", "us-east-2\n", "us-east-2.example.com", "us-east-2/"),
        *("us-east-2@evil.example.com", "us--east-2", "us-east-", "us-east-\u0662"),
        *("us-" + "e" * (DNS_LABEL - 2), "us-" + "e" * 1_000_000),
    ],
    ids=lambda region: ascii(region)[:40],
)
@pytest.mark.parametrize("key", [PLAIN, "registry.example.com"])
def test_a_region_that_is_not_safe_in_a_host_name_is_refused(key: str, region: str) -> None:
    error = error_for(key, region)
    assert error.reason is Reason.INVALID_SPEC
    assert "is not a valid AWS region; expected one such as us-east-2" in error.message
    assert len(error.message) < LONGEST_MESSAGE
    assert error.message.isprintable()


def test_a_region_as_long_as_a_dns_label_and_a_key_of_2048_characters_are_accepted() -> None:
    region = "us-" + "e" * (DNS_LABEL - 3)
    assert token_source("a" * 2048, region).region == region


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("", "is empty"),
        (" ", "contains a space"),
        (f" {PLAIN}", "(character 1)"),
        (f"{PLAIN} ", f"(character {len(PLAIN) + 1})"),
        ("a b.example.com", "(character 2)"),
        (f"{PLAIN}\n", "contains a space or line break"),
        ("registry\u00a0.example.com", "contains a space"),
        ("registry\x00.example.com", "contains a control character"),
        ("registry\u200b.example.com", "an invisible one"),
        ("registry\ud800.example.com", "an invisible one"),
        ("a" * 2049, "is longer than 2048 characters"),
        ("https://", "has no host"),
        ("/charts", "has no host"),
        (":5000", "has no host"),
    ],
    ids=lambda value: ascii(value)[:40],
)
@pytest.mark.parametrize("region", [None, "us-east-2"])
def test_what_no_client_can_match_is_refused(key: str, what: str, region: str | None) -> None:
    error = error_for(key, region)
    assert error.reason is Reason.INVALID_REGISTRY
    assert what in error.message
    assert "expected a host, for example" in error.message
    assert len(error.message) < LONGEST_MESSAGE


@pytest.mark.parametrize(
    "key",
    [
        "https://AWS:s3cr3t@registry.example.com/v2/",
        "https://AWS:s3cr3t/x@registry.example.com/v2/",
        "https://registry.example.com/v2/?token=s3cr3t",
        f"https://AWS:s3cr3t@{PLAIN}/",
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
