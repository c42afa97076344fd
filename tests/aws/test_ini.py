"""Credentials files as people write them: what is made good, and what is told by its line."""

from pathlib import Path

import pytest

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.credential_files import find_flaw
from ecr_operator.aws.ecr import EcrTokenIssuer
from lab.aws import LocalAws, decode_token
from tests.aws.conftest import ACCESS_KEY, SECRET_KEY

IRELAND = TokenSource(region="eu-west-1")
ROLE = "arn:aws:iam::123456789012:role/puller"

GOOD = {
    "plain": "[default]\naws_access_key_id={key}\naws_secret_access_key={secret}\n",
    "double quotes, which v0.6.0 took off": (
        '[default]\naws_access_key_id="{key}"\naws_secret_access_key = "{secret}"\n'
    ),
    "CRLF": "[default]\r\naws_access_key_id={key}\r\naws_secret_access_key={secret}\r\n",
    "comments and spaces": (
        "# mine\n\n[default]\n  aws_access_key_id = {key}  \naws_secret_access_key={secret}\t\n"
    ),
    "no line break at the end": "[default]\naws_access_key_id={key}\naws_secret_access_key={secret}",
}
KEYS = "aws_access_key_id={key}\naws_secret_access_key={secret}\n"
BAD = {
    "a byte order mark": (f"\ufeff[default]\n{KEYS}", "line 1 begins with a byte order mark"),
    "no [default]": (f"# mine\n{KEYS}", "line 2 comes before any section; put [default] above it"),
    "another section": (f"[prod]\n{KEYS}", "no section is named [default]"),
    "single quotes": (
        "[default]\naws_access_key_id='{key}'\naws_secret_access_key='{secret}'\n",
        "aws_access_key_id has a quote at its value",
    ),
    "half a quote": (
        '[default]\naws_access_key_id={key}\naws_secret_access_key={secret}"\n',
        "aws_secret_access_key has a quote at its value",
    ),
    "the guide's empty quotes": (
        '[default]\naws_access_key_id=""\naws_secret_access_key=""\n',
        "aws_access_key_id is empty",
    ),
    "a value that is empty": (
        "[default]\naws_access_key_id={key}\naws_secret_access_key=\n",
        "aws_secret_access_key is empty",
    ),
}


@pytest.fixture(params=["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
def mounted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The operator's file, in either place that the SDK looks at."""
    monkeypatch.setenv(request.param, str(tmp_path / "credentials"))
    return tmp_path / "credentials"


def filled(text: str) -> bytes:
    """Put the keys in."""
    return text.replace("{key}", ACCESS_KEY).replace("{secret}", SECRET_KEY).encode()


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
async def test_a_file_that_is_plain_enough_works(mounted: Path, text: str) -> None:
    mounted.write_bytes(filled(text))
    async with EcrTokenIssuer() as issuer:
        token = await issuer.issue(IRELAND)
    assert decode_token(token.password).access_key == ACCESS_KEY


@pytest.mark.parametrize(("text", "flaw"), BAD.values(), ids=BAD)
async def test_a_flaw_is_told_with_file_and_line_and_without_a_value(
    aws: LocalAws, mounted: Path, text: str, flaw: str
) -> None:
    mounted.write_bytes(filled(text))
    async with EcrTokenIssuer() as issuer:
        with pytest.raises(OperatorError) as caught:
            await issuer.issue(IRELAND)
        mounted.write_bytes(filled(GOOD["plain"]))
        assert await issuer.issue(IRELAND)
    assert caught.value.reason is Reason.CREDENTIALS_MISSING
    assert f"{mounted}, {flaw}" in caught.value.message
    for value in (ACCESS_KEY, SECRET_KEY):
        assert value not in caught.value.message
    assert aws.count() == 1


@pytest.mark.parametrize("quote", ["", '"'], ids=["bare", "quoted"])
async def test_a_web_identity_works_with_quotes_too(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quote: str
) -> None:
    (tmp_path / "token").write_text("header.payload.signature")
    role, token = f"{quote}{ROLE}{quote}", f"{quote}{tmp_path}/token{quote}"
    (tmp_path / "credentials").write_text(f"[default]\nrole_arn={role}\nweb_identity_token_file={token}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "credentials"))
    async with EcrTokenIssuer() as issuer:
        assert await issuer.issue(IRELAND)
    assert aws.calls[0].role == ROLE


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"# nothing\n",
        b"[default]\nregion=''\n",
        b"[profile default]\nrole_arn=x\n",
        b"[default]",
    ],
)
def test_a_file_without_a_flaw_has_none(content: bytes) -> None:
    assert find_flaw(content) is None


@pytest.mark.parametrize(
    "content", [b"\xff\xfe[\x00", b"\xfe\xff", b"\x00\xff\x80=\x81", b"[" * 5000, b"=\n=="]
)
def test_any_bytes_are_survived(content: bytes) -> None:
    find_flaw(content)
