"""The keys in a tenant's Secret: read, trimmed, or refused by name."""

import pytest

from ecr_operator.aws.tenant_keys import read_iam_keys
from ecr_operator.model.errors import PermanentError
from ecr_operator.model.outcome import Reason

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
GOOD = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}


@pytest.mark.parametrize("around", ["{}", "{}\n", "{}\r\n", " {}\t"], ids=repr)
def test_white_space_around_a_value_is_ignored(around: str) -> None:
    keys = read_iam_keys({name: around.format(value) for name, value in GOOD.items()}, "Secret a/b")
    assert (keys.access_key, keys.secret_key, keys.session_token) == (KEY, SECRET, None)


def test_a_session_token_goes_along() -> None:
    assert read_iam_keys({**GOOD, "aws_session_token": "t"}, "Secret a/b").session_token == "t"  # noqa: S105


BAD = {
    "no key id": ({"aws_access_key_id": None}, "no aws_access_key_id"),
    "no secret": ({"aws_secret_access_key": None}, "no aws_secret_access_key"),
    "an empty key id": ({"aws_access_key_id": " \n"}, "an empty aws_access_key_id"),
    "an empty session token": ({"aws_session_token": ""}, "an empty aws_session_token"),
    "quotes": ({"aws_access_key_id": f'"{KEY}"'}, "The aws_access_key_id in Secret a/b"),
    "two lines": ({"aws_secret_access_key": f"{SECRET}\n{SECRET}"}, "The aws_secret_access_key in"),
    "a header in a header": ({"aws_session_token": "a\r\nHost: evil"}, "The aws_session_token in"),
    "no text": ({"aws_access_key_id": "\ufffd\ufffd"}, "The aws_access_key_id in"),
}


@pytest.mark.parametrize(("changes", "words"), BAD.values(), ids=BAD)
def test_what_is_no_key_is_named_and_never_shown(changes: dict[str, str | None], words: str) -> None:
    data = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    with pytest.raises(PermanentError) as caught:
        read_iam_keys(data, "Secret a/b")
    assert caught.value.reason is Reason.CREDENTIALS_MISSING
    assert words in caught.value.message
    assert "Secret a/b" in caught.value.message
    for value in (KEY, SECRET, "evil"):
        assert value not in caught.value.message
