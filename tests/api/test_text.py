"""How user input looks inside a message."""

import pytest

from ecr_operator.api.text import excerpt, excerpt_unless_word


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("10h", '"10h"', id="short text stays as it is"),
        pytest.param("", '""', id="nothing shows as two quotes"),
        pytest.param("12345", '"12345"', id="text of just the limit is whole"),
        pytest.param("123456", '"12345…"', id="longer text ends in an ellipsis"),
        pytest.param("a\nb\x00c", '"a?b?c"', id="line breaks and control characters show as question marks"),
        pytest.param("a\u202eb", '"a?b"', id="text can not be turned around"),
        pytest.param("12µs", '"12µs"', id="letters of other scripts stay"),
    ],
)
def test_excerpt(text: str, shown: str) -> None:
    assert excerpt(text, limit=5) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("kube-controller-manager/v1.2", "kube-controller-manager/v1.2", id="a word"),
        pytest.param("a b", '"a b"', id="two words"),
        pytest.param("", '""', id="nothing"),
        pytest.param("x" * 41, f'"{"x" * 40}…"', id="a long word"),
        pytest.param("a\n", '"a?"', id="a line break at the end"),
    ],
)
def test_a_word_needs_no_quotes(text: str, shown: str) -> None:
    assert excerpt_unless_word(text) == shown
