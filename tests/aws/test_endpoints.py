"""Which regions may be asked, which the SDK lists, and what is said of endpoints without TLS."""

from pathlib import Path

import pytest
from botocore.exceptions import UnknownServiceError
from botocore.loaders import create_loader

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.endpoints import (
    SDK_DATA,
    check_partition,
    check_region,
    is_listed,
    partition_of,
    partitions,
    plain_http_warning,
    preload,
)
from tests.aws.asking import PUBLIC

OVERRIDE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}

LAB = {"AWS_REGION": "lab-one"}
ASKED: list[tuple[str, dict[str, str]]] = [
    *(
        ("eu-west-1", {}),
        ("cn-north-1", {}),
        ("us-gov-west-1", {}),
        ("eusc-de-east-1", {}),
        ("us-isob-east-1", {}),
    ),
    ("eu-north-9", {}),  # to come
    *(("fips-us-east-1", {}), ("us-east-1-fips", {})),
    *(("lab-one", LAB), ("fips-lab-one", LAB)),
    *(("made-up", OVERRIDE), ("made-up", {"AWS_ENDPOINT_URL_ECR": "https://ecr.lab"})),
]
REFUSED: list[tuple[str, dict[str, str]]] = [
    *(("made-up-1", {}), ("aws-global", {}), ("eu-west", {}), ("eu-west-1a", {})),
    *(("fips-made-up-1", {}), ("fips-fips-us-east-1", {}), ("us-fips-east-1", {})),
    ("lab-one", {"AWS_REGION": "lab-two", "AWS_DEFAULT_REGION": "lab-one"}),
    ("made-up", {"AWS_ENDPOINT_URL": ""}),
    ("made-up", {"AWS_ENDPOINT_URL_STS": "https://sts.lab"}),
]


@pytest.mark.parametrize(("region", "environ"), ASKED)
def test_a_region_of_a_partition_or_of_the_settings_is_asked(region: str, environ: dict[str, str]) -> None:
    check_region(TokenSource(region=region), environ)


@pytest.mark.parametrize(("region", "environ"), REFUSED)
def test_any_other_region_is_refused(region: str, environ: dict[str, str]) -> None:
    with pytest.raises(PermanentError, match=region) as caught:
        check_region(TokenSource(region=region), environ)
    assert caught.value.reason is Reason.INVALID_SPEC


def test_what_is_preloaded_is_in_the_sdk() -> None:
    preload()


def test_data_is_what_the_sdks_own_loader_reads() -> None:
    # The SDK changes what it has loaded.
    ours, own = type(SDK_DATA)(file_loader=SDK_DATA.file_loader), create_loader()
    assert ours.load_data("endpoints") == own.load_data("endpoints")
    for service in ("ecr", "ecr-public", "sts", "sso", "sso-oidc"):
        assert ours.load_service_model(service, "service-2") == own.load_service_model(service, "service-2")


def test_a_service_that_the_sdk_does_not_know_is_its_error() -> None:
    with pytest.raises(UnknownServiceError):
        SDK_DATA.load_service_model("no-such-service", "service-2")


def test_a_home_that_cant_be_looked_at_is_passed_over() -> None:
    # Too long a name, since root may look at everything.
    loader = type(SDK_DATA)(["/" + "x" * 300], SDK_DATA.file_loader)
    assert loader.load_service_model("ecr", "service-2") == SDK_DATA.load_service_model("ecr", "service-2")


def test_what_the_fast_parser_refuses_is_read_as_the_sdk_does(tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text(r'{"key": "\ud800"}')
    assert SDK_DATA.file_loader.load_file(str(tmp_path / "odd")) == {"key": "\ud800"}


def test_ecr_public_is_asked_whatever_the_settings_are() -> None:
    check_region(PUBLIC, LAB)


def test_a_region_is_listed_where_the_sdk_knows_it() -> None:
    regions = ("eu-west-1", "cn-north-1", "us-gov-west-1", "eu-north-9", "aws-global")
    assert [is_listed(region) for region in regions] == [True, True, True, False, False]


def test_every_partition_has_a_default_region_of_its_own() -> None:
    assert len(partitions()) > 5
    for partition in partitions():
        assert partition.default_region in partition.regions
        assert {partition_of(region) for region in partition.regions} == {partition}


QUIET = ["https://ecr.example.com", "http://localhost:4566", "http://aws.localhost", "http://127.0.0.1:4566"]
QUIET += ["http://127.9.9.9", "http://[::1]:4566", "http://[", ""]
LOUD = ("http://user:pa55word@aws.example.com", "HTTP://10.0.0.1:80", " http://[fd00::1]/ ", "http://aws")


@pytest.mark.parametrize("url", [*QUIET, *LOUD])
def test_only_an_endpoint_without_tls_on_another_machine_is_warned_of_by_its_variable(url: str) -> None:
    others = {"AWS_ENDPOINT_URLS": url, "OTHER_URL": url, "AWS_ENDPOINT_URL_ECR": "https://ecr.example.com"}
    warning = plain_http_warning({**others, "AWS_ENDPOINT_URL_STS": url, "AWS_ENDPOINT_URL": url}) or ""
    assert warning.startswith("AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_STS: ") is (url in LOUD)
    assert bool(warning) is (url in LOUD)
    assert "pa55word" not in warning


EUROPE, CHINA = "arn:aws:iam::123456789012:role/puller", "arn:aws-cn:iam::123456789012:role/puller"
# The region, and the roles on the way.
ONE_PARTITION: list[tuple[str, ...]] = [
    ("fips-us-east-1", EUROPE, ""),
    ("cn-north-1", CHINA),
    ("lab-one", CHINA),
]
ONE_PARTITION += [("cn-north-1", "", "arn:aws-new:iam::1:role/x")]
TWO_PARTITIONS = [("eu-west-1", CHINA), ("eu-west-1", EUROPE, CHINA), ("eu-west-1", "", CHINA)]


def test_a_role_is_used_in_regions_of_its_partition() -> None:
    for case in ONE_PARTITION:
        check_partition(*case)


@pytest.mark.parametrize("case", TWO_PARTITIONS)
def test_a_role_is_denied_in_another_partition_with_both_named(case: tuple[str, ...]) -> None:
    with pytest.raises(PermanentError) as caught:
        check_partition(*case)
    assert caught.value.reason is Reason.ACCESS_DENIED
    assert "partition aws-cn," in caught.value.message
    assert "is in aws," in caught.value.message
