"""JSON that is too deep for Python's parser, or not UTF-8."""

import json
from typing import Any, Final

import pytest
from hypothesis import given, settings

from ecr_operator.kube.response import limit_depth, parse_json
from tests.api.json_values import json_values

UNHURRIED: Final = settings(deadline=None)
LEVELS: Final = 20_000


def nested(inside: str, levels: int = LEVELS, opened: str = '{"f:a":', closed: str = "}") -> str:
    return opened * levels + inside + closed * levels


@pytest.mark.parametrize(
    "deep",
    [
        pytest.param(nested("1"), id="objects"),
        pytest.param(nested("1", opened="[", closed="]"), id="lists"),
        pytest.param(nested("1", opened='[{"a{[\\"\\\\":', closed="}]"), id="both, with brackets in a name"),
        pytest.param(nested("1", opened='{"b": {"c": [{}, "}"]}, "a" : ', closed=', "d":[]}'), id="more"),
        pytest.param(nested('"]}\\""'), id="brackets in text"),
        pytest.param(f"[{nested('1')}, {nested('2')}]", id="twice"),
    ],
)
def test_what_is_too_deep_is_null_and_all_else_is_there(deep: str) -> None:
    parsed = parse_json(f'{{"before": "{{[", "deep": {deep}, "after": [1, {{}}]}}'.encode())
    assert (parsed["before"], parsed["after"]) == ("{[", [1, {}])
    assert "null" in json.dumps(parsed["deep"])


@pytest.mark.parametrize("text", ["[" * LEVELS, nested("1") + "}", nested("x"), '{"a": "' + "[" * LEVELS])
def test_what_is_not_json_stays_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(f"[{text}".encode())


def test_what_is_not_utf_8_is_replaced() -> None:
    assert parse_json(b'{"a": {"f:\xff\xfe": 1}, "b": "\xc3\xa4"}') == {"a": {"f:\ufffd\ufffd": 1}, "b": "ä"}


@UNHURRIED
@given(json_values)
def test_what_is_not_too_deep_stays_as_it_is(value: Any) -> None:
    text = json.dumps(value).encode()
    assert limit_depth(text) == text


@UNHURRIED
@given(json_values)
def test_of_what_is_too_deep_the_rest_stays_as_it_is(value: Any) -> None:
    text = json.dumps([value, "here", value])
    parsed = limit_depth(text.replace('"here"', nested(json.dumps(value))).encode())
    shallow = limit_depth(text.replace('"here"', nested("[]", 63)).encode())
    assert parsed.decode().replace("null", "[]") == shallow.decode().replace("null", "[]")
