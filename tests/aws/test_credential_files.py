"""Credentials files as people write them: what works, and which flaw is reported."""

from pathlib import Path

import pytest

from ecr_operator.aws.credential_files import find_flaw, unquote
from ecr_operator.aws.credentials import OperatorCredentials
from ecr_operator.aws.keys import AwsKeys
from ecr_operator.core.ports import SystemClock
from lab.aws import LocalAws
from tests.aws.asking import ROLE, key_id
from tests.aws.conftest import ACCESS_KEY, KEYS, SECRET_KEY, Environ

GOOD = {
    "plain": f"[default]\n{KEYS}",
    "double quotes, which v0.6.0 took off": (
        f'[default]\naws_access_key_id="{ACCESS_KEY}"\naws_secret_access_key = "{SECRET_KEY}"\n'
    ),
    "CRLF": f"[default]\n{KEYS}".replace("\n", "\r\n"),
    "comments, spaces and no line break at the end": (
        f"# mine\n\n[default]\n  aws_access_key_id = {ACCESS_KEY}  \naws_secret_access_key={SECRET_KEY}\t"
    ),
}


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
async def test_a_well_formed_file_gives_keys(tmp_path: Path, environ: Environ, variable: str) -> None:
    environ(**{variable: str(tmp_path / "credentials")})
    for text in GOOD.values():
        (tmp_path / "credentials").write_bytes(text.encode())
        assert await key_id() == ACCESS_KEY


async def test_quotes_come_off_a_session_token_too(config: Path) -> None:
    config.write_text(f'{GOOD["double quotes, which v0.6.0 took off"]}aws_session_token="t"\n')
    keys = await OperatorCredentials(SystemClock(), seconds=5).keys()
    assert keys == AwsKeys(access_key=ACCESS_KEY, secret_key=SECRET_KEY, session_token="t")  # noqa: S106 -- made up


BAD = {
    "a byte order mark": (f"\ufeff[default]\n{KEYS}", "line 1 begins with a byte order mark"),
    "no section": (f"# mine\n{KEYS}", "line 2 comes before any section; put [default] above it"),
    "another section": (f"[prod]\n{KEYS}", "no section is named [default]"),
    "single quotes": ("[default]\naws_access_key_id='x'\n", "line 2: aws_access_key_id has a quote"),
    "half a quote": (f'[default]\n\n{KEYS[:-1]}"\r\n', "line 4: aws_secret_access_key has a quote"),
    "the guide's empty quotes": ('[default]\naws_access_key_id=""\n', "line 2: aws_access_key_id is empty"),
    "an empty value": ("[default]\naws_secret_access_key=\n", "line 2: aws_secret_access_key is empty"),
    "a key in two sections": (
        "[profile x]\naws_access_key_id = x\n[default]\nAWS_ACCESS_KEY_ID = 'x'\n",
        "line 4: aws_access_key_id has a quote",
    ),
    "a value of several lines": ("[default]\naws_access_key_id='x\n  y\n", "aws_access_key_id has a quote"),
}


@pytest.mark.parametrize(("text", "flaw"), BAD.values(), ids=BAD)
def test_a_flaw_is_found(text: str, flaw: str) -> None:
    assert flaw in (find_flaw(text.encode()) or "")


async def test_a_quoted_web_identity_works(aws: LocalAws, config: Path, web_token: Path) -> None:
    config.write_text(f'[default]\nrole_arn="{ROLE}"\nweb_identity_token_file="{web_token}"\n')
    assert await key_id()
    assert aws.calls[0].role == ROLE


def test_a_file_without_a_flaw_of_ours_and_any_bytes_are_survived() -> None:
    for content in (
        *(b"", b"# nothing\n", b"[default]\nregion=''\n", b"[profile default]\nrole_arn=x\n", b"[default]"),
        *(b"\x00\xff\x80=\x81", b"[default]\nx\n", b"[default]\na=1\na=2\n"),
    ):
        assert "before any section" in (find_flaw(content) or "before any section")


def test_double_quotes_come_off_in_pairs_only() -> None:
    values = ['"x"', '"', '""', "'x'", '"a"b"', ""]
    assert [unquote(value) for value in values] == ["x", '"', "", "'x'", 'a"b', ""]
