"""Where the operator's own AWS keys come from: each way that v0.6.0 and the SDK know, and how each fails."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import RegistryToken, TokenSource
from ecr_operator.aws.credentials import OperatorCredentials
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.aws.keys import AwsKeys
from ecr_operator.aws.network import client_config
from lab.aws import LocalAws, decode_token
from tests.aws.conftest import ACCESS_KEY, OTHER_KEY, OTHER_SECRET, SECRET_KEY
from tests.fakes import FakeClock

IRELAND = TokenSource(region="eu-west-1")
OHIO = TokenSource(region="us-east-2")
ROLE = "arn:aws:iam::123456789012:role/puller"
STS = "AssumeRoleWithWebIdentity"


def keys_file(access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> str:
    """The `credentials` file of v0.6.0's guide for an IAM user."""
    return f"[default]\naws_access_key_id={access_key}\naws_secret_access_key={secret_key}\n"


def web_identity_file(token: Path) -> str:
    """The `credentials` file of v0.6.0's guide for STS."""
    return f"[default]\nrole_arn={ROLE}\nweb_identity_token_file={token}\n"


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """v0.6.0's AWS_CONFIG_FILE, which is absent at first."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_SDK_LOAD_CONFIG", "1")
    return tmp_path / "credentials"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A projected service account token."""
    path = tmp_path / "token"
    path.write_text("header.payload.signature")
    return path


def signed_by(token: RegistryToken) -> str:
    """Tell whose keys got this token."""
    return decode_token(token.password).access_key


async def refusal(issuer: EcrTokenIssuer, source: TokenSource = IRELAND) -> OperatorError:
    """Ask for a token and return the error that comes in its place."""
    with pytest.raises(OperatorError) as caught:
        await issuer.issue(source)
    return caught.value


# Each way of giving the operator an identity.


@pytest.mark.usefixtures("user", "aws")
async def test_keys_in_the_environment_are_used(issuer: EcrTokenIssuer) -> None:
    assert signed_by(await issuer.issue(IRELAND)) == ACCESS_KEY


@pytest.mark.usefixtures("aws")
async def test_the_iam_user_file_of_v060_s_guide_works_unchanged(
    mounted: Path, issuer: EcrTokenIssuer
) -> None:
    mounted.write_text(keys_file())
    assert signed_by(await issuer.issue(IRELAND)) == ACCESS_KEY


async def test_the_sts_file_of_v060_s_guide_works_unchanged(
    aws: LocalAws, mounted: Path, token_file: Path, issuer: EcrTokenIssuer
) -> None:
    mounted.write_text(web_identity_file(token_file))
    assert signed_by(await issuer.issue(IRELAND)).startswith("ASIA")
    assert [(call.operation, call.role) for call in aws.calls] == [
        (STS, ROLE),
        ("GetAuthorizationToken", ""),
    ]


async def test_a_web_identity_in_the_environment_is_used(
    aws: LocalAws, token_file: Path, monkeypatch: pytest.MonkeyPatch, issuer: EcrTokenIssuer
) -> None:
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token_file))
    assert await issuer.issue(IRELAND)
    assert aws.count(STS) == 1


@pytest.mark.usefixtures("aws")
async def test_the_profile_is_looked_up_in_the_shared_credentials_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared").write_text(keys_file().replace("default", "puller"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "shared"))
    monkeypatch.setenv("AWS_PROFILE", "puller")
    async with EcrTokenIssuer() as issuer:
        assert signed_by(await issuer.issue(IRELAND)) == ACCESS_KEY


@pytest.mark.usefixtures("user")
async def test_the_environment_beats_the_file_as_in_v060(
    aws: LocalAws, mounted: Path, issuer: EcrTokenIssuer
) -> None:
    mounted.write_text(keys_file(OTHER_KEY, OTHER_SECRET))
    assert signed_by(await issuer.issue(IRELAND)) == ACCESS_KEY
    assert aws.count() == 1


# How often STS is asked.


async def test_a_role_is_assumed_once_for_all_regions(
    aws: LocalAws, mounted: Path, token_file: Path, issuer: EcrTokenIssuer
) -> None:
    mounted.write_text(web_identity_file(token_file))
    for source in (IRELAND, OHIO, IRELAND):
        await issuer.issue(source)
    assert aws.count(STS) == 1


async def test_ten_calls_at_once_assume_the_role_once(
    aws: LocalAws, mounted: Path, token_file: Path, issuer: EcrTokenIssuer
) -> None:
    mounted.write_text(web_identity_file(token_file))
    await asyncio.gather(*(issuer.issue(IRELAND) for _ in range(10)))
    assert aws.count(STS) == 1


