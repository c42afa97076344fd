"""The keys in a tenant's Secret: read, trimmed, or refused by name."""

import pytest

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.aws.keys import read_iam_keys
from tests.aws.conftest import ACCESS_KEY as KEY
from tests.aws.conftest import SECRET_KEY as SECRET

GOOD = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}


TOKEN = {"aws_session_token": "t"}
READ = {
    "plain values": (GOOD, None),
    "a session token": (GOOD | TOKEN, "t"),
    "capitals, as of the variables": ({name.upper(): value for name, value in (GOOD | TOKEN).items()}, "t"),
    "a mixture of cases": ({name.title(): value for name, value in (GOOD | TOKEN).items()}, "t"),
    "both spellings with one value": (
        GOOD | {name.upper(): f"{value}\n" for name, value in GOOD.items()},
        None,
    ),
    **{
        repr(around): ({name: around.format(value) for name, value in GOOD.items()}, None)
        for around in ("{}\n", "{}\r\n", " {}\t")
    },
}


@pytest.mark.parametrize(("data", "session_token"), READ.values(), ids=READ)
def test_keys_are_read_in_any_case_and_stripped(data: dict[str, str], session_token: str | None) -> None:
    keys = read_iam_keys(data, "Secret a/b")
    assert (keys.access_key, keys.secret_key, keys.session_token) == (KEY, SECRET, session_token)
    assert repr(keys) == "AwsKeys()", "nothing of them is shown"


@pytest.mark.parametrize("name", [*GOOD, "aws_session_token"])
def test_both_spellings_with_two_values_are_named_and_neither_is_used(name: str) -> None:
    with pytest.raises(PermanentError) as caught:
        read_iam_keys({**GOOD, name: "one", name.upper(): "two"}, "Secret a/b")
    assert f"{name} and {name.upper()} with different values" in caught.value.message


RENAME = 'Rename its key "{}" to aws_access_key_id.'
FILE = 'Its key "{}" looks like a credentials file; expected are the values themselves'
EXPECTED = "Expected are the keys aws_access_key_id and aws_secret_access_key"
OTHERS = {
    **dict.fromkeys(
        ("access-key-id", "aws-access-key-id", "accessKeyId", "AccessKey", "AWS_ACCESS_KEY"), RENAME
    ),
    **dict.fromkeys(("credentials", "config", "Credentials"), FILE),
    **dict.fromkeys(("username", "secret-access-key"), EXPECTED),
}


@pytest.mark.parametrize(("name", "words"), OTHERS.items(), ids=OTHERS)
def test_another_name_is_refused_with_what_is_expected(name: str, words: str) -> None:
    with pytest.raises(PermanentError) as caught:
        read_iam_keys({name: KEY, "aws_secret_access_key": SECRET}, "Secret a/b")
    assert caught.value.message.startswith("Secret a/b has no aws_access_key_id. ")
    assert words.format(name) in caught.value.message
    assert KEY not in caught.value.message


BAD = {
    "no key id": ({"aws_access_key_id": None}, "no aws_access_key_id"),
    "no secret": ({"aws_secret_access_key": None}, "no aws_secret_access_key"),
    "an empty key id": ({"aws_access_key_id": " \n"}, "an empty aws_access_key_id"),
    "an empty session token": ({"aws_session_token": ""}, "an empty aws_session_token"),
    "quotes": ({"aws_access_key_id": f'"{KEY}"'}, "The aws_access_key_id in Secret a/b"),
    "two lines": ({"aws_secret_access_key": f"{SECRET}\n{SECRET}"}, "The aws_secret_access_key in"),
    "a header in a header": ({"aws_session_token": "a\r\nHost: evil"}, "The aws_session_token in"),
    "a value that is too long": ({"aws_session_token": "t" * 8193}, "longer than any AWS key"),
    "no text": ({"aws_access_key_id": "\ufffd\ufffd"}, "The aws_access_key_id in"),
    "no Unicode": ({"aws_access_key_id": "\ud800"}, "The aws_access_key_id in"),
}


@pytest.mark.parametrize(("changes", "words"), BAD.values(), ids=BAD)
def test_an_invalid_key_is_named_and_never_shown(changes: dict[str, str | None], words: str) -> None:
    data = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    with pytest.raises(PermanentError) as caught:
        read_iam_keys(data, "Secret a/b")
    assert caught.value.reason is Reason.CREDENTIALS_MISSING
    assert words in caught.value.message
    assert "Secret a/b" in caught.value.message
    for value in (KEY, SECRET, "evil"):
        assert value not in caught.value.message