async def test_keys_that_aws_finds_expired_are_fetched_afresh_by_the_next_call(
    aws: LocalAws, mounted: Path, token_file: Path, issuer: EcrTokenIssuer
) -> None:
    mounted.write_text(web_identity_file(token_file))
    await issuer.issue(IRELAND)
    aws.keys.revoke_temporary()
    error = await refusal(issuer)
    assert isinstance(error, TransientError)
    assert error.reason is Reason.CREDENTIALS_EXPIRED
    assert str(token_file) in error.message
    assert await issuer.issue(IRELAND)


async def test_a_refused_role_leaves_nothing_secret_in_the_log(
    aws: LocalAws, mounted: Path, caplog: pytest.LogCaptureFixture, issuer: EcrTokenIssuer
) -> None:
    base = keys_file().replace("default", "profile base")
    mounted.write_text(f"[default]\nrole_arn={ROLE}\nsource_profile=base\n{base}aws_session_token=SESSION\n")
    aws.keys.known = {ACCESS_KEY: OTHER_SECRET}  # so AWS echoes the signed request
    await refusal(issuer)
    assert aws.calls[0].outcome == "SignatureDoesNotMatch"
    assert "SESSION" not in caplog.text
    assert ACCESS_KEY not in caplog.text


async def test_a_refused_web_identity_points_to_the_trust_policy(
    aws: LocalAws, mounted: Path, token_file: Path, issuer: EcrTokenIssuer
) -> None:
    mounted.write_text(web_identity_file(token_file))
    aws.fail("AccessDenied", 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity", times=1)
    assert "trust policy" in (await refusal(issuer)).message
    aws.fail("InvalidIdentityToken", 400, times=1)
    error = await refusal(issuer)
    assert error.reason is Reason.ACCESS_DENIED
    assert "OIDC provider" in error.message


# What changes on disk counts from the next call on.


@pytest.mark.usefixtures("aws")
async def test_a_file_that_appears_is_found(mounted: Path, issuer: EcrTokenIssuer) -> None:
    assert (await refusal(issuer)).reason is Reason.CREDENTIALS_MISSING
    mounted.write_text(keys_file())
    assert signed_by(await issuer.issue(IRELAND)) == ACCESS_KEY


@pytest.mark.usefixtures("aws")
async def test_other_keys_of_the_same_length_at_the_same_time_are_seen(
    mounted: Path, issuer: EcrTokenIssuer
) -> None:
    mounted.write_text(keys_file())
    before = mounted.stat()
    assert signed_by(await issuer.issue(IRELAND)) == ACCESS_KEY
    mounted.write_text(keys_file(OTHER_KEY, OTHER_SECRET))
    os.utime(mounted, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert signed_by(await issuer.issue(IRELAND)) == OTHER_KEY


@pytest.mark.usefixtures("aws")
async def test_a_symlink_that_the_kubelet_swaps_is_followed(
    tmp_path: Path, mounted: Path, issuer: EcrTokenIssuer
) -> None:
    for name, content in (("one", keys_file()), ("two", keys_file(OTHER_KEY, OTHER_SECRET))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "credentials").write_text(content)
    (tmp_path / "..data").symlink_to("one")
    mounted.symlink_to("..data/credentials")
    assert signed_by(await issuer.issue(IRELAND)) == ACCESS_KEY
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert signed_by(await issuer.issue(IRELAND)) == OTHER_KEY


async def test_a_change_from_keys_to_a_role_is_followed(
    aws: LocalAws, mounted: Path, token_file: Path, issuer: EcrTokenIssuer
) -> None:
    mounted.write_text(keys_file())
    await issuer.issue(IRELAND)
    mounted.write_text(web_identity_file(token_file))
    assert signed_by(await issuer.issue(IRELAND)).startswith("ASIA")
    assert aws.count(STS) == 1


async def test_a_renewed_web_identity_token_changes_nothing_until_its_session_ends(
    aws: LocalAws, mounted: Path, token_file: Path, issuer: EcrTokenIssuer
) -> None:
    mounted.write_text(web_identity_file(token_file))
    await issuer.issue(IRELAND)
    changes = issuer.changes()
    token_file.write_text("header.payload.another")
    await issuer.issue(IRELAND)
    assert (issuer.changes(), aws.count(STS)) == (changes, 1)
    aws.keys.revoke_temporary()
    await refusal(issuer)
    await issuer.issue(IRELAND)
    assert [call.token for call in aws.select(STS)] == ["header.payload.signature", "header.payload.another"]


async def test_a_new_web_identity_token_counts_where_the_last_one_was_refused(
    aws: LocalAws, mounted: Path, token_file: Path, issuer: EcrTokenIssuer
) -> None:
    mounted.write_text(web_identity_file(token_file))
    aws.fail("InvalidIdentityToken", 400, times=1)
    await refusal(issuer)
    changes = issuer.changes()
    token_file.write_text("header.payload.another")
    assert issuer.changes() == changes + 1
    assert await issuer.issue(IRELAND)


async def test_what_does_not_change_is_not_read_again(
    aws: LocalAws, mounted: Path, token_file: Path, issuer: EcrTokenIssuer
) -> None:
    mounted.write_text(web_identity_file(token_file))
    await issuer.issue(IRELAND)
    token_file.touch()
    await issuer.issue(IRELAND)
    assert aws.count(STS) == 1


MISSING: dict[str, tuple[Callable[[Path, Path], str | bytes], list[str]]] = {
    "a file that is no INI": (lambda *_: f"aws_secret_access_key={SECRET_KEY}\n", ["{file} can't be parsed"]),
    "a binary file": (lambda *_: b"[default]\naws_access_key_id=\xff\xfe\n", ["{file} can't be parsed"]),
    "a file without a profile": (lambda *_: "[other]\na=b\n", ["{file}", "none in the environment"]),
    "an empty file": (lambda *_: "", ["{file}", "metadata service"]),
    "a key id without its secret": (
        lambda *_: f"[default]\naws_access_key_id={ACCESS_KEY}\n",
        ["{file} lacks aws_secret_access_key"],
    ),
    "a role without a source": (lambda *_: f"[default]\nrole_arn={ROLE}\n", ["{file}", "source_profile"]),
    "a token file without a role": (
        lambda _, token: f"[default]\nweb_identity_token_file={token}\n",
        ["{file}", "role_arn"],
    ),
    "a role that is no ARN": (
        lambda _, token: web_identity_file(token).replace(ROLE, "puller"),
        ["role ARN", "malformed"],
    ),
    "a token file that is absent": (
        lambda _, token: web_identity_file(token.with_name("gone")),
        ["gone is absent"],
    ),
    "a token file that is a folder": (
        lambda _, token: web_identity_file(token.parent),
        ["is not readable"],
    ),
    "an unknown source profile": (
        lambda *_: f"[default]\nrole_arn={ROLE}\nsource_profile=gone\n",
        ["{file}", "incomplete"],
    ),
    "a credential process that fails": (
        lambda *_: f"[default]\ncredential_process = /bin/sh -c 'echo {SECRET_KEY} >&2; exit 1'\n",
        ["{file}", "CredentialRetrievalError"],
    ),
}


# No usable credentials: the message names the file and what it lacks, and never a value.


@pytest.mark.parametrize(("content", "expected"), MISSING.values(), ids=MISSING)
async def test_missing_credentials_say_which_file_lacks_what_until_it_is_mended(
    aws: LocalAws,
    mounted: Path,
    token_file: Path,
    content: Callable[[Path, Path], str | bytes],
    expected: list[str],
) -> None:
    made = content(mounted, token_file)
    mounted.write_bytes(made if isinstance(made, bytes) else made.encode())
    async with EcrTokenIssuer() as issuer:
        error = await refusal(issuer)
        mounted.write_text(keys_file())
        assert await issuer.issue(IRELAND)
    assert isinstance(error, PermanentError)
    assert error.reason is Reason.CREDENTIALS_MISSING
    for words in expected:
        assert words.format(file=mounted) in error.message
    assert SECRET_KEY not in error.message
    assert aws.count() == 1


@pytest.mark.usefixtures("aws")
async def test_a_machine_without_anything_is_told_where_was_looked(
    mounted: Path, issuer: EcrTokenIssuer
) -> None:
    assert f"{mounted} (absent)" in (await refusal(issuer)).message


@pytest.mark.usefixtures("aws")
async def test_a_profile_that_no_file_has_is_named(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted.write_text(keys_file())
    monkeypatch.setenv("AWS_PROFILE", "puller")
    async with EcrTokenIssuer() as issuer:
        assert "profile puller is not in" in (await refusal(issuer)).message


@pytest.mark.usefixtures("aws")
async def test_a_key_id_alone_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, issuer: EcrTokenIssuer
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    message = (await refusal(issuer)).message
    assert "environment variables" in message
    assert "AWS_SECRET_ACCESS_KEY" in message


async def test_blame_counts_once_in_half_a_minute() -> None:
    clock = FakeClock()
    identity = OperatorCredentials(client_config(), clock, seconds=1.0)
    first = identity.generation
    for _ in range(3):
        identity.invalidate(identity.generation)
        clock.skip(9.9)
    assert identity.generation == first + 1
    clock.skip(0.4)
    identity.invalidate(first)
    assert identity.generation == first + 1, "the keys of before are blamed"
    identity.invalidate(identity.generation)
    assert identity.generation == first + 2


def test_keys_show_nothing_of_themselves() -> None:
    keys = AwsKeys(access_key=ACCESS_KEY, secret_key=SECRET_KEY, session_token="session")  # noqa: S106
    assert repr(keys) == "AwsKeys()"
